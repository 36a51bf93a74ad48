"""Small files that claim or ask for much end in a typed error, and take little memory for it.

Each of them took minutes or gigabytes once. Memory is bounded by the operating system: a process of
its own reads all of them within a gibibyte of address space more than it has at its start.
"""

from __future__ import annotations

import io
import resource
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from bomb_building import (
    DICOM_BOMBS,
    EXPLICIT,
    IMAGE_BOMBS,
    MANY,
    XRC_BOMBS,
    dicom,
    directory,
    jpegxl_animation,
    nested,
    pixels,
    size,
)
from xraycodec import LimitError, Limits, XrayCodecError, decompress, inspect, verify
from xraycodec.dicom.encapsulation import is_wrapped, unwrap
from xraycodec.dicom_outline import outline
from xraycodec.errors import CorruptImageError
from xraycodec.files import check_head, decode, read
from xraycodec.files.dicomdir import files_of
from xraycodec.parts import decompress_part

MORE_BYTES = 1 << 30
READERS = {"dicom": DICOM_BOMBS, "xrc": XRC_BOMBS, "image": IMAGE_BOMBS}
NOT_SIZES = {
    "jpeg 2000 of 4096 x 4096 with tiles of 1 x 1": CorruptImageError,
    "png with more samples than pixels": CorruptImageError,
}
"""Those that no limit stops, but the contradiction that they are."""


@pytest.mark.parametrize("name", DICOM_BOMBS)
def test_dicom(name: str) -> None:
    data = DICOM_BOMBS[name]()
    with pytest.raises(LimitError):
        decode(data, "bomb.dcm")
    with pytest.raises(XrayCodecError):  # most are of another syntax than it takes
        unwrap(data)


@pytest.mark.parametrize("name", XRC_BOMBS)
def test_xrc(name: str) -> None:
    data = XRC_BOMBS[name]()
    for reader in (decompress, verify, decompress_part):
        with pytest.raises(LimitError):
            reader(data)
    assert any("limit" in problem for problem in inspect(data).problems)


@pytest.mark.parametrize("name", IMAGE_BOMBS)
def test_images(name: str) -> None:
    with pytest.raises(NOT_SIZES.get(name, LimitError)):
        decode(IMAGE_BOMBS[name]())


def test_all_of_them_in_little_memory(tmp_path: Path) -> None:
    paths = []
    for kind, bombs in READERS.items():
        for number, build in enumerate(bombs.values()):
            paths.append(tmp_path / f"{kind}-{number}")
            paths[-1].write_bytes(build())
    done = subprocess.run(
        [sys.executable, __file__, *map(str, paths)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["refused"] * len(paths)


def test_frames_of_jpeg_xl() -> None:
    data = jpegxl_animation(20, 16)
    assert len(decode(data, limits=Limits(max_expansion=1, free_pixels=20 * 256)).frames) == 20
    with pytest.raises(LimitError, match="more than 19 frames"):
        decode(data, limits=Limits(max_expansion=1, free_pixels=20 * 256 - 1))


def test_a_directory(tmp_path: Path) -> None:
    path = tmp_path / "DICOMDIR"
    path.write_bytes(directory(MANY))
    with pytest.raises(LimitError, match="more than 1048576 elements"):
        files_of(path)


def test_file_meta_information_where_only_the_syntax_is_asked_for() -> None:
    with pytest.raises(LimitError, match="max_elements"):
        is_wrapped(DICOM_BOMBS["elements of file meta information"]())


def test_a_large_file_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "large.dcm"
    header = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 0xFFFFFFF0)
    path.write_bytes(dicom(EXPLICIT, size(1024, 1024, 999_999_999), header))
    with pytest.raises(LimitError, match="claims 999999999 x 1024 x 1024"):
        check_head(path.read_bytes(), None, Limits())
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # holes: to read it whole would need a terabyte
    with pytest.raises(LimitError, match="claims 999999999 x 1024 x 1024"):
        read(path)


@pytest.mark.parametrize("depth", [1, 5])
def test_depth_is_inclusive_and_counts_sequences(depth: int) -> None:
    data = size(8, 8) + nested(depth) + pixels(64)
    found = outline(data, Limits(max_depth=depth))
    assert (found.end, found.elements) == (len(data), 10 + 2 * depth)
    with pytest.raises(LimitError, match=f"lie {depth} deep"):
        outline(data, Limits(max_depth=depth - 1))


def test_elements_are_inclusive_and_count_items() -> None:
    data = size(8, 8) + nested(2)
    assert outline(data, Limits(max_elements=13)).elements == 13
    with pytest.raises(LimitError, match="more than 12 elements"):
        outline(data, Limits(max_elements=12))


def _read_all(paths: list[str]) -> None:
    """Print what becomes of each file, within little more memory than is in use now."""
    from xraycodec.codecs import lattice, stored, wavelet  # noqa: F401 - before the limit is set

    decode(io.BytesIO(b"P5 1 1 255\n\0").read())
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (in_use + MORE_BYTES, in_use + MORE_BYTES))
    for path in paths:
        data = Path(path).read_bytes()
        try:
            decompress(data) if Path(path).name.startswith("xrc") else decode(data)
        except XrayCodecError as error:
            sys.stdout.write("memory\n" if "memory" in str(error) else "refused\n")


if __name__ == "__main__":
    _read_all(sys.argv[1:])
