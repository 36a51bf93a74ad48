"""Pixels that are hidden behind one value: spec/wavelet-shutter.md."""

from __future__ import annotations

import itertools
import struct
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import spec_reader
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from wavelet_building import noise, smooth

import xrc_editing as edit
from xraycodec.codecs.wavelet import Wavelet, shutter_search
from xraycodec.codecs.wavelet import content as content_module
from xraycodec.codecs.wavelet.margins import find_margins
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.codecs.wavelet.shutter import CodedShutter, Shutter
from xraycodec.codecs.wavelet.shutter_search import find_shutter
from xraycodec.container import build, parse
from xraycodec.errors import CorruptError, FormatError
from xraycodec.exact.pack import find_pack
from xraycodec.image import XRay
from xraycodec.parts import decompress_part
from xraycodec.pipeline import compress, decompress
from xraycodec.prefix import decompress_prefix

pytestmark = pytest.mark.usefixtures("tiny_model")

Mask = npt.NDArray[np.bool_]


def outside_circle(rows: int, columns: int, radius: float) -> Mask:
    y, x = np.mgrid[:rows, :columns]
    found: Mask = (y - rows / 2 + 0.3) ** 2 + (x - columns / 2 - 0.2) ** 2 > radius**2
    return found


def hidden(image: XRay, mask: Mask, value: int) -> XRay:
    """An image, of one frame or several, behind a shutter."""
    frames = image.frames.copy()
    assert not (frames == value).any()
    frames[:, mask] = value
    return XRay(frames if len(frames) > 1 else frames[0], image.bits_stored)


def bright(rows: int, columns: int, bits: int = 8, *, signed: bool = False) -> XRay:
    """Smooth, and above a quarter of the range, so that a shutter of the lowest value is sharp."""
    image = smooth(rows, columns, bits, signed=signed)
    low = int(np.iinfo(image.pixels.dtype).min) if bits in (8, 16) else -(1 << (bits - 1))
    pixels = image.pixels.astype(np.int64) - (low if signed else 0)
    pixels = pixels * 3 // 4 + (1 << bits) // 4 + (low if signed else 0)
    return XRay(pixels.astype(image.pixels.dtype), bits)


MASK = outside_circle(67, 90, 32)
IMAGE = hidden(bright(67, 90), MASK, 0)
SECOND = XRay(IMAGE.pixels // 2 + 60 * (IMAGE.pixels > 0).astype(np.uint8), 8)
FRAMES = XRay(np.stack([IMAGE.pixels, SECOND.pixels]), 8)


def shutter_of(data: bytes) -> Shutter:
    container = parse(data)
    coded = Parameters.from_bytes(bytes(container.parameters)).shutter
    assert coded is not None
    return coded.decode(container.header.rows, container.header.columns)


def masks() -> dict[str, Mask]:
    rng = np.random.default_rng(5)
    line = np.zeros((40, 50), bool)
    line[17], line[:, 9] = True, True
    return {
        "circle": outside_circle(90, 70, 33),
        "inside": ~outside_circle(90, 70, 33),
        "empty": np.zeros((31, 17), bool),
        "full": np.ones((31, 17), bool),
        "random": rng.random((40, 30)) < 0.5,
        "rare": rng.random((60, 50)) < 0.01,
        "lines": line,
        "row": np.arange(300)[None] % 7 < 3,
        "column": np.arange(300)[:, None] % 5 == 0,
        "pixel": np.ones((1, 1), bool),
        "visible pixel": np.zeros((1, 1), bool),
        "two": np.array([[True, False]]),
    }


@pytest.mark.parametrize("name", masks())
def test_masks_come_back_and_are_those_of_the_specification(name: str) -> None:
    mask = masks()[name]
    written = Shutter(-7, mask).coded
    read, rest = CodedShutter.read(written.to_bytes() + b"more")
    assert (read, rest) == (written, b"more")
    found = read.decode(*mask.shape)
    assert found.value == -7
    np.testing.assert_array_equal(found.mask, mask)
    value, expected, rest = spec_reader.read_shutter(written.to_bytes() + b"more", *mask.shape)
    assert (value, rest) == (-7, b"more")
    np.testing.assert_array_equal(expected, mask)


@settings(max_examples=60)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=24)))
def test_any_mask_comes_back(mask: Mask) -> None:
    found = Shutter(0, mask).coded.decode(*mask.shape)
    np.testing.assert_array_equal(found.mask, mask)


def test_sizes_of_masks() -> None:
    """A circle takes its outline, not its pixels; noise hardly more than it has to say."""
    assert len(Shutter(0, outside_circle(500, 500, 240)).coded.stream) < 300
    assert len(Shutter(0, np.ones((1000, 1000), bool)).coded.stream) <= 24
    mask = np.random.default_rng(1).random((100, 100)) < 0.5
    assert len(Shutter(0, mask).coded.stream) < 1.15 * mask.size / 8


class TestStreams:
    """One test for each rule of section 1 that the bytes of a shutter can break."""

    coded = Shutter(3, MASK).coded

    def refused(self, stream: bytes, match: str) -> None:
        with pytest.raises(CorruptError, match=match):
            CodedShutter(3, stream).decode(*MASK.shape)

    @pytest.mark.parametrize("size", [0, 7])
    def test_1_a_front_that_ends_early(self, size: int) -> None:
        with pytest.raises(CorruptError, match=f"{size} bytes of a shutter; at least 8 belong"):
            CodedShutter.read(self.coded.to_bytes()[:size])

    @pytest.mark.parametrize("size", [len(coded.stream) + 1, 2**32 - 1])
    def test_1_a_size_beyond_the_parameters(self, size: int) -> None:
        data = struct.pack("<I", size) + self.coded.to_bytes()[4:]
        with pytest.raises(
            CorruptError, match=f"claims {size} bytes; {size and len(data) - 8} are"
        ):
            CodedShutter.read(data)

    @pytest.mark.parametrize("value", [-1, 256, 2**31 - 1])
    def test_2_value(self, value: int) -> None:
        written = Parameters(256, 0, 255, shutter=CodedShutter(value, bytes(8)))
        with pytest.raises(
            CorruptError, match=f"shutter is of value {value}; allowed are 0 to 255"
        ):
            Parameters.from_bytes(written.to_bytes())

    @pytest.mark.parametrize("size", [0, 4, 7, 9, 14])
    def test_3_size(self, size: int) -> None:
        self.refused(self.coded.stream[:size], f"a stream of {size} bytes; allowed are 8, 12")

    def test_3_start_state(self) -> None:
        stream = self.coded.stream[:4] + bytes(4) + self.coded.stream[8:]
        self.refused(stream, "begins with state .*, under 2")

    def test_3_words_run_out(self) -> None:
        self.refused(self.coded.stream[:-4], "ends before its mask does")

    def test_3_words_are_left(self) -> None:
        self.refused(self.coded.stream + bytes(4), "does not end where its mask does")

    def test_3_another_end(self) -> None:
        full = Shutter(0, np.ones((2, 2), bool)).coded.stream
        for rows in (1, 3):
            with pytest.raises(CorruptError, match=r"does not end|ends before"):
                CodedShutter(0, full).decode(rows, 2)

    def test_any_flipped_bit_is_found_or_is_another_mask(self) -> None:
        same = 0
        for place, bit in itertools.product(range(len(self.coded.stream)), range(8)):
            changed = bytearray(self.coded.stream)
            changed[place] ^= 1 << bit
            try:
                found = CodedShutter(3, bytes(changed)).decode(*MASK.shape)
            except CorruptError:
                continue
            same += bool((found.mask == MASK).all())
        assert not same


@settings(max_examples=150)
@given(st.binary(max_size=60), st.integers(1, 40), st.integers(1, 40))
def test_any_bytes_are_a_shutter_or_corrupt(data: bytes, rows: int, columns: int) -> None:
    for front in (data, struct.pack("<Ii", len(data), 1) + data):
        try:
            coded, rest = CodedShutter.read(front)
            found = coded.decode(rows, columns)
        except CorruptError:
            continue
        assert coded.to_bytes() + rest == front
        assert found.mask.shape == (rows, columns)
        # Each mask has one stream.
        assert Shutter(coded.value, found.mask).coded == coded


class TestTakingOff:
    def test_visible_pixels_stay(self) -> None:
        found = Shutter(0, MASK).take_off(FRAMES.frames)
        np.testing.assert_array_equal(found[:, ~MASK], FRAMES.frames[:, ~MASK])

    @pytest.mark.parametrize("shape", [(1, 1), (1, 9), (9, 1), (2, 3), (33, 64)])
    def test_a_surface_goes_on(self, shape: tuple[int, int]) -> None:
        frames = np.full((2, *shape), 40, np.uint8)
        frames[1] = 90
        mask = np.random.default_rng(2).random(shape) < 0.6
        mask[0, 0] = False
        shown = np.where(mask, 0, frames).astype(np.uint8)
        shown[:, 0, 0] = 40, 90
        np.testing.assert_array_equal(Shutter(0, mask).take_off(shown), frames)

    def test_it_is_within_the_range_and_smooth(self) -> None:
        found = Shutter(0, MASK).take_off(IMAGE.frames)[0]
        visible = IMAGE.pixels[~MASK]
        assert visible.min() <= found.min() <= found.max() <= visible.max()
        jumps = np.abs(np.diff(found, axis=1))[MASK[:, 1:] | MASK[:, :-1]]
        assert jumps.max() < 60 < np.abs(np.diff(IMAGE.pixels.astype(int), axis=1)).max()

    def test_a_mask_of_all(self) -> None:
        frames = np.full((1, 3, 4), 7, np.uint8)
        full = Shutter(7, np.ones((3, 4), bool))
        np.testing.assert_array_equal(full.take_off(frames), frames)

    @pytest.mark.parametrize("level", [0, 1, 2, 3])
    def test_putting_back(self, level: int) -> None:
        pixels = np.full((2, -(-67 >> level), -(-90 >> level)), 100, np.int32)
        Shutter(9, MASK).put_back(pixels, level)
        for i, j in np.ndindex(pixels.shape[1:]):
            assert (pixels[:, i, j] == (9 if MASK[i << level, j << level] else 100)).all()


WIDE_MASK = outside_circle(220, 200, 97)
WIDE = hidden(bright(220, 200), WIDE_MASK, 0).pixels


class TestWhereItPays:
    @pytest.mark.parametrize("value", [0, 255])
    @pytest.mark.parametrize("count", [1, 3, 20])
    def test_a_circle_with_a_sharp_edge(self, value: int, count: int) -> None:
        frame = WIDE if not value else 255 - WIDE
        found = find_shutter(np.stack([frame] * count))
        assert found is not None
        assert found.value == value
        np.testing.assert_array_equal(found.mask, WIDE_MASK)

    def test_a_soft_edge(self) -> None:
        y, x = np.mgrid[:200, :180]
        far = np.hypot(y - 100, x - 90)
        soft = np.rint(np.clip((80 - far) * 1.5, 0, 200)).astype(np.uint8)
        assert (soft == 0).mean() > 0.3
        assert find_shutter(soft[None]) is None
        sharp = np.where(far < 80, soft + 50, 0).astype(np.uint8)
        assert find_shutter(sharp[None]) is not None

    def test_what_is_saved_is_held_against_the_mask(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutter_search, "_LEAST_GAIN", 60.0)
        assert find_shutter(WIDE[None]) is None

    def test_pixels_that_are_not_hidden_in_every_frame(self) -> None:
        other = WIDE.copy()
        other[:70] = 77
        found = find_shutter(np.stack([WIDE, other]))
        assert found is not None
        assert not found.mask[:70].any()
        np.testing.assert_array_equal(found.mask[70:], WIDE_MASK[70:])

    def test_isolated_pixels_stay_visible(self) -> None:
        frame = WIDE.copy()
        frame[90:120:9, 90:150:9] = 0
        found = find_shutter(frame[None])
        assert found is not None
        np.testing.assert_array_equal(found.mask, WIDE_MASK)

    def test_few_pixels(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(shutter_search, "LEAST_SHARE", 1.001 * WIDE_MASK.mean())
        assert find_shutter(WIDE[None]) is None

    @pytest.mark.parametrize(
        "image",
        [smooth(60, 70), noise(60, 70, 8), XRay(np.full((9, 9), 5, np.uint8), 8),
         XRay(np.zeros((1, 1), np.uint8), 8), smooth(1, 80)],
        ids=["smooth", "noise", "constant", "pixel", "row"],
    )  # fmt: skip
    def test_none(self, image: XRay) -> None:
        assert find_shutter(image.frames) is None

    def test_masks_that_do_not_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        found = find_shutter(WIDE[None])
        assert found is not None
        size = len(found.coded.to_bytes())
        monkeypatch.setattr(shutter_search, "MOST_BYTES", size)
        assert find_shutter(WIDE[None]) is not None
        monkeypatch.setattr(shutter_search, "MOST_BYTES", size - 1)
        assert find_shutter(WIDE[None]) is None


@pytest.fixture(params=[1, 4], ids=["one layer", "four layers"])
def layers(request: pytest.FixtureRequest) -> int:
    if request.param == 4:
        request.getfixturevalue("four_layers")
    count: int = request.param
    return count


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> list[Shutter]:
    """Hide every pixel of the lowest value, as in images that are large enough for it to pay."""
    found: list[Shutter] = []

    def hide(frames: npt.NDArray[np.integer]) -> Shutter:
        lowest = frames.min()
        found.append(Shutter(int(lowest), (frames == lowest).all(0)))
        return found[-1]

    monkeypatch.setattr(content_module, "find_shutter", hide)
    return found


SIGNED = hidden(bright(40, 52, 12, signed=True), outside_circle(40, 52, 19), -2048)
DEEP = hidden(bright(45, 38, 16), outside_circle(45, 38, 18), 0)


@pytest.mark.usefixtures("always")
class TestFiles:
    @pytest.mark.parametrize(
        "image", [IMAGE, FRAMES, SIGNED, DEEP], ids=["one", "frames", "signed", "16 bits"]
    )
    @pytest.mark.parametrize("effort", [0, 1])
    def test_hidden_pixels_are_exact(self, image: XRay, effort: int, layers: int) -> None:
        data = compress(image, Wavelet(quality=30, effort=effort, threads=1))
        shutter = shutter_of(data)
        np.testing.assert_array_equal(shutter.mask, (image.frames == image.frames.min()).all(0))
        found = decompress(data, threads=1)
        assert (found.frames[:, shutter.mask] == image.frames.min()).all()
        assert parse(data).header.layers == layers

    def test_the_specification_decodes_the_same(self, layers: int) -> None:
        mask = outside_circle(14, 17, 7)
        small = hidden(
            XRay(np.stack([bright(14, 17).pixels, bright(14, 17).pixels // 2]), 8), mask, 0
        )
        data = compress(small, Wavelet(quality=60, threads=1))
        container = parse(data)
        shutter_of(data)
        pack = find_pack(container.header.model)
        np.testing.assert_array_equal(
            spec_reader.decode(container, pack), decompress(data, threads=1).frames
        )
        for level in (1, 2, 3):
            np.testing.assert_array_equal(
                spec_reader.decode(container, pack, level=level),
                decompress_part(data, scale=1 << level, threads=1).image.frames,
            )
        for count in range(1, layers):
            np.testing.assert_array_equal(
                spec_reader.decode(container, pack, count),
                decompress_prefix(data, layers=count, threads=1).image.frames,
            )

    def test_margins_are_found_in_front_of_what_was_hidden(self) -> None:
        pixels = bright(20, 24).pixels.copy()
        for line in (pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]):
            line[:] = line // 2
        mask = np.zeros(pixels.shape, bool)
        mask[:9, 5:15] = True
        image = hidden(XRay(pixels, 8), mask, 0)
        data = compress(image, Wavelet(step=90, threads=1))
        parameters = Parameters.from_bytes(bytes(parse(data).parameters))
        frames = shutter_of(data).take_off(image.frames)
        assert parameters.margins == find_margins(frames)
        assert parameters.margins is not None
        pack = find_pack(parse(data).header.model)
        found = decompress(data, threads=1).frames
        np.testing.assert_array_equal(spec_reader.decode(parse(data), pack), found)
        assert (found[:, mask] == 0).all()

    @pytest.mark.parametrize("scale", [1, 2, 4, 8])
    def test_regions(self, scale: int, layers: int) -> None:
        data = compress(FRAMES, Wavelet(threads=1))
        whole = decompress_part(data, scale=scale, threads=1).image.frames
        covered = MASK[::scale, ::scale]
        assert (whole[:, covered] == 0).all()
        assert (whole[:, ~covered] > 0).mean() > 0.9
        region = decompress_part(data, scale=scale, region=(9, 8, 31, 40), threads=1).image.frames
        top, left = -(-9 // scale), -(-8 // scale)
        bottom, right = -(-40 // scale), -(-48 // scale)
        np.testing.assert_array_equal(region, whole[:, top:bottom, left:right])

    @pytest.mark.parametrize("image", [IMAGE, FRAMES, SIGNED], ids=["one", "frames", "signed"])
    @pytest.mark.parametrize("max_error", [0, 2])
    def test_completed(self, image: XRay, max_error: int) -> None:
        data = compress(image, Wavelet(quality=30, max_error=max_error, profile="fast", threads=1))
        mask = shutter_of(data).mask
        found = decompress(data, threads=1).frames
        assert np.abs(found.astype(int) - image.frames).max() <= max_error
        region = decompress_part(data, region=(5, 6, 20, 30), threads=1).image.frames
        np.testing.assert_array_equal(region, found[:, 5:25, 6:36])
        lowest = image.frames.min()
        for count in (1, 4):
            base = decompress_prefix(data, layers=count, threads=1).image.frames
            assert (base[:, mask] == lowest).all()
        half = decompress_part(data, scale=2, threads=1).image.frames
        assert (half[:, mask[::2, ::2]] == lowest).all()

    @pytest.mark.parametrize("wish", [{"size": 900}, {"psnr": 38.0}, {"ratio": 9.0}])
    def test_it_is_found_once(self, wish: dict[str, float], always: list[Shutter]) -> None:
        data = compress(IMAGE, Wavelet(threads=1, **wish))  # type: ignore[arg-type]
        assert len(always) == 1
        np.testing.assert_array_equal(shutter_of(data).mask, MASK)


def test_it_makes_files_smaller_and_images_better(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = compress(XRay(WIDE, 8), Wavelet(threads=1))
    np.testing.assert_array_equal(shutter_of(with_it).mask, WIDE_MASK)
    monkeypatch.setattr(content_module, "find_shutter", lambda frames: None)
    without = compress(XRay(WIDE, 8), Wavelet(threads=1))
    assert len(with_it) < 0.9 * len(without)
    errors = [
        float(np.square(decompress(data, threads=1).pixels.astype(float) - WIDE).mean())
        for data in (with_it, without)
    ]
    assert errors[0] < errors[1]


@pytest.mark.usefixtures("always")
class TestDamagedFiles:
    def test_any_flipped_bit_without_checksums(self) -> None:
        data = compress(SIGNED, Wavelet(quality=20, threads=1))
        expected = decompress(data, threads=1).pixels
        original = edit.payload_of(data, b"PARM")
        margins = Parameters.from_bytes(original).margins
        for place in range(26 if margins else 14, len(original)):
            changed = bytearray(original)
            changed[place] ^= 1 << place * 5 % 8
            broken = edit.with_payload(data, b"PARM", bytes(changed))
            with pytest.raises(FormatError):
                decompress(broken, threads=1)
        np.testing.assert_array_equal(decompress(data, threads=1).pixels, expected)

    def test_parameters_that_are_cut(self) -> None:
        data = compress(SIGNED, Wavelet(quality=20, threads=1))
        original = edit.payload_of(data, b"PARM")
        for size in range(len(original)):
            with pytest.raises(CorruptError):
                decompress(edit.with_payload(data, b"PARM", original[:size]), threads=1)
        with pytest.raises(CorruptError, match="1 bytes too many"):
            decompress(edit.with_payload(data, b"PARM", original + b"\0"), threads=1)

    def test_an_image_of_another_size(self) -> None:
        container = parse(compress(IMAGE, Wavelet(threads=1)))
        header = replace(container.header, rows=99)
        other = build(header, container.parameters, container.payloads, container.pixel_hash)
        with pytest.raises(CorruptError, match=r"the WAVE shutter (does not end|ends before)"):
            decompress(other, threads=1)
