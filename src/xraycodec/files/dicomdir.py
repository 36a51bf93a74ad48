"""DICOMDIR: which files belong to a DICOM file set (PS3.3 annex F, PS3.10 8)."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xraycodec.dicom_outline import outline
from xraycodec.errors import CorruptImageError, UnsupportedImageError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.dicom_parsing import read_file_meta
from xraycodec.limits import Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Problem = Callable[[str, Exception], None]

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"

_NAME = "DICOMDIR"
# Media Storage SOP Class UID, explicit VR little endian as all file meta information.
_CLASS_ELEMENT = b"\x02\x00\x02\x00UI\x14\x00" + MEDIA_STORAGE_DIRECTORY.encode("ascii")
_HEAD_BYTES = 1024
_LIMITS = Limits(max_elements=2**20)  # some 20 for each of the files of a medium
_MAX_COMPONENTS = 8  # PS3.10 8.2


@dataclass(frozen=True)
class DirectoryFile:
    """A file that a DICOMDIR names.

    Attributes:
        record_type: Directory Record Type (0004,1430), such as IMAGE.
        path: where it is, or should be.
        below: its path in the file set as it lies on the disk.
    """

    record_type: str
    path: Path
    below: Path


def is_dicomdir(path: Path) -> bool:
    """Tell a DICOMDIR by its file meta information, whatever its name.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    return head[128:132] == b"DICM" and _CLASS_ELEMENT in head


def files_of(dicomdir: Path, on_problem: Problem | None = None) -> list[DirectoryFile]:
    """List the files of a file set, in the order of the directory records, each once.

    File IDs are upper case, but what mounted a medium or copied it may have changed that: a name
    that is not there is looked for in other cases.

    Args:
        dicomdir: the DICOMDIR.
        on_problem: called with its path for each directory record whose File ID cannot be used,
            and the others are listed all the same; without it, such a record is an error.

    Raises:
        CorruptImageError: it cannot be parsed, or a File ID leads out of the file set.
        LimitError: it has more elements than the files of a medium need.
        UnsupportedImageError: it is no DICOMDIR.
        OSError: it cannot be read.
    """
    from pydicom import dcmread

    data = dicomdir.read_bytes()
    folder = dicomdir.parent
    found: dict[Path, DirectoryFile] = {}
    with warnings.catch_warnings(), damage_as_corrupt(_NAME):
        warnings.simplefilter("ignore")
        _, start = read_file_meta(data, _LIMITS)
        outline(data, _LIMITS, start=start)
        dataset = dcmread(io.BytesIO(data))
        if dataset.file_meta.get("MediaStorageSOPClassUID") != MEDIA_STORAGE_DIRECTORY:
            raise UnsupportedImageError("the file is no DICOMDIR")
        if "DirectoryRecordSequence" not in dataset:
            raise CorruptImageError("the DICOMDIR has no directory records")
        for number, record in enumerate(dataset.DirectoryRecordSequence):
            try:
                file = _file_of(record, number, folder)
            except CorruptImageError as error:
                if on_problem is None:
                    raise
                on_problem(str(dicomdir), error)
            else:
                if file is not None:
                    found.setdefault(file.path, file)
    return list(found.values())


def _file_of(record: Dataset, number: int, folder: Path) -> DirectoryFile | None:
    """The file that a directory record names, if it does."""
    with damage_as_corrupt(f"directory record {number}"):
        file_id = record.get("ReferencedFileID")
        if not file_id:
            return None
        names = [file_id] if isinstance(file_id, str) else [str(name) for name in file_id]
        _check_names(names, number)
        path = _find(folder, names)
        kind = str(record.get("DirectoryRecordType", "") or "")
        return DirectoryFile(kind, path, path.relative_to(folder))


def _check_names(names: list[str], number: int) -> None:
    """A File ID must stay below the DICOMDIR; beyond that, its characters are let pass."""
    if len(names) > _MAX_COMPONENTS or any(
        name in ("", ".", "..") or set(name) & set("/\\:\0") for name in names
    ):
        raise CorruptImageError(
            f"directory record {number} has a File ID that cannot be used; allowed are 1 to"
            f" {_MAX_COMPONENTS} names of files and folders below the DICOMDIR"
        )


def _find(folder: Path, names: list[str]) -> Path:
    path = folder
    for name in names:
        exact = path / name
        if not exact.exists() and path.is_dir():
            others = sorted(path.iterdir())
            exact = next((other for other in others if _plain(other) == name.upper()), exact)
        path = exact
    return path


def _plain(path: Path) -> str:
    """A name as a File ID has it, without what ISO 9660 appends."""
    return path.name.upper().partition(";")[0].rstrip(".")
