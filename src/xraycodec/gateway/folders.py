"""Instances in folders: ``STUDY/SERIES/INSTANCE.dcm``, each whole or not there."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from xraycodec.files.atomic import write_atomically
from xraycodec.files.checks import damage_as_corrupt

_UNKNOWN = "unknown"


def file_instance(folder: Path, source: Path, uid: str) -> None:
    """Copy a DICOM file to its place; to do it again changes nothing.

    Raises:
        OSError: the folder cannot be written.
        CorruptImageError: the file cannot be parsed.
    """
    dataset = _head(source)
    place = folder / _name(dataset, "StudyInstanceUID") / _name(dataset, "SeriesInstanceUID")
    place.mkdir(parents=True, exist_ok=True)
    write_atomically(place / f"{_safe(uid)}.dcm", source.read_bytes(), overwrite=True)


def remove_instances(folder: Path, study_of: Path, uids: list[str]) -> None:
    """Remove instances of the study that a DICOM file belongs to, where they are.

    Raises:
        OSError: the folder cannot be written.
        CorruptImageError: the file cannot be parsed.
    """
    study = folder / _name(_head(study_of), "StudyInstanceUID")
    for uid in uids:
        for path in list(study.glob(f"*/{_safe(uid)}.dcm")):
            path.unlink(missing_ok=True)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def _head(path: Path) -> Any:
    from pydicom.filereader import dcmread

    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        return dcmread(
            path,
            stop_before_pixels=True,
            specific_tags=["StudyInstanceUID", "SeriesInstanceUID"],
        )


def _name(dataset: Any, keyword: str) -> str:
    return _safe(str(dataset.get(keyword, "") or ""))


def _safe(uid: str) -> str:
    """A UID as a name; what is none must not lead out of the folder."""
    sound = uid and not uid.strip("0123456789.") and not uid.startswith(".")
    return uid if sound else _UNKNOWN
