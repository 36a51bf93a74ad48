"""A part of a file: what it gives, what it reads, what it checks."""

from __future__ import annotations

import contextlib
import io
import itertools
import random
from pathlib import Path

import numpy as np
import pytest

import xrc_editing as edit
from xraycodec import (
    CorruptError,
    Lattice,
    LimitError,
    Limits,
    ModelError,
    NotXrcError,
    OptionError,
    RnnConv,
    Stored,
    TruncatedError,
    UnsupportedFormatError,
    XRay,
    XrayCodecError,
    compress,
    decompress,
    decompress_part,
)
from xraycodec.files import decode, encode

Region = tuple[int, int, int, int]
SCALES = (1, 2, 4, 8)


class Recording(io.BytesIO):
    """A file that remembers which bytes of it were read."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.touched: set[int] = set()

    def read(self, size: int | None = -1) -> bytes:
        start = self.tell()
        found = super().read(size)
        self.touched.update(range(start, start + len(found)))
        return found


def _waves(shape: tuple[int, ...], bits_stored: int, *, signed: bool = False) -> XRay:
    """Smooth, a little noisy, different in each frame."""
    rows, columns = np.mgrid[: shape[-2], : shape[-1]]
    frames = np.arange(shape[0] if len(shape) == 3 else 1)[:, None, None]
    noise = np.random.default_rng(3).normal(0, 0.02, (len(frames), *shape[-2:]))
    share = 0.5 + 0.4 * np.sin(rows / 23 + frames) * np.cos(columns / 17) + noise
    peak = (1 << bits_stored) - 1
    pixels = np.rint(share.clip(0, 1) * peak) - signed * (1 << bits_stored - 1)
    kind = f"{'i' if signed else 'u'}{1 if bits_stored <= 8 else 2}"
    return XRay(pixels.astype(kind).reshape(shape), bits_stored)


def _picked(pixels: np.ndarray, region: Region | None, scale: int) -> np.ndarray:
    """What the part is, ``(frame, row, column)``, from the whole image."""
    row, column, rows, columns = region or (0, 0, *pixels.shape[-2:])
    frames = pixels.reshape(-1, *pixels.shape[-2:])
    down = [at for at in range(row, row + rows) if at % scale == 0]
    across = [at for at in range(column, column + columns) if at % scale == 0]
    return frames[:, down][:, :, across]


def _regions(shape: tuple[int, int], rng: random.Random) -> list[Region | None]:
    """The whole, the corners' pixels, a row, a column, what straddles tiles, and anything."""
    rows, columns = shape
    regions: list[Region | None] = [
        None,
        (0, 0, 1, 1),
        (rows - 1, columns - 1, 1, 1),
        (rows // 2, 0, 1, columns),
        (0, columns // 2, rows, 1),
    ]
    if rows > 65 and columns > 65:
        regions += [(63, 63, 2, 2), (64, 64, 1, 1), (56, 57, 8, 7), (63, 0, rows - 63, 65)]
    for _ in range(6):
        row, column = rng.randrange(rows), rng.randrange(columns)
        regions.append((row, column, rng.randint(1, rows - row), rng.randint(1, columns - column)))
    return regions


@pytest.mark.parametrize(
    ("shape", "bits_stored", "signed", "codec"),
    [
        ((1, 1), 8, False, Lattice(tile=64)),
        ((1, 150), 12, False, Lattice(tile=64)),
        ((9, 5), 1, False, Lattice()),
        ((70, 131), 8, False, Lattice(tile=64)),
        ((3, 66, 67), 10, False, Lattice(tile=64)),
        ((2, 80, 90), 12, True, Lattice(tile=72)),
        ((130, 100), 16, False, Lattice(max_error=7, tile=64)),
    ],
    ids=str,
)
def test_a_part_is_the_same_pixels_of_the_whole(
    shape: tuple[int, ...], bits_stored: int, signed: bool, codec: Lattice
) -> None:
    data = compress(_waves(shape, bits_stored, signed=signed), codec)
    whole = decompress(data, threads=1)
    for scale in SCALES:
        for region in _regions(whole.pixels.shape[-2:], random.Random(f"{shape} {scale}")):
            expected = _picked(whole.pixels, region, scale)
            if not expected.size:
                with pytest.raises(OptionError, match=f"holds none at a scale of 1/{scale}"):
                    decompress_part(data, scale=scale, region=region)
                continue
            part = decompress_part(data, scale=scale, region=region, threads=1)
            np.testing.assert_array_equal(part.image.frames, expected)
            assert part.image.pixels.ndim == whole.pixels.ndim
            assert part.image.pixels.dtype == whole.pixels.dtype
            assert part.image.bits_stored == bits_stored


@pytest.mark.parametrize("level", [0, 77, 65535])
def test_parts_of_a_flat_image(level: int) -> None:
    data = compress(XRay(np.full((70, 70), level, np.uint16), 16), Lattice(tile=64))
    part = decompress_part(data, scale=4, region=(60, 0, 10, 70))
    np.testing.assert_array_equal(part.image.pixels, np.full((3, 18), level))


def test_the_rest_of_the_image_comes_with_it_but_for_the_data_set() -> None:
    pixels = _waves((40, 30), 12).pixels
    dicom = decode(encode(XRay(pixels, 12), "dicom")).dicom
    data = compress(XRay(pixels, 12, "MONOCHROME1", dicom))
    image = decompress_part(data, scale=2).image
    assert decompress(data).dicom == dicom
    assert image.dicom is None
    assert image.photometric_interpretation == "MONOCHROME1"


# What is read: noise, so that every layer has several DATA chunks.

NOISE = XRay(np.random.default_rng(1).integers(0, 1 << 16, (512, 512), np.uint16), 16)
PARTS: list[tuple[int, Region | None]] = [
    (8, None),
    (4, None),
    (2, None),
    (1, (0, 0, 64, 64)),
    (1, (300, 200, 30, 40)),
    (2, (448, 448, 64, 64)),
]


@pytest.fixture(scope="module")
def noise() -> bytes:
    return compress(NOISE, Lattice(tile=64))


@pytest.mark.parametrize(("scale", "region"), PARTS)
def test_what_is_not_needed_is_neither_read_nor_missed(
    noise: bytes, scale: int, region: Region | None
) -> None:
    file = Recording(noise)
    part = decompress_part(file, scale=scale, region=region)
    expected = _picked(NOISE.pixels, region, scale)[0]
    np.testing.assert_array_equal(part.image.pixels, expected)
    assert part.bytes_read == len(file.touched)
    assert part.size_bytes == len(noise)
    assert part.bytes_read < 0.45 * len(noise)
    other = bytes(byte if at in file.touched else byte ^ 0xFF for at, byte in enumerate(noise))
    again = decompress_part(other, scale=scale, region=region)
    np.testing.assert_array_equal(again.image.pixels, expected)
    cut = noise[: max(file.touched) + 1]
    again = decompress_part(cut, scale=scale, region=region)
    np.testing.assert_array_equal(again.image.pixels, expected)
    assert (again.bytes_read, again.size_bytes) == (part.bytes_read, len(cut))
    with pytest.raises(TruncatedError):
        decompress_part(cut[:-1], scale=scale, region=region)


def test_every_scale_costs_more_than_the_one_below(noise: bytes) -> None:
    costs = [decompress_part(noise, scale=scale).bytes_read for scale in reversed(SCALES)]
    assert all(3 < more / less < 5 for less, more in itertools.pairwise(costs))
    assert costs[-1] < len(noise)  # neither HASH nor DONE


@pytest.mark.parametrize(("scale", "region"), PARTS)
def test_damage_in_what_is_read_is_found(noise: bytes, scale: int, region: Region | None) -> None:
    file = Recording(noise)
    decompress_part(file, scale=scale, region=region)
    for at in random.Random(5).sample(sorted(file.touched), 12):
        damaged = noise[:at] + bytes([noise[at] ^ 0x10]) + noise[at + 1 :]
        with pytest.raises((CorruptError, NotXrcError, TruncatedError, UnsupportedFormatError)):
            decompress_part(damaged, scale=scale, region=region)


def test_a_hash_of_other_pixels_is_not_noticed() -> None:
    """Nor could it be: that of the whole image says nothing of a part."""
    data = compress(_waves((40, 40), 8))
    digest = bytearray(edit.payload_of(data, b"HASH"))
    digest[-1] ^= 1
    forged = edit.with_payload(data, b"HASH", bytes(digest))
    with pytest.raises(CorruptError, match="differ from the hash"):
        decompress(forged)
    for scale in SCALES:
        decompress_part(forged, scale=scale)


# Sources, settings, refusals.


@pytest.fixture(scope="module")
def small() -> bytes:
    return compress(_waves((70, 80), 12), Lattice(tile=64))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, io.BytesIO])
def test_bytes_and_files_of_any_kind(small: bytes, kind: type) -> None:
    expected = decompress_part(small, scale=4).image.pixels
    np.testing.assert_array_equal(decompress_part(kind(small), scale=4).image.pixels, expected)


def test_a_file_on_disk_whatever_its_position(small: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.xrc"
    path.write_bytes(small)
    expected = decompress_part(small, scale=4)
    for buffering in (0, -1):
        with path.open("rb", buffering) as file:
            file.seek(100)
            part = decompress_part(file, scale=4)
        np.testing.assert_array_equal(part.image.pixels, expected.image.pixels)
        assert part.bytes_read == expected.bytes_read


def test_threads_change_nothing_and_progress_rises(small: bytes) -> None:
    seen: list[tuple[int, int]] = []
    one = decompress_part(small, scale=2, threads=1)
    two = decompress_part(small, scale=2, threads=2, progress=lambda *step: seen.append(step))
    np.testing.assert_array_equal(one.image.pixels, two.image.pixels)
    assert seen == [(step, 4) for step in range(1, 5)]


@pytest.mark.parametrize("scale", [0, -1, 3, 16])
def test_scales_that_no_file_has(small: bytes, scale: int) -> None:
    with pytest.raises(OptionError, match=f"scale {scale}; allowed are 1, 2, 4, 8"):
        decompress_part(small, scale=scale)


@pytest.mark.parametrize(
    "region",
    [
        *((-1, 0, 5, 5), (0, -1, 5, 5), (0, 0, 71, 5), (0, 0, 5, 81), (70, 0, 1, 1)),
        *((0, 0, 0, 5), (0, 0, 5, 0), (5, 5, -1, 5), (1 << 70, 0, 1, 1), (0, 0, 1 << 70, 1)),
    ],
)
def test_regions_that_are_not_inside(small: bytes, region: Region) -> None:
    for scale in SCALES:
        with pytest.raises(OptionError, match="is not inside the image of 70 x 80"):
            decompress_part(small, region=region, scale=scale)


@pytest.mark.parametrize(("codec", "name"), [(RnnConv(8, 128), "rnn-conv"), (Stored(), "stored")])
def test_codecs_without_parts(codec: RnnConv | Stored, name: str) -> None:
    data = compress(_waves((20, 20), 8), codec)
    for options in ({"scale": 2}, {"region": (0, 0, 5, 5)}, {}):
        with pytest.raises(OptionError, match=f"codec '{name}' decodes whole images only"):
            decompress_part(data, **options)


def test_what_is_refused_as_by_decompress(small: bytes) -> None:
    with pytest.raises(LimitError, match="5600 pixels; the limit is 5599"):
        decompress_part(small, scale=8, limits=Limits(max_pixels=5599))
    with pytest.raises(NotXrcError):
        decompress_part(b"no such file")
    with pytest.raises(ModelError, match="no model pack abab"):
        decompress_part(edit.with_head(small, model=b"\xab" * 32), scale=8)
    with pytest.raises(UnsupportedFormatError, match="needs codec 'WXYZ'"):
        decompress_part(edit.with_head(small, codec=b"WXYZ"))
    with pytest.raises(CorruptError, match="multiples of 8"):
        decompress_part(edit.with_head(compress(_waves((9, 9), 8)), tile=100))


def test_a_pipe_cannot_be_read_in_parts(small: bytes) -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

        def seek(self, *_: int) -> int:
            raise io.UnsupportedOperation("seek")

    with pytest.raises(OSError, match="seek"):
        decompress_part(Pipe(small))


def test_changes_with_right_checksums_end_in_a_typed_error_or_an_image(small: bytes) -> None:
    places = [number for number, chunk in enumerate(edit.split(small)) if chunk[1]]
    given = 0
    for case in range(80):
        rng = random.Random(case)
        chunks = edit.split(small)
        place = rng.choice(places)
        payload = bytearray(chunks[place][1])
        for _ in range(rng.choice((1, 1, 4))):
            payload[rng.randrange(len(payload))] = rng.randrange(256)
        chunks[place] = (chunks[place][0], bytes(payload))
        for options in ({"scale": 4}, {"region": (64, 0, 6, 10)}):
            with contextlib.suppress(XrayCodecError):
                part = decompress_part(
                    edit.join(chunks), limits=Limits(max_pixels=1 << 20), threads=1, **options
                )
                given += part.image.pixels.size > 0
    assert 0 < given < 160
