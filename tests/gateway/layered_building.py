"""A preview that is a base, and its image as a remainder and whole: what crosses the wire."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from gateway_building import radiograph
from pydicom.dataset import Dataset

from xraycodec.dicom.encapsulation import XRC_UID
from xraycodec.files.dicom_writer import to_file
from xraycodec.gateway import layered, remainder
from xraycodec.gateway.config import Compression, Preview
from xraycodec.gateway.conversion import to_private
from xraycodec.gateway.instance import data_set_of, digest_of
from xraycodec.gateway.progressive import preview

SETTINGS = Preview("wavelet", ratio=4, max_error=15)
FAST = Compression(processes=1, codec="lattice", profile="fast", timeout_seconds=600)
LAYERED = '[destination.preview]\ncodec = "wavelet"\nratio = 4\n'
FAST_TABLE = '[compression]\nprofile = "fast"\nprocesses = 1\n'


@dataclass(frozen=True)
class Wire:
    """DICOM files of one image, in the private syntaxes."""

    base: bytes
    remainder: bytes
    whole: bytes

    def write(self, folder: Path) -> tuple[Path, Path, Path]:
        """Files of base, remainder and whole."""
        folder.mkdir(parents=True, exist_ok=True)
        paths = tuple(folder / name for name in ("base.dcm", "remainder.dcm", "whole.dcm"))
        for path, content in zip(paths, (self.base, self.remainder, self.whole), strict=True):
            path.write_bytes(content)
        return paths[0], paths[1], paths[2]

    @property
    def base_digest(self) -> str:
        return digest_of(data_set_of(self.base), XRC_UID)


def image(number: int = 1) -> Dataset:
    return radiograph(number, 64, 64)


@cache
def wire(number: int = 1) -> Wire:
    source = to_file(image(number))
    base = preview(source, SETTINGS)
    whole = to_private(source, layered.completed(base, FAST))
    return Wire(base, remainder.make(whole, base, XRC_UID), whole)
