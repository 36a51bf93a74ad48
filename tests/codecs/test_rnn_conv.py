from __future__ import annotations

import os
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import xraycodec
from rnn_conv_building import PAPER_128, models_in, paper_model_in
from xraycodec import (
    CorruptError,
    ModelError,
    OptionError,
    RnnConv,
    UnsupportedFormatError,
    XRay,
    compress,
    decompress,
    read,
    verify,
)
from xraycodec.codecs.rnn_conv import codec as codec_module
from xraycodec.codecs.rnn_conv import model as model_module
from xraycodec.codecs.rnn_conv.model import model_for, pack_for_segment
from xraycodec.codecs.rnn_conv.parameters import Parameters, intensity_window
from xraycodec.container import Limits, parse
from xraycodec.evaluation.klt import learn_klt, reconstruct
from xraycodec.exact import pack as pack_module
from xraycodec.exact.pack import SEARCH_PATH, build_pack, find_pack

ANY_SEGMENT = pytest.mark.parametrize("tile", [128, 256])


def wave(rows, columns, low=0, high=255, dtype=np.uint8):
    """A smooth image between ``low`` and ``high`` with a little noise."""
    rng = np.random.default_rng(rows * 10_007 + columns)
    y, x = np.mgrid[:rows, :columns] / 200
    share = 0.5 + 0.35 * np.sin(3 * y + 1) * np.cos(4 * x) + 0.01 * rng.normal(size=y.shape)
    return np.rint(low + (high - low) * share.clip(0, 1)).astype(dtype)


def psnr_db(image, decoded):
    error = image.pixels.astype(np.float64) - decoded.pixels
    return 10 * np.log10(image.peak**2 / max(1e-9, np.mean(error**2)))


def kept(image, decoded):
    """Assert that everything but the pixels' values came back as it was."""
    assert decoded.pixels.shape == image.pixels.shape
    assert decoded.pixels.dtype == image.pixels.dtype
    assert decoded.bits_stored == image.bits_stored
    assert decoded.photometric_interpretation == image.photometric_interpretation


def radiograph(data_dir, place):
    return read(sorted((data_dir / "nih-cxr8" / "test").iterdir())[place])


@pytest.mark.parametrize(
    "shape", [(1, 1), (1, 17), (17, 1), (16, 16), (15, 33), (300, 260), (3, 20, 40)]
)
@ANY_SEGMENT
def test_any_size(shape, tile):
    frames = [wave(*shape[-2:]) // (k + 1) for k in range(shape[0] if len(shape) == 3 else 1)]
    image = XRay(np.array(frames).reshape(shape), 8)
    data = compress(image, RnnConv(tile=tile))
    assert verify(data).identical
    decoded = decompress(data)
    kept(image, decoded)
    assert psnr_db(image, decoded) > 28


@pytest.mark.parametrize("bits", range(8, 17))
def test_any_depth(bits):
    dtype = np.uint8 if bits == 8 else np.uint16
    image = XRay(wave(50, 60, 0, (1 << bits) - 1, dtype), bits)
    data = compress(image, RnnConv())
    assert verify(data).identical
    kept(image, decompress(data))
    assert psnr_db(image, decompress(data)) > 32


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_fewer_than_8_bits_stay_within_their_range(bits):
    image = XRay(wave(40, 40, 0, (1 << bits) - 1), bits)
    decoded = decompress(compress(image, RnnConv()))
    kept(image, decoded)
    assert decoded.pixels.max() < 1 << bits


@pytest.mark.parametrize(
    ("bits", "low", "high"),
    [
        (8, -128, 127),
        (12, -1024, 1023),
        (12, -2048, 2047),
        (16, -32768, 32767),
        (16, 20_000, 20_100),
        (16, -20_100, -20_000),
    ],
)
def test_signed_pixels(bits, low, high):
    image = XRay(wave(50, 60, low, high, np.int8 if bits == 8 else np.int16), bits)
    data = compress(image, RnnConv())
    assert verify(data).identical
    decoded = decompress(data)
    kept(image, decoded)
    assert np.abs(decoded.pixels.astype(int) - image.pixels).mean() < 0.03 * (high - low)
    assert decoded.pixels.min() >= low


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
def test_a_flat_image_survives(level):
    image = XRay(np.full((70, 90), level, np.uint8), 8)
    decoded = decompress(compress(image, RnnConv()))
    # Training images are seldom white all over: the brightest codes are the coarsest.
    assert np.abs(decoded.pixels.astype(int) - level).max() <= 8


@pytest.mark.parametrize("level", [0, 4095, 65535])
def test_a_flat_deep_image_survives(level):
    image = XRay(np.full((40, 40), level, np.uint16), 16)
    decoded = decompress(compress(image, RnnConv()))
    # The codes are spent on the 8 bits about the level, not on the 16 stored.
    assert np.abs(decoded.pixels.astype(int) - level).max() <= 8


def test_black_and_white_noise_is_coded_too():
    pixels = (np.random.default_rng(0).integers(0, 2, (64, 64)) * 255).astype(np.uint8)
    data = compress(XRay(pixels, 8), RnnConv(ratio=2))
    assert verify(data).identical


def test_monochrome1_is_coded_as_its_inverse():
    pixels = wave(80, 80, 0, 255)
    plain = decompress(compress(XRay(pixels, 8), RnnConv()))
    inverse = XRay(255 - pixels, 8, "MONOCHROME1")
    decoded = decompress(compress(inverse, RnnConv()))
    kept(inverse, decoded)
    assert np.abs((255 - decoded.pixels.astype(int)) - plain.pixels).max() <= 1
    header = parse(compress(inverse, RnnConv()), Limits())
    assert Parameters.from_bytes(bytes(header.parameters)).inverted


def test_the_stream_promises_no_more_than_the_codec_keeps():
    found = verify(compress(wave(20, 20), RnnConv()))
    assert (found.exact, found.max_error) == (False, None)


def test_encoding_is_deterministic():
    assert compress(wave(70, 50), RnnConv()) == compress(wave(70, 50), RnnConv())


def test_threads_do_not_change_codes():
    one, all_cores = (RnnConv(threads=threads).encode(XRay(wave(90, 90), 8)) for threads in (1, 0))
    assert np.abs(one.pixels.astype(int) - all_cores.pixels).max() <= 2


@pytest.mark.parametrize(("ratio", "beta"), [(2, 128), (8, 32), (100, 3), (256, 1), (170.6, 2)])
def test_the_ratio_is_256_over_beta(ratio, beta):
    assert RnnConv(ratio=ratio).beta == beta
    parameters = RnnConv(ratio=ratio).encode(XRay(wave(16, 16), 8)).parameters
    assert Parameters.from_bytes(parameters).beta == beta


@pytest.mark.parametrize("ratio", [1.99, 0, -8, 257, float("nan"), float("inf")])
def test_a_ratio_out_of_range(ratio):
    with pytest.raises(OptionError, match=r"ratio .*; rnn-conv serves 2 to 256"):
        RnnConv(ratio=ratio)


@pytest.mark.parametrize("tile", [0, 16, 64, 512, -128])
def test_a_tile_without_a_network(tile):
    with pytest.raises(OptionError, match=f"tile {tile}; rnn-conv has networks for 128 and 256"):
        RnnConv(tile=tile)


def test_a_configuration_that_does_not_exist():
    with pytest.raises(OptionError, match="configuration 'wide'; rnn-conv has compact and paper"):
        RnnConv(configuration="wide")


def test_the_configuration_chooses_the_network_and_the_stream_names_it(tmp_path):
    image = XRay(wave(40, 40), 8)
    compact = RnnConv(8, 128, 1)
    assert compact.configuration == "compact"
    with paper_model_in(tmp_path) as digest:
        encoded = RnnConv(8, 128, 1, "paper").encode(image)
        assert encoded.header.model == digest
        assert compact.encode(image).header.model == pack_for_segment(128).digest != digest
        data = compress(image, RnnConv(8, 128, 1, "paper"))
        assert (decompress(data, threads=1).pixels == encoded.pixels[0]).all()


def test_a_configuration_whose_model_is_not_at_hand(tmp_path):
    at_hand = "at hand: rnn-conv-compact-128, rnn-conv-compact-256"
    with models_in(tmp_path), pytest.raises(ModelError) as caught:
        RnnConv(tile=128, configuration="paper").encode(XRay(wave(16, 16), 8))
    message = str(caught.value)
    assert message.startswith(f"no model pack {PAPER_128} in {tmp_path}; set XRAYCODEC_MODELS to")
    assert message.endswith(f"the folder that holds it, or name its file; {at_hand}")
    with (
        paper_model_in(tmp_path),
        pytest.raises(ModelError, match="no model pack rnn-conv-paper-256") as caught,
    ):
        RnnConv(configuration="paper").encode(XRay(wave(16, 16), 8))
    assert str(caught.value).endswith(f"{at_hand}, rnn-conv-paper-128")


def test_a_model_that_is_damaged_is_not_called_missing(tmp_path):
    (tmp_path / PAPER_128).write_bytes(b"no pack")
    with models_in(tmp_path), pytest.raises(ModelError, match="is no readable model pack"):
        RnnConv(tile=128, configuration="paper").encode(XRay(wave(16, 16), 8))


@ANY_SEGMENT
def test_a_larger_ratio_gives_a_smaller_and_worse_file(data_dir, tile):
    image = radiograph(data_dir, 1)
    image = replace(image, pixels=image.pixels[300:620, 300:620])
    streams = [compress(image, RnnConv(ratio=ratio, tile=tile)) for ratio in (2, 8, 32, 128)]
    sizes = [len(data) for data in streams]
    fidelity = [psnr_db(image, decompress(data)) for data in streams]
    assert sizes == sorted(sizes, reverse=True)
    assert len(set(sizes)) == 4
    assert (np.diff(fidelity) < -1).all()


@pytest.fixture(scope="module")
def floor(data_dir):
    """A piece of a test radiograph, and its PSNR through 32 coefficients of the KLT."""
    files = sorted((data_dir / "nih-cxr8" / "train").iterdir())[::100]
    training = np.stack([read(path).pixels for path in files])
    image = radiograph(data_dir, 1)
    image = replace(image, pixels=np.ascontiguousarray(image.pixels[256:768, 256:768]))
    (pixels,) = reconstruct(learn_klt(training, 16), image.pixels[None], 32)
    return image, psnr_db(image, replace(image, pixels=pixels))


@ANY_SEGMENT
def test_a_radiograph_is_better_than_the_linear_floor(floor, tile):
    """The network must beat the block transform that it began as, at the paper's ratio 8."""
    image, floor_db = floor
    found_db = psnr_db(image, decompress(compress(image, RnnConv(ratio=8, tile=tile))))
    assert found_db > 38
    assert found_db > floor_db


def test_windows_give_what_one_run_over_the_frame_gives(monkeypatch):
    image = XRay(wave(600, 700), 8)
    codec = RnnConv(ratio=8)
    pieces = codec.encode(image)
    monkeypatch.setattr(codec_module, "WINDOW", 1000)
    whole = codec.encode(image)
    difference = np.abs(pieces.pixels.astype(int) - whole.pixels)
    # A latent halfway between two codes may fall to either side.
    assert (difference > 1).mean() < 1e-3
    assert (difference > 0).mean() < 1e-2


def test_decoding_in_windows_gives_what_one_run_over_the_frame_gives(monkeypatch):
    image = XRay(wave(600, 700), 8)
    data = compress(image, RnnConv())
    pieces = decompress(data).pixels.astype(int)
    monkeypatch.setattr(codec_module, "WINDOW", 1000)
    container = parse(data, Limits())
    whole = RnnConv.decode(container, 0)[0]
    difference = np.abs(pieces - whole)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_small_windows_need_no_wider_surroundings(monkeypatch):
    """One block at a time: a halo too narrow by a single block would show everywhere."""
    model = model_for(pack_for_segment(128).digest)
    rng = np.random.default_rng(0)
    plan = Parameters(128, 0, 255, False, bytes(8))
    codes = np.rint(rng.laplace(0, 9, (128, 9, 7))).clip(-127, 127).astype(np.int8)
    frames = []
    for window in (1, 1000):
        frame = np.empty((9 * 16, 7 * 16), np.uint8)
        for part in codec_module.windows(9, 7, window, codec_module.SYNTHESIS_HALO):
            codec_module.synthesise(model, plan, codes, frame, part, (0, 255))
        frames.append(frame.astype(int))
    assert np.abs(frames[0] - frames[1]).max() <= 1


@pytest.mark.parametrize("feedback", [False, True])
def test_small_windows_analyse_as_the_whole_frame(feedback):
    model = model_for(pack_for_segment(128).digest)
    frame = np.random.default_rng(1).integers(0, 256, (11 * 16 - 5, 10 * 16 - 9)).astype(np.uint8)
    plan = Parameters(64, 0, 255, False, bytes(8))
    halo = codec_module.FEEDBACK_HALO if feedback else codec_module.ANALYSIS_HALO
    found = []
    for window in (1, 1000):
        latents = np.empty((64, 11, 10), np.float32)
        for part in codec_module.windows(11, 10, window, halo):
            latents[:, *part.inner] = codec_module.analyse(
                model, plan, frame, part, feedback=feedback
            )
        found.append(latents)
    assert np.abs(found[0] - found[1]).max() < 1e-3


def test_feedback_is_worth_its_time(data_dir):
    image = radiograph(data_dir, 1)
    part = XRay(np.ascontiguousarray(image.frames[0][300:556, 300:556]), 8)
    once, again = (RnnConv(4, effort=effort).encode(part) for effort in (0, 1))
    assert psnr_db(part, XRay(again.pixels, 8)) > psnr_db(part, XRay(once.pixels, 8)) + 0.02
    assert [sum(map(len, found.payloads)) for found in (again, once)] == pytest.approx(
        [sum(map(len, once.payloads))] * 2, rel=0.03
    )


def test_an_effort_that_there_is_not():
    with pytest.raises(OptionError, match="effort 2; rnn-conv takes 0 to 1"):
        RnnConv(effort=2)


def test_no_seams_on_a_radiograph(data_dir):
    """The same pixels are coded twice, on a border of tiles or windows and inside of them.

    A cut of 64 pixels, four whole blocks, off the top and left moves every border of tiles (128)
    and of windows (512) to what was the middle of a tile, and leaves the blocks where they were.
    """
    image = radiograph(data_dir, 1)
    codec = RnnConv(ratio=16, tile=128)
    source = image.pixels[:704, :704]
    error = np.abs(codec.encode(XRay(source, 8)).pixels[0].astype(int) - source)
    moved = source[64:, 64:]
    moved_error = np.abs(codec.encode(XRay(moved, 8)).pixels[0].astype(int) - moved)
    place = np.arange(64 + 64, 704 - 64)  # away from the cut, which changes what is near it
    error = error[128:640, 128:640]
    moved_error = moved_error[64:576, 64:576]
    for period in (128, 512):
        border = (place + 2) % period < 4
        for axis in (0, 1):
            on_border = error.compress(border, axis).mean()
            inside = moved_error.compress(border, axis).mean()
            assert on_border == pytest.approx(inside, rel=0.05)


def test_progress_reaches_its_end():
    calls = []
    compress(wave(600, 40), RnnConv(), progress=lambda *call: calls.append(call))
    assert calls[-1][0] == calls[-1][1] == len(calls)


MEMORY = """
import numpy
from pathlib import Path
from xraycodec import RnnConv, compress
y, x = numpy.mgrid[:2500, :2500]
pixels = (32768 + 16000 * numpy.sin(y / 90) * numpy.cos(x / 70)).astype(numpy.uint16)
del y, x
compress(pixels, RnnConv())
# Unlike ru_maxrss, this does not begin with the peak of the process that forked.
status = Path("/proc/self/status").read_text().split()
print(status[status.index("VmHWM:") + 1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from Linux' /proc")
def test_memory_does_not_grow_with_the_networks_activations():
    """Whole, 2500 x 2500 pixels would take several GB of activations; in windows they do not."""
    source = str(Path(xraycodec.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", MEMORY],
        env={**os.environ, "PYTHONPATH": source},
        check=True,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout) << 10 < 1200 << 20


PLAN = Parameters(beta=32, low=-5, span=4095, inverted=True, digest=b"12345678")


@pytest.mark.parametrize(
    "plan",
    [
        PLAN,
        Parameters(1, 0, 1, False, bytes(8)),
        Parameters(128, 65535, 65535, True, b"\xff" * 8),
        Parameters(128, -32768, 65535, False, b"\xff" * 8),
    ],
)
def test_parameters_round_trip(plan):
    assert len(plan.to_bytes()) == 20
    assert Parameters.from_bytes(plan.to_bytes()) == plan


def test_the_layout_of_parameters():
    assert PLAN.to_bytes() == bytes.fromhex("01200100 fbffffff ff0f0000") + b"12345678"


@pytest.mark.parametrize("version", [0, 2, 255])
@pytest.mark.parametrize("length", [1, 20, 21])
def test_parameters_of_another_version(version, length):
    data = (bytes([version]) + PLAN.to_bytes()[1:] + b"\x00")[:length]
    with pytest.raises(UnsupportedFormatError, match=f"version {version}; this reader knows 1"):
        Parameters.from_bytes(data)


@pytest.mark.parametrize("length", [0, 1, 19, 21])
def test_parameters_of_another_length(length):
    with pytest.raises(CorruptError, match=f"have {length} bytes, not 20"):
        Parameters.from_bytes((PLAN.to_bytes() + b"\x00")[:length])


@pytest.mark.parametrize(("place", "value"), [(2, 2), (2, 0x81), (3, 1)])
def test_reserved_bits_of_parameters(place, value):
    data = bytearray(PLAN.to_bytes())
    data[place] = value
    with pytest.raises(CorruptError, match="reserved bits"):
        Parameters.from_bytes(bytes(data))


@pytest.mark.parametrize("beta", [0, 129, 255])
def test_parameters_that_keep_too_many_channels_or_none(beta):
    with pytest.raises(CorruptError, match=f"keep {beta} channels; allowed are 1 to 128"):
        Parameters.from_bytes(bytes([1, beta]) + PLAN.to_bytes()[2:])


@pytest.mark.parametrize(
    ("low", "span"), [(-32769, 1), (65536, 1), (0, 0), (0, 65536), (0, 2**32 - 1)]
)
def test_parameters_that_map_beyond_16_bits(low, span):
    data = PLAN.to_bytes()[:4] + struct.pack("<iI", low, span) + bytes(8)
    with pytest.raises(CorruptError, match=r"map 0 \.\. 1 to .*; 16 bits are the limit"):
        Parameters.from_bytes(data)


@pytest.mark.parametrize(
    ("pixels", "bits", "due"),
    [
        (np.array([[0, 255]], np.uint8), 8, (0, 255)),
        (np.array([[90, 91]], np.uint8), 8, (0, 255)),
        (np.array([[0, 1]], np.uint8), 1, (0, 1)),
        (np.array([[3, 9]], np.uint8), 4, (0, 15)),
        (np.array([[0, 4095]], np.uint16), 16, (0, 4095)),
        (np.array([[0, 4096]], np.uint16), 16, (0, 8191)),
        (np.array([[2000, 2100]], np.uint16), 12, (2000, 255)),
        (np.array([[200, 300]], np.uint16), 12, (200, 255)),
        (np.array([[65000, 65535]], np.uint16), 16, (65000, 1023)),
        (np.array([[-1024, 1023]], np.int16), 12, (-1024, 2047)),
        (np.array([[-32768, 32767]], np.int16), 16, (-32768, 65535)),
        (np.array([[-5, -5]], np.int8), 8, (-5, 255)),
    ],
)
def test_the_intensity_window_is_the_smallest_power_of_two(pixels, bits, due):
    low, span = intensity_window(XRay(pixels, bits))
    assert (low, span) == due
    assert low <= pixels.min()
    assert pixels.max() <= low + span


def container_of(image=None, **header):
    container = parse(compress(wave(40, 40) if image is None else image, RnnConv()), Limits())
    return replace(container, header=replace(container.header, **header))


def planned(container, **changes):
    plan = replace(Parameters.from_bytes(bytes(container.parameters)), **changes)
    return replace(container, parameters=plan.to_bytes())


@pytest.mark.parametrize("tile", [0, 8, 100])
def test_tiles_that_are_no_whole_blocks(tile):
    with pytest.raises(CorruptError, match=f"multiples of 16 pixels, not {tile}"):
        RnnConv.decode(container_of(tile=tile), 0)


@pytest.mark.parametrize("header", [{"exact": True}, {"max_error": 3}])
def test_promises_that_the_codec_cannot_keep(header):
    with pytest.raises(CorruptError, match="neither is exact nor bounds the error"):
        RnnConv.decode(container_of(**header), 0)


def test_layers_that_the_codec_does_not_have():
    with pytest.raises(CorruptError, match="RNNC has one layer; HEAD says 2"):
        RnnConv.decode(container_of(layers=2), 0)


def test_other_codes_than_were_encoded():
    with pytest.raises(CorruptError, match="codes differ from those that were encoded"):
        RnnConv.decode(planned(container_of(), digest=bytes(8)), 0)


@pytest.mark.parametrize(("low", "signed"), [(-1, False), (256, False), (-129, True), (128, True)])
def test_an_intensity_window_outside_of_the_bits_stored(low, signed):
    with pytest.raises(CorruptError, match=f"map 0 to {low}; 8 bits stored hold"):
        RnnConv.decode(planned(container_of(signed=signed), low=low), 0)


def test_a_damaged_tile():
    container = container_of()
    with pytest.raises(CorruptError):
        RnnConv.decode(replace(container, payloads=[memoryview(b"\x00" * 40)]), 0)


def test_a_code_beyond_8_bits():
    model = model_for(pack_for_segment(256).digest)
    shape = (1, 1, 2)
    for value in (128, -128, 5000):
        data = codec_module.entropy.encode(
            np.array([0, value], np.int32), codec_module.table_index(shape), model.tables
        )
        with pytest.raises(CorruptError, match="-127 to 127"):
            codec_module.decode_codes(model, memoryview(data), shape)


def test_codes_that_no_training_crop_had_are_coded_by_escape():
    model = model_for(pack_for_segment(256).digest)
    codes = np.tile(np.array([-127, 127, 0, 1], np.int8), (128, 1, 1))
    data = codec_module.encode_codes(model, codes)
    assert (codec_module.decode_codes(model, memoryview(data), codes.shape) == codes).all()


def test_quantising_chooses_the_nearest_code():
    model = model_for(pack_for_segment(256).digest)
    rng = np.random.default_rng(0)
    latents = model.dequantiser[:, [0, -1]] * 1.2
    latents = rng.uniform(latents[:, :1], latents[:, 1:], (128, 50)).astype(np.float32)[:, None]
    codes = model.quantise(latents)
    assert model.remainder == 8
    latents[8] = latents[0] - model.dequantise(codes)[0]
    distance = np.abs(model.dequantiser[:, None, None] - latents[..., None])
    due = distance.argmin(3)
    assert (due - 127 == codes).all()
    some = model.dequantise(codes[:5])
    assert (some[5:] == 0).all()
    assert (some[:5] == np.take_along_axis(model.dequantiser[:5, None], due[:5], 2)).all()


def test_a_model_that_is_not_at_hand():
    with pytest.raises(ModelError, match=f"no model pack {'07' * 32}"):
        RnnConv.decode(container_of(model=b"\x07" * 32), 0)


@pytest.fixture
def other_pack(tmp_path, monkeypatch):
    """Return a function that writes the package's pack with changes and gives its digest."""
    cached = (pack_module.find_pack, pack_module.named_pack, model_module._load)
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    sound = find_pack(pack_for_segment(128).digest)

    def written(codec="RNNC", properties=None, **members):
        members = {name.replace("_", "."): data for name, data in members.items()}
        kept = {**sound.members, **members}
        data = build_pack(
            "changed",
            codec,
            {**sound.properties, **(properties or {})},
            {name: content for name, content in kept.items() if content is not None},
        )
        path = tmp_path / "changed.xrcpack"
        path.write_bytes(data)
        return pack_module.read_pack(path).digest

    yield written
    for function in cached:
        function.cache_clear()


def test_a_pack_of_the_same_content_is_the_same_model(other_pack):
    assert model_for(other_pack()).beta == 128


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"codec": "OTHR"}, "serves codec 'OTHR', not 'RNNC'"),
        ({"analysis_onnx": None}, r"has no member 'analysis\.onnx'"),
        ({"frequencies_bin": None}, r"has no member 'frequencies\.bin'"),
        ({"dequantiser_f32": b"\x00" * 12}, "'dequantiser.f32' .* cannot reshape"),
        ({"dequantiser_f32": b"\x00" * 13}, "'dequantiser.f32' .* buffer size"),
        ({"dequantiser_f32": b"\x00" * 4 * 128 * 255}, "latents do not rise"),
        ({"dequantiser_f32": np.full((128, 255), np.inf, "<f4").tobytes()}, "latents do not rise"),
        ({"dequantiser_f32": np.full((128, 255), np.nan, "<f4").tobytes()}, "latents do not rise"),
        ({"frequencies_bin": b"XRFT"}, "frequency tables of 4 bytes"),
        ({"analysis_onnx": b"no network"}, "'analysis.onnx' .* the model has"),
        ({"properties": {"block": 8}}, "has block = 8; allowed are 16 to 16"),
        ({"properties": {"beta": None}}, "has beta = None; allowed are 1 to 128"),
        ({"properties": {"beta": float("inf")}}, "has beta = inf"),
        ({"properties": {"beta": 64}}, "'dequantiser.f32' .* cannot reshape"),
        ({"properties": {"beta": -1}}, "has beta = -1"),
        ({"properties": {"remainder": 0}}, "has remainder = 0; allowed are 1 to 127"),
        ({"properties": {"remainder": 128}}, "has remainder = 128"),
        ({"properties": {"remainder": 2.0}}, r"has remainder = 2\.0"),
        ({"properties": {"remainder": True}}, "has remainder = True"),
    ],
)
def test_a_pack_that_does_not_fit(other_pack, changes, match):
    digest = other_pack(**changes)
    with pytest.raises(ModelError, match=match):
        model_for(digest)


def test_networks_of_another_shape(other_pack):
    members = find_pack(pack_for_segment(128).digest).members
    digest = other_pack(analysis_onnx=members["synthesis.onnx"])
    with pytest.raises(ModelError, match=r"'analysis\.onnx' .* weights"):
        model_for(digest)


def test_a_model_with_fewer_channels_than_asked_for(monkeypatch):
    container = container_of()
    model = model_for(pack_for_segment(128).digest)
    monkeypatch.setattr(codec_module, "model_for", lambda *_: replace(model, beta=16))
    with pytest.raises(OptionError, match="ratio 8; the model has 16 channels only"):
        RnnConv(tile=128).encode(XRay(wave(20, 20), 8))
    with pytest.raises(CorruptError, match="32 channels kept; the model has 16"):
        RnnConv.decode(container, 0)
