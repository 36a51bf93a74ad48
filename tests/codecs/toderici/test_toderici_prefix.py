"""What the first layers of a file give, whole or cut off anywhere."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import toderici_reference as reference

import toderici_building as building
import xrc_editing as edit
from xraycodec import (
    CorruptError,
    Lattice,
    LimitError,
    Limits,
    ModelError,
    OptionError,
    RnnConv,
    Stored,
    Toderici,
    TruncatedError,
    UnsupportedFormatError,
    compress,
    decompress,
    decompress_part,
    decompress_prefix,
    verify,
)
from xraycodec.codecs.base import Codec
from xraycodec.container import parse

pytestmark = pytest.mark.usefixtures("tiny_model")

LAYERS = 6
IMAGE = building.waves((2, 70, 61), 12, "MONOCHROME1", dicom=b"data set")


@pytest.fixture(scope="module")
def data(tiny_model: Path) -> bytes:
    return compress(IMAGE, Toderici(LAYERS, 32))


@pytest.fixture(scope="module")
def layer_ends(data: bytes) -> list[int]:
    """Byte after each layer."""
    ends = [chunk.end for chunk in parse(data).chunks if chunk.type == "DATA"]
    assert len(ends) == LAYERS
    return ends


@pytest.fixture(scope="module")
def expected(data: bytes) -> list[np.ndarray]:
    """Pixels by the number of layers, from the spec."""
    return [np.zeros(0), *(reference.decode(data, count) for count in range(1, LAYERS + 1))]


def close(found: np.ndarray, expected: np.ndarray) -> bool:
    return bool(np.abs(found.astype(np.int64) - expected).max() <= 1)


@pytest.mark.parametrize("layers", range(1, LAYERS + 1))
def test_the_first_layers_of_a_whole_file(
    data: bytes, expected: list[np.ndarray], layers: int
) -> None:
    prefix = decompress_prefix(data, layers=layers)
    assert close(prefix.image.pixels, expected[layers])
    assert (prefix.layers, prefix.of_layers) == (layers, LAYERS)
    assert prefix.image.photometric_interpretation == "MONOCHROME1"
    assert prefix.image.bits_stored == 12
    assert prefix.image.dicom == b"data set"


def test_all_layers_are_the_image(data: bytes) -> None:
    whole = decompress(data).pixels
    np.testing.assert_array_equal(decompress_prefix(data).image.pixels, whole)
    np.testing.assert_array_equal(decompress_prefix(data, layers=LAYERS).image.pixels, whole)


def test_a_file_that_was_cut_off_anywhere(
    data: bytes, layer_ends: list[int], expected: list[np.ndarray]
) -> None:
    places = {
        len(data) - 1,
        *layer_ends,
        *(end - 1 for end in layer_ends),
        *range(0, len(data), 97),
    }
    for length in sorted(places):
        whole = sum(end <= length for end in layer_ends)
        cut = data[:length]
        if length < 8:
            continue  # no signature: not ours
        for broken in (lambda: decompress(cut), lambda: verify(cut)):  # noqa: B023
            with pytest.raises(TruncatedError):
                broken()
        if not whole:
            with pytest.raises(TruncatedError):
                decompress_prefix(cut)
            continue
        prefix = decompress_prefix(cut)
        assert (prefix.layers, prefix.of_layers) == (whole, LAYERS)
        assert prefix.size_bytes == length
        assert close(prefix.image.pixels, expected[whole])


def test_errors_fall_from_layer_to_layer(data: bytes, expected: list[np.ndarray]) -> None:
    errors = [np.abs(pixels - IMAGE.pixels).mean() for pixels in expected[1:]]
    assert all(
        late < early for early, late in itertools.pairwise([errors[0], errors[2], errors[5]])
    )


def test_a_file_without_its_first_layer_says_so(data: bytes, layer_ends: list[int]) -> None:
    cut = data[: layer_ends[0] - 1]
    with pytest.raises(TruncatedError, match=r"; 0 of 6 layers are whole$"):
        decompress_prefix(cut)
    with pytest.raises(TruncatedError):
        decompress_prefix(data[: parse(data).chunks[2].end - 1])  # inside INDX


def test_more_layers_than_are_whole(data: bytes, layer_ends: list[int]) -> None:
    cut = data[: layer_ends[2] + 5]
    assert decompress_prefix(cut, layers=3).layers == 3
    with pytest.raises(TruncatedError, match=r"; 3 of 6 layers are whole, not the 4 asked for$"):
        decompress_prefix(cut, layers=4)


@pytest.mark.parametrize("layers", [0, -1, 7])
def test_layers_that_the_file_never_had(data: bytes, layers: int) -> None:
    with pytest.raises(OptionError, match=f"{layers} layers; the file has 1 to 6"):
        decompress_prefix(data, layers=layers)


def test_only_the_layers_asked_for_are_read(data: bytes, layer_ends: list[int]) -> None:
    for count, end in enumerate(layer_ends, 1):
        prefix = decompress_prefix(data, layers=count)
        assert (prefix.bytes_read, prefix.size_bytes) == (end, len(data))


def test_damage_behind_the_layers_asked_for_is_not_met(
    data: bytes, layer_ends: list[int], expected: list[np.ndarray]
) -> None:
    damaged = bytearray(data)
    damaged[layer_ends[3] + 20] ^= 1
    assert close(decompress_prefix(damaged, layers=4).image.pixels, expected[4])
    for layers in (5, None):
        with pytest.raises(CorruptError, match="stores CRC-32"):
            decompress_prefix(damaged, layers=layers)


def test_files_and_buffers_of_any_kind(data: bytes, tmp_path: Path) -> None:
    expected = decompress_prefix(data, layers=2).image.pixels
    for source in (bytearray(data), memoryview(data), io.BytesIO(data)):
        np.testing.assert_array_equal(decompress_prefix(source, layers=2).image.pixels, expected)
    path = tmp_path / "x.xrc"
    path.write_bytes(data)
    with path.open("rb", buffering=0) as file:
        file.seek(50)
        np.testing.assert_array_equal(decompress_prefix(file, layers=2).image.pixels, expected)


def test_progress_and_a_single_frame() -> None:
    image = building.waves((20, 40))
    seen: list[tuple[int, int]] = []
    data = compress(image, Toderici(4, 32))
    prefix = decompress_prefix(data, layers=3, progress=lambda *step: seen.append(step))
    assert prefix.image.pixels.shape == (20, 40)
    assert seen[-1] == (6, 6)


@pytest.mark.parametrize(
    ("codec", "name", "instead"),
    [
        (Lattice(), "lattice", "its first layers are smaller images, which a scale asks for"),
        (RnnConv(8, 128), "rnn-conv", "it has one layer, needed whole"),
        (Stored(), "stored", "it has one layer, needed whole"),
    ],
)
def test_codecs_whose_layers_refine_nothing(codec: Codec, name: str, instead: str) -> None:
    data = compress(building.waves((20, 20)), codec)
    message = f"codec '{name}' does not refine the image layer by layer; {instead}"
    for source, layers in ((data, None), (data, 1), (data[:-20], None)):
        with pytest.raises(OptionError, match=message):
            decompress_prefix(source, layers=layers)
    container = parse(data)
    with pytest.raises(OptionError, match=message):
        type(codec).decode_prefix(container.header, container.parameters, container.payloads, 0)


def test_it_has_no_parts(data: bytes) -> None:
    for options in ({"scale": 2}, {"region": (0, 0, 5, 5)}, {}):
        with pytest.raises(OptionError, match="codec 'toderici' decodes whole images only"):
            decompress_part(data, **options)  # type: ignore[arg-type]


def test_what_is_refused_as_by_decompress(data: bytes) -> None:
    with pytest.raises(LimitError, match="8540 pixels; the limit is 8539"):
        decompress_prefix(data, layers=1, limits=Limits(max_pixels=8539))
    with pytest.raises(ModelError, match="no model pack abab"):
        decompress_prefix(edit.with_head(data, model=b"\xab" * 32), layers=1)
    with pytest.raises(UnsupportedFormatError, match="needs codec 'WXYZ'"):
        decompress_prefix(edit.with_head(data, codec=b"WXYZ"), layers=1)
