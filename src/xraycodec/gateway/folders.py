"""Instances in folders: ``STUDY/SERIES/INSTANCE.dcm``, each whole or not there.

The names are the UIDs. A value that is no UID gets a name from its hash, so that no two of them
share one. A file that is not the instance itself is neither replaced nor removed.
"""

from __future__ import annotations

import hashlib
import io
import os
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

from xraycodec.errors import CorruptImageError
from xraycodec.files.atomic import is_temporary, write_atomically
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.gateway.config import FolderTarget
from xraycodec.gateway.faults import NameTaken, read_prepared
from xraycodec.gateway.instance import is_uid


def file_instance(target: FolderTarget, source: Path, uid: str) -> None:
    """Copy a DICOM file to its place; to do it again changes nothing.

    Raises:
        OSError: the folder cannot be written.
        Unreadable, CorruptImageError: ``source`` cannot be read or parsed.
        NameTaken: another file has its name.
    """
    content = read_prepared(source)
    head = _head(io.BytesIO(content))
    place = target.folder / _name(head, "StudyInstanceUID") / _name(head, "SeriesInstanceUID")
    make_folder(place, target.folder_mode)
    path = place / f"{_safe(uid)}.dcm"
    is_there = _holds(path, uid)
    write_atomically(path, content, overwrite=is_there, mode=target.file_mode)


def remove_instances(folder: Path, study_of: Path, uids: list[str]) -> None:
    """Remove instances of the study that a DICOM file belongs to, where they are.

    Raises:
        OSError: the folder cannot be written.
        Unreadable, CorruptImageError: the file cannot be read or parsed.
        NameTaken: another file has the name of one of them.
    """
    head = _head(io.BytesIO(read_prepared(study_of)))
    study = folder / _name(head, "StudyInstanceUID")
    for uid in uids:
        for path in list(study.glob(f"*/{_safe(uid)}.dcm")):
            if _holds(path, uid):
                path.unlink(missing_ok=True)
            if not any(path.parent.iterdir()):
                path.parent.rmdir()


def remove_temporaries(folder: Path) -> int:
    """Remove the temporary files that a kill left in series' folders; return how many.

    Raises:
        OSError: the folder cannot be read or written.
    """
    count = 0
    for path in folder.glob("*/*/.*.tmp"):
        if is_temporary(path.name) and path.is_file() and not path.is_symlink():
            path.unlink(missing_ok=True)
            count += 1
    return count


def make_folder(folder: Path, mode: int = 0o700) -> None:
    """Make a folder and those above it where they are not there, with these permissions.

    The umask has no say. Folders that exist keep the permissions that they have.

    Raises:
        OSError: it cannot be made, or is a file.
    """
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent, mode)
    try:
        folder.mkdir(mode)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    folder.chmod(mode)


def _holds(path: Path, uid: str) -> bool:
    """Whether the instance is at a path; nothing is there otherwise.

    Raises:
        NameTaken: something else is.
    """
    if not os.path.lexists(path):
        return False
    found = None
    with suppress(CorruptImageError):
        found = str(_head(path).get("SOPInstanceUID", "")).strip("\0 ")
    if found != uid:
        raise NameTaken("a file that is not the instance has its name in the folder")
    return True


def _head(file: Path | io.BytesIO) -> Any:
    from pydicom.filereader import dcmread

    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        return dcmread(
            file,
            stop_before_pixels=True,
            specific_tags=["SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"],
        )


def _name(dataset: Any, keyword: str) -> str:
    return _safe(str(dataset.get(keyword, "") or ""))


def _safe(uid: str) -> str:
    """The name for a UID; for any other value one that no UID and no other value has."""
    if is_uid(uid):
        return uid
    return f"unknown-{hashlib.sha256(uid.encode(errors='surrogatepass')).hexdigest()[:32]}"
