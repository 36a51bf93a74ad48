"""Write the test vectors; run by hand when the format grows, never by a test.

A vector that exists is never replaced: a file once accepted decodes for ever, a file once rejected
stays rejected. The RNNC, LTTC, WAVE and TODE vectors use tiny untrained networks of their own,
`models/`, so that they do not hang on the weights of the day.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from xraycodec import XRay

HERE = Path(__file__).parent
MODELS = HERE / "models"
TINY = "rnn-conv-vectors-128"
TINY_LATTICE = "lattice-vectors"
TINY_TODERICI = "toderici-vectors"
TINY_WAVELET = "wavelet-vectors"
TINY_GUIDED = "lattice-guided-vectors"
Chunks = list[tuple[bytes, bytes]]


def make_tiny_pack(path: Path) -> None:
    """Export a seeded, untrained RNN-Conv of a few thousand weights."""
    import torch

    from xraycodec.training.export import export_pack
    from xraycodec.training.network import CONFIGS, RNNConv
    from xraycodec.training.warm_start import apply

    torch.manual_seed(7)
    config = replace(
        CONFIGS["compact"],
        name="vectors",
        front=4,
        encoder=(16, 64, 64),
        expand=64,
        modules=(256, 64, 16, 4),
        beta=64,
    )
    crops = np.stack([ramp(128, 128, 8, seed).astype(np.uint8) for seed in range(24)])
    network = RNNConv(config)
    apply(network, crops)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(export_pack(network, TINY, 128, crops, {"note": "untrained"}))


def make_tiny_lattice_pack(path: Path) -> None:
    """Export seeded, untrained lattice networks of 8 channels."""
    import torch

    from xraycodec.codecs.lattice.fitting import fit_image
    from xraycodec.training.lattice.export import export
    from xraycodec.training.lattice.network import LatticeNetwork, Shape

    torch.manual_seed(8)
    network = LatticeNetwork(Shape(channels=8, pairs=(2, 1, 1), components=2))
    network.quantise()
    prior = fit_image([ramp(200, 200, 8, 1).astype(np.int32)], 1, None)
    path.write_bytes(export(network, TINY_LATTICE, prior, {"note": "untrained"}))


def make_tiny_guided_pack(path: Path) -> None:
    """Export seeded, untrained lattice networks with a guide."""
    import torch

    from xraycodec.codecs.lattice.guided import fit_guided
    from xraycodec.training.lattice.export import export
    from xraycodec.training.lattice.network import LatticeNetwork, Shape

    torch.manual_seed(10)
    network = LatticeNetwork(Shape(channels=8, pairs=(1, 1, 1), components=2, guided=True))
    network.quantise()
    image = ramp(200, 200, 8, 1).astype(np.int32)
    prior = fit_guided([image], [(image + 4) // 8 * 8], 1, None)
    path.write_bytes(export(network, TINY_GUIDED, prior, {"note": "untrained"}))


def make_tiny_wavelet_pack(path: Path) -> None:
    """Export seeded, untrained wavelet networks of 8 channels."""
    import torch

    from xraycodec.training.wavelet.export import export
    from xraycodec.training.wavelet.network import Shape, WaveletNetwork

    torch.manual_seed(9)
    network = WaveletNetwork(Shape(channels=8, pairs=((1, 1, 1),) * 3, finish=(8, 1)))
    with torch.no_grad():  # heads that say something: untrained ones hardly correct
        for name, weight in network.named_parameters():
            if name.endswith("head.weight"):
                weight.mul_(8)
    network.quantise()
    path.write_bytes(export(network, TINY_WAVELET, {"note": "untrained"}))


def make_tiny_toderici_pack(path: Path) -> None:
    """Build the hand-made networks that the tests use as well."""
    sys.path.insert(0, str(HERE.parents[1] / "tests"))
    from toderici_building import tiny_pack

    path.write_bytes(tiny_pack(name=TINY_TODERICI))


def ramp(rows: int, columns: int, bits: int, seed: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return a smooth surface with edges and noise over the range of ``bits``."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] / 64
    a, b, c, d = rng.uniform(0.5, 3, 4)
    surface = 0.5 + 0.3 * np.sin(a * x + b * y) * np.cos(c * x - d * y)
    surface += 0.15 * ((x - a) ** 2 + (y - b) ** 2 < c) + rng.normal(0, 0.01, surface.shape)
    return np.rint(surface.clip(0, 1) * ((1 << bits) - 1)).astype(np.int64)


def split(data: bytes) -> Chunks:
    chunks, offset = [], 8
    while offset < len(data):
        kind, length = struct.unpack_from("<4sI", data, offset)
        chunks.append((kind, data[offset + 8 : offset + 8 + length]))
        offset += 12 + length
    return chunks


def join(chunks: Chunks) -> bytes:
    out = bytearray(b"\x89XRC\r\n\x1a\n")
    for kind, payload in chunks:
        body = kind + struct.pack("<I", len(payload)) + payload
        out += body + struct.pack("<I", zlib.crc32(body))
    return bytes(out)


def edit(data: bytes, kind: bytes, change: Callable[[bytearray], None]) -> bytes:
    """Change the payload of the first chunk of a kind and mend its CRC."""
    chunks = split(data)
    place = [name for name, _ in chunks].index(kind)
    payload = bytearray(chunks[place][1])
    change(payload)
    chunks[place] = (kind, bytes(payload))
    return join(chunks)


def put(offset: int, value: bytes) -> Callable[[bytearray], None]:
    def change(payload: bytearray) -> None:
        payload[offset : offset + len(value)] = value

    return change


def accepted() -> dict[str, bytes]:
    from xraycodec import RnnConv, Stored, XRay, compress
    from xraycodec.codecs.rnn_conv import codec as rnn_conv
    from xraycodec.demo.phantom import chest_phantom
    from xraycodec.exact.pack import named_pack

    # The vectors' own pack in place of the trained one.
    rnn_conv.pack_for_segment = lambda segment, configuration: named_pack(TINY)  # type: ignore[attr-defined]
    u8, u12 = ramp(37, 29, 8, 1).astype(np.uint8), ramp(50, 41, 12, 2).astype(np.uint16)
    i10 = (ramp(3 * 21, 18, 10, 3) - 512).astype(np.int16).reshape(3, 21, 18)
    u16 = ramp(70, 65, 16, 4).astype(np.uint16)
    plain = compress(XRay(u8, 8), Stored())
    chunks = split(plain)
    return {
        "stored-8-bit": plain,
        "stored-1x1": compress(XRay(np.array([[7]], np.uint8), 3), Stored()),
        "stored-12-bit-monochrome1": compress(XRay(u12, 12, "MONOCHROME1"), Stored()),
        "stored-signed-frames": compress(XRay(i10, 10), Stored()),
        "stored-16-bit-tiles": compress(XRay(u16, 16), Stored(tile=32)),
        "stored-dicom": compress(chest_phantom(24, 20), Stored()),
        "stored-ancillary-chunk": join([*chunks[:2], (b"noTE", b"skip me"), *chunks[2:]]),
        "rnn-conv-8-bit": compress(XRay(ramp(45, 70, 8, 5).astype(np.uint8), 8), RnnConv(8, 128)),
        "rnn-conv-12-bit-monochrome1": compress(XRay(u12, 12, "MONOCHROME1"), RnnConv(16, 128)),
        "rnn-conv-tiles-frames": compress(
            XRay(ramp(2 * 140, 150, 16, 6).astype(np.uint16).reshape(2, 140, 150), 16),
            RnnConv(32, 128),
        ),
    }


def accepted_lattice() -> dict[str, bytes]:
    from xraycodec import Lattice, XRay, compress
    from xraycodec.codecs.lattice import codec as lattice
    from xraycodec.codecs.lattice.model import model_by_name
    from xraycodec.demo.phantom import chest_phantom

    # The vectors' own pack in place of the trained one.
    lattice.model_by_name = lambda name, threads: model_by_name(TINY_LATTICE, threads)
    random = np.random.default_rng(9)
    u8 = ramp(97, 70, 8, 11).astype(np.uint8)
    u12, u16 = ramp(50, 41, 12, 12).astype(np.uint16), ramp(150, 140, 16, 14).astype(np.uint16)
    i10 = (ramp(3 * 21, 18, 10, 13) - 512).astype(np.int16).reshape(3, 21, 18)
    few = (ramp(60, 64, 12, 15) // 16 * 16 + 5).astype(np.uint16)
    small = Lattice(tile=64)
    return {
        "lattice-8-bit": compress(XRay(u8, 8), Lattice()),
        "lattice-8-bit-tiles": compress(XRay(u8, 8), small),
        "lattice-1x1": compress(XRay(np.array([[7]], np.uint8), 3), small),
        "lattice-row": compress(XRay(u12[:1], 12), small),
        "lattice-column": compress(XRay(u12[:, :1].copy(), 12), small),
        "lattice-constant": compress(XRay(np.full((9, 11), 300, np.uint16), 10), small),
        "lattice-1-bit": compress(XRay((u8 > 120).astype(np.uint8), 1), small),
        "lattice-12-bit-monochrome1": compress(XRay(u12, 12, "MONOCHROME1"), small),
        "lattice-signed-frames": compress(XRay(i10, 10), small),
        "lattice-16-bit-tiles": compress(XRay(u16, 16), small),
        "lattice-few-levels": compress(XRay(few, 12), small),
        "lattice-noise": compress(XRay(random.integers(0, 256, (40, 50), np.uint8), 8), small),
        "lattice-fitted": compress(XRay(ramp(190, 180, 8, 16).astype(np.uint8), 8), Lattice()),
        "lattice-dicom": compress(chest_phantom(24, 20), small),
        "lattice-max-error-1": compress(XRay(u8, 8), Lattice(1)),
        "lattice-max-error-9-signed": compress(XRay(i10, 10), Lattice(9, tile=64)),
        "lattice-max-error-500-16-bit": compress(XRay(u16, 16), Lattice(500, tile=64)),
    }


def dimmed(
    frames: np.ndarray[Any, np.dtype[Any]], padding: int, lowest: int, highest: int
) -> np.ndarray[Any, np.dtype[Any]]:
    """Return frames whose outermost lines are partly padding, as after resampling."""
    found = frames.astype(np.float64) - padding
    for axis in (-2, -1):
        lines = np.moveaxis(found, axis, -2)
        for line, inside, gain in ((0, 2, 0.5), (1, 2, 1.05), (-1, -3, 0.59), (-2, -3, 1.04)):
            lines[..., line, :] = lines[..., inside, :] * gain
    return np.rint(found + padding).clip(lowest, highest).astype(frames.dtype)


def behind_circle(
    frames: np.ndarray[Any, np.dtype[Any]], value: int
) -> np.ndarray[Any, np.dtype[Any]]:
    """Return frames, each four times as large, hidden outside of a circle."""
    found = np.kron(frames, np.ones((2, 2), frames.dtype))
    rows, columns = found.shape[-2:]
    y, x = np.mgrid[:rows, :columns]
    far = np.hypot(y - rows / 2, x - columns / 2) > min(rows, columns) / 2 - 2
    found[..., far] = value
    return found


def spots(rows: int, columns: int) -> np.ndarray:
    """A smooth image of 8 bits with detail in two corners: most blocks of its levels are 0."""
    y, x = np.mgrid[:rows, :columns]
    found = 90 + 40 * np.sin(y / rows) + 30 * np.cos(x / columns)
    found[:40, :50] = ramp(40, 50, 8, 37)
    found[-30:, -40:] += ramp(30, 40, 6, 38)
    return np.rint(found).clip(0, 255).astype(np.uint8)


def accepted_wavelet() -> dict[str, bytes]:
    from xraycodec import XRay, compress
    from xraycodec.codecs.wavelet import Wavelet
    from xraycodec.codecs.wavelet import codec as wavelet
    from xraycodec.demo.phantom import chest_phantom

    def coded(image: XRay, **settings: Any) -> bytes:
        return compress(image, Wavelet(model=TINY_WAVELET, **settings))

    random = np.random.default_rng(31)
    u8, u12 = ramp(75, 90, 8, 31).astype(np.uint8), ramp(61, 53, 12, 32).astype(np.uint16)
    u16 = ramp(2 * 70, 75, 16, 33).astype(np.uint16).reshape(2, 70, 75)
    i10 = (ramp(2 * 33, 40, 10, 34) - 512).astype(np.int16).reshape(2, 33, 40)
    found = {
        "wavelet-8-bit": coded(XRay(u8, 8), step=6),
        "wavelet-plain": coded(XRay(u8, 8), step=6, effort=0),
        "wavelet-fine": coded(XRay(u8, 8), step=0.5),
        "wavelet-coarse": coded(XRay(u8, 8), step=90),
        "wavelet-1x1": coded(XRay(np.array([[7]], np.uint8), 3)),
        "wavelet-row": coded(XRay(u12[:1], 12)),
        "wavelet-column": coded(XRay(u12[:, :1].copy(), 12)),
        "wavelet-3x5": coded(XRay(u12[:3, :5].copy(), 12)),
        "wavelet-constant": coded(XRay(np.full((9, 11), 300, np.uint16), 10)),
        "wavelet-12-bit-monochrome1": coded(XRay(u12, 12, "MONOCHROME1"), step=20),
        "wavelet-signed-frames": coded(XRay(i10, 10), step=5),
        "wavelet-16-bit": coded(XRay(u16, 16), step=200),
        "wavelet-noise": coded(XRay(random.integers(0, 256, (40, 50), np.uint8), 8), step=3),
        "wavelet-strips": coded(XRay(ramp(1040, 1030, 8, 35).astype(np.uint8), 8), step=60),
        "wavelet-dicom": coded(chest_phantom(24, 20)),
    }
    lossless = {"completion_model": TINY_LATTICE, "step": 9}
    found |= {
        "wavelet-completed": coded(XRay(u8, 8), max_error=0, **lossless),
        "wavelet-completed-max-error-2": coded(XRay(u12, 12), max_error=2, **lossless),
        "wavelet-completed-signed-frames": coded(XRay(i10, 10), max_error=0, **lossless),
        "wavelet-completed-1x1": coded(XRay(u8[:1, :1].copy(), 8), max_error=0, **lossless),
    }
    guided = {"completion_model": TINY_GUIDED}
    found |= {
        "wavelet-guided": coded(XRay(u8, 8), max_error=0, step=9, **guided),
        "wavelet-guided-fitted": coded(
            XRay(ramp(190, 180, 8, 36).astype(np.uint8), 8), max_error=0, step=30, **guided
        ),
        "wavelet-guided-max-error-40-16-bit": coded(
            XRay(u16, 16), max_error=40, step=300, **guided
        ),
        "wavelet-guided-signed-frames": coded(XRay(i10, 10), max_error=0, step=9, **guided),
    }
    found |= {
        "wavelet-margins": coded(XRay(dimmed(u8, 0, 0, 255), 8), step=6),
        "wavelet-margins-padding": coded(
            XRay(dimmed(u12, 4095, 0, 4095), 12, "MONOCHROME1"), step=20
        ),
        "wavelet-margins-frames": coded(XRay(dimmed(i10, 0, -512, 511), 10), step=5),
        "wavelet-margins-completed": coded(XRay(dimmed(u8, 0, 0, 255), 8), max_error=0, **lossless),
        "wavelet-margins-8x8": coded(XRay(dimmed(u8[:8, :8] // 2 + 99, 0, 0, 255), 8), step=2),
    }
    found |= {
        "wavelet-shutter": coded(XRay(behind_circle(u8 // 2 + 99, 5), 8), step=6),
        "wavelet-shutter-frames": coded(XRay(behind_circle(i10 // 2 + 90, -512), 10), step=9),
        "wavelet-shutter-highest": coded(
            XRay(dimmed(behind_circle(u12 // 2, 4095), 0, 0, 4095), 12, "MONOCHROME1"),
            step=40,
        ),
        "wavelet-shutter-completed": coded(
            XRay(behind_circle(u8 // 2 + 99, 5), 8), max_error=0, **lossless
        ),
    }
    spot = spots(150, 170)
    found |= {
        "wavelet-blocks": coded(XRay(spot, 8), step=5),
        "wavelet-blocks-plain": coded(XRay(spot, 8), step=5, effort=0),
        "wavelet-blocks-frames": coded(
            XRay(np.stack([spot, spot[::-1], ramp(150, 170, 8, 38)]).astype(np.uint8), 8), step=5
        ),
        "wavelet-blocks-completed": coded(XRay(spot, 8), max_error=0, **lossless),
        "wavelet-blocks-strips": coded(XRay(spots(1040, 1030), 8), step=12),
    }
    wavelet._JOINED_BYTES = 0
    found["wavelet-blocks-four-layers"] = coded(XRay(spot, 8), step=5)
    found["wavelet-four-layers"] = coded(XRay(u8, 8), step=6)
    found["wavelet-four-layers-frames"] = coded(XRay(i10, 10), step=5)
    found["wavelet-four-layers-3x5"] = coded(XRay(u12[:3, :5].copy(), 12))
    return found


def rejected_wavelet(good: dict[str, bytes]) -> dict[str, tuple[str, bytes]]:
    plain, layers = good["wavelet-8-bit"], good["wavelet-four-layers"]
    strips, whole = good["wavelet-strips"], good["wavelet-completed"]
    margins, small = good["wavelet-margins"], good["wavelet-3x5"]
    shutter, blocks = good["wavelet-shutter"], good["wavelet-blocks"]
    head, parm, data = b"HEAD", b"PARM", b"DATA"
    far = bytearray(plain)
    far[plain.rindex(data) + 12] ^= 1

    def one_word_less(payload: bytearray) -> None:
        del payload[-4:]
        payload[14] -= 4

    def one_word_more(payload: bytearray) -> None:
        payload.extend(bytes(4))
        payload[14] += 4

    return {
        "wavelet-no-such-model": ("ModelError", edit(plain, head, put(32, bytes(32)))),
        "wavelet-not-exact": ("CorruptError", edit(plain, head, put(2, b"\0"))),
        "wavelet-max-error": ("CorruptError", edit(plain, head, put(24, b"\7\0\0\0"))),
        "wavelet-tile": ("CorruptError", edit(plain, head, put(20, b"\x40\0\0\0"))),
        "wavelet-joined-strips": ("CorruptError", edit(strips, head, put(5, b"\0"))),
        "wavelet-version-2": ("UnsupportedFormatError", edit(plain, parm, put(0, b"\2"))),
        "wavelet-unknown-flag": ("UnsupportedFormatError", edit(plain, parm, put(1, b"\x80"))),
        "wavelet-margins-cut": ("CorruptError", edit(margins, parm, lambda p: p.__delitem__(-1))),
        "wavelet-margins-too-long": ("CorruptError", edit(margins, parm, lambda p: p.append(0))),
        "wavelet-margins-small-frame": (
            "CorruptError",
            edit(edit(small, parm, put(1, b"\2")), parm, lambda p: p.extend(bytes(12))),
        ),
        "wavelet-margins-other-gain": (
            "CorruptError",  # as the digest says
            edit(margins, parm, put(18, b"\x50")),
        ),
        "wavelet-shutter-mask-runs-out": ("CorruptError", edit(shutter, parm, one_word_less)),
        "wavelet-shutter-mask-too-long": ("CorruptError", edit(shutter, parm, one_word_more)),
        "wavelet-shutter-too-long": ("CorruptError", edit(shutter, parm, lambda p: p.append(0))),
        "wavelet-shutter-size": ("CorruptError", edit(shutter, parm, put(14, b"\xff\xff\xff\xff"))),
        "wavelet-shutter-value": ("CorruptError", edit(shutter, parm, put(18, b"\4\0\0\0"))),
        "wavelet-step-0": ("CorruptError", edit(plain, parm, put(2, bytes(4)))),
        "wavelet-step-too-fine": ("CorruptError", edit(plain, parm, put(2, b"\1\0\0\0"))),
        "wavelet-values-reversed": ("CorruptError", edit(plain, parm, put(6, b"\xff\xff\0\0"))),
        "wavelet-values-beyond-bits": ("CorruptError", edit(plain, parm, put(10, b"\0\1"))),
        "wavelet-parameters-too-long": (
            "CorruptError",
            edit(plain, parm, lambda payload: payload.extend(b"\0")),
        ),
        "wavelet-cut-after-2-layers": (
            "TruncatedError",
            layers[: [at for at in range(len(layers)) if layers[at : at + 4] == data][2]],
        ),
        "wavelet-crc": ("CorruptError", bytes(far)),
        "wavelet-bottom": ("CorruptError", edit(plain, data, put(3, b"\x7f"))),
        "wavelet-reach": ("CorruptError", edit(plain, data, put(16, b"\x15"))),
        "wavelet-blocks-without-coefficients": (
            "CorruptError",
            edit(blocks, data, put(22, b"\x80")),
        ),
        "wavelet-blocks-reach": ("CorruptError", edit(blocks, data, put(22, b"\x93"))),
        "wavelet-blocks-not-announced": ("CorruptError", edit(blocks, parm, put(1, b"\0"))),
        "wavelet-completion-kind": ("UnsupportedFormatError", edit(whole, parm, put(14, b"\3"))),
        "wavelet-completion-no-model": ("ModelError", edit(whole, parm, put(15, bytes(32)))),
        "wavelet-completion-missing": ("CorruptError", edit(whole, parm, put(1, b"\0"))),
        "wavelet-completion-tile": ("CorruptError", edit(whole, head, put(20, b"\1\2\0\0"))),
        "wavelet-coded-byte": ("TruncatedError", edit(plain, data, put(-9, b"\xff\xff"))),
    }


def accepted_toderici() -> dict[str, bytes]:
    from xraycodec import Toderici, XRay, compress
    from xraycodec.codecs.toderici import codec as toderici
    from xraycodec.demo.phantom import chest_phantom

    # The vectors' own pack in place of the trained one.
    toderici.CONFIGURATION = TINY_TODERICI.removeprefix("toderici-")
    u8, u12 = ramp(45, 70, 8, 21).astype(np.uint8), ramp(50, 41, 12, 22).astype(np.uint16)
    u16 = ramp(2 * 70, 75, 16, 23).astype(np.uint16).reshape(2, 70, 75)
    i10 = (ramp(37, 29, 10, 24) - 512).astype(np.int16)
    return {
        "toderici-8-bit": compress(XRay(u8, 8), Toderici(4, 32)),
        "toderici-1-iteration": compress(XRay(u8, 8), Toderici(1)),
        "toderici-12-iterations": compress(XRay(u12, 12), Toderici(12, 64)),
        "toderici-12-bit-monochrome1": compress(XRay(u12, 12, "MONOCHROME1"), Toderici(6)),
        "toderici-tiles-frames": compress(XRay(u16, 16), Toderici(5, 32)),
        "toderici-signed": compress(XRay(i10, 10), Toderici(3, 16)),
        "toderici-dicom": compress(chest_phantom(24, 20), Toderici(2, 16)),
    }


def accepted_ancillary() -> dict[str, bytes]:
    from xraycodec import Stored, XRay, compress
    from xraycodec.demo.phantom import chest_phantom
    from xraycodec.image import DicomFile, Loss, SpareBits

    meta = b"\x02\x00\x10\x00UI\x12\x001.2.840.10008.1.2\x00"
    file = DicomFile(meta, bytes(range(128)), "OW", b"tail")
    u12 = ramp(13, 11, 12, 31).astype(np.uint16)
    i10 = (ramp(2 * 7, 9, 10, 32) - 512).astype(np.int16).reshape(2, 7, 9)
    overlay = np.packbits(np.stack([u12 > 2000, u12 % 7 == 0]).reshape(2, -1), axis=1).tobytes()
    junk = np.packbits(i10.reshape(-1) % 3 == 0).tobytes()
    losses = (Loss("ISO_10918_1", 12.345), Loss("XRC_LATTICE", 3, 2))
    return {
        "stored-dicom-file": compress(replace(chest_phantom(24, 20), dicom_file=file), Stored()),
        "stored-encapsulated-file": compress(
            replace(chest_phantom(24, 20), dicom_file=DicomFile()), Stored()
        ),
        "stored-spare-bits": compress(
            XRay(u12, 12, spare_bits=SpareBits(0, 0x9000, overlay)), Stored()
        ),
        "stored-spare-bits-signed": compress(
            XRay(i10, 10, spare_bits=SpareBits(0x7800, 0x8000, junk)), Stored()
        ),
        "stored-losses": compress(XRay(u12, 12, losses=losses), Stored()),
    }


def rejected_ancillary(good: dict[str, bytes]) -> dict[str, tuple[str, bytes]]:
    file, spare, signed, losses = (
        good[f"stored-{name}"]
        for name in ("dicom-file", "spare-bits", "spare-bits-signed", "losses")
    )
    kind, bits, steps = b"fiLE", b"spAR", b"loSS"
    chunks = split(spare)

    def last_bit(payload: bytearray) -> None:
        plane = -(-13 * 11 // 8)
        payload[4:] = b"\0" * 4 + b"\0" * (2 * plane - 1) + b"\1"

    return {
        "file-without-meta": (
            "CorruptError",
            join([chunk for chunk in split(file) if chunk[0] != b"META"]),
        ),
        "file-reserved-flag": ("UnsupportedFormatError", edit(file, kind, put(0, b"\3"))),
        "file-compression": ("UnsupportedFormatError", edit(file, kind, put(1, b"\2"))),
        "file-unknown-vr": ("UnsupportedFormatError", edit(file, kind, put(2, b"OX"))),
        "file-meta-beyond-size": ("CorruptError", edit(file, kind, put(4, b"\xff\xff"))),
        "file-size": ("CorruptError", edit(file, kind, put(8, b"\xff"))),
        "file-huge": ("LimitError", edit(file, kind, put(8, b"\xff\xff\xff\xff"))),
        "file-tail-of-encapsulated": ("CorruptError", edit(file, kind, put(2, b"\0\0"))),
        "file-short": ("CorruptError", edit(file, kind, lambda payload: payload.__delitem__(-1))),
        "losses-empty": ("CorruptError", edit(losses, steps, lambda payload: payload.clear())),
        "losses-size": ("CorruptError", edit(losses, steps, lambda payload: payload.pop())),
        "losses-method": ("CorruptError", edit(losses, steps, put(0, b"lower"))),
        "losses-ratio-0": ("CorruptError", edit(losses, steps, put(16, bytes(4)))),
        "losses-bound": ("CorruptError", edit(losses, steps, put(20, b"\0\0\1\0"))),
        "spare-bits-before-tiles": (
            "CorruptError",
            join([*chunks[:2], chunks[-3], *chunks[2:-3], *chunks[-2:]]),
        ),
        "spare-bits-twice": ("CorruptError", edit(signed, bits, put(0, b"\0\xf8"))),
        "spare-bits-too-many": ("CorruptError", edit(signed, bits, put(0, b"\xff\x7f"))),
        "spare-bits-sign-of-unsigned": ("CorruptError", edit(spare, bits, put(0, b"\0\x20"))),
        "spare-bits-plane-missing": ("CorruptError", edit(spare, bits, put(2, b"\0\xb0"))),
        "spare-bits-after-last-pixel": ("CorruptError", edit(spare, bits, last_bit)),
        "spare-bits-reserved": ("UnsupportedFormatError", edit(spare, bits, put(6, b"\1"))),
        "spare-bits-compression": ("UnsupportedFormatError", edit(spare, bits, put(4, b"\2"))),
    }


def rejected_toderici(good: dict[str, bytes]) -> dict[str, tuple[str, bytes]]:
    plain, most = good["toderici-8-bit"], good["toderici-12-iterations"]
    head, parm = b"HEAD", b"PARM"

    def one_more(index: bytearray) -> None:  # one tile a layer: C chunks, C ones, C sizes
        index[:] = bytes([13, *[1] * 13, *index[13:], index[-1]])

    chunks = split(edit(edit(most, head, put(5, b"\x0c")), b"INDX", one_more))
    last = max(place for place, (kind, _) in enumerate(chunks) if kind == b"DATA")
    flipped = bytearray(plain)
    flipped[plain.rindex(b"DATA") + 12] ^= 1
    return {
        "toderici-no-such-model": ("ModelError", edit(plain, head, put(32, bytes(32)))),
        "toderici-exact": ("CorruptError", edit(plain, head, put(2, b"\2"))),
        "toderici-max-error": ("CorruptError", edit(plain, head, put(24, b"\7\0\0\0"))),
        "toderici-tile": ("CorruptError", edit(plain, head, put(20, b"\x21\0\0\0"))),
        "toderici-layers-beyond-model": (
            "CorruptError",
            join([*chunks[: last + 1], *chunks[last:]]),
        ),
        "toderici-33-layers": ("UnsupportedFormatError", edit(plain, head, put(5, b"\x20"))),
        "toderici-version-2": ("UnsupportedFormatError", edit(plain, parm, put(0, b"\2"))),
        "toderici-reserved-flag": ("UnsupportedFormatError", edit(plain, parm, put(1, b"\2"))),
        "toderici-low": ("CorruptError", edit(plain, parm, put(4, b"\0\1\0\0"))),
        "toderici-span-0": ("CorruptError", edit(plain, parm, put(8, bytes(4)))),
        "toderici-parameters-too-long": (
            "CorruptError",
            edit(plain, parm, lambda payload: payload.extend(b"\0")),
        ),
        "toderici-cut-after-2-layers": (
            "TruncatedError",
            plain[: [at for at in range(len(plain)) if plain[at : at + 4] == b"DATA"][2]],
        ),
        "toderici-crc": ("CorruptError", bytes(flipped)),
        "toderici-coded-byte": ("CorruptError", edit(plain, b"DATA", put(0, b"\xff\xff\0\0"))),
    }


def rejected_lattice(good: dict[str, bytes]) -> dict[str, tuple[str, bytes]]:
    plain, fitted, few = (good[f"lattice-{name}"] for name in ("8-bit", "fitted", "few-levels"))
    head, parm, data = b"HEAD", b"PARM", b"DATA"

    def flip(payload: bytearray) -> None:
        payload[len(payload) // 2] ^= 4

    return {
        "lattice-no-such-model": ("ModelError", edit(plain, head, put(32, bytes(32)))),
        "lattice-not-exact": ("CorruptError", edit(plain, head, put(2, b"\0"))),
        "lattice-layers": ("CorruptError", edit(plain, head, put(5, b"\2"))),
        "lattice-version-2": ("UnsupportedFormatError", edit(plain, parm, put(0, b"\2"))),
        "lattice-unknown-flag": ("UnsupportedFormatError", edit(plain, parm, put(1, b"\x80"))),
        "lattice-levels-beyond-bits": ("CorruptError", edit(plain, parm, put(2, b"\0\1"))),
        "lattice-parameters-too-long": (
            "CorruptError",
            edit(plain, parm, lambda payload: payload.extend(b"\0")),
        ),
        "lattice-coefficients": ("CorruptError", edit(fitted, parm, put(9, b"\x7f\x7f\x7f"))),
        "lattice-map": ("CorruptError", edit(few, parm, put(-4, b"\0"))),
        "lattice-coded-byte": ("TruncatedError", edit(plain, data, flip)),
        "lattice-coding-mode": ("CorruptError", edit(plain, data, put(0, b"\2"))),
    }


def rejected(good: dict[str, bytes]) -> dict[str, tuple[str, bytes]]:
    plain, network = good["stored-8-bit"], good["rnn-conv-8-bit"]
    chunks = split(plain)
    flipped = bytearray(plain)
    flipped[-60] ^= 1
    head, parm, index = b"HEAD", b"PARM", b"INDX"
    return {
        "signature": ("NotXrcError", b"\x89PNG" + plain[4:]),
        "empty": ("NotXrcError", b""),
        "cut-in-data": ("TruncatedError", plain[: len(plain) // 2]),
        "cut-before-done": ("TruncatedError", join(chunks[:-1])),
        "crc": ("CorruptError", bytes(flipped)),
        "trailing-byte": ("CorruptError", plain + b"\0"),
        "major-version-2": ("UnsupportedFormatError", edit(plain, head, put(0, b"\2"))),
        "reserved-flag": ("UnsupportedFormatError", edit(plain, head, put(2, b"\x82"))),
        "no-rows": ("CorruptError", edit(plain, head, put(12, bytes(4)))),
        "huge-image": ("LimitError", edit(plain, head, put(12, b"\xff\xff\xff\x7f"))),
        "unknown-codec": ("UnsupportedFormatError", edit(plain, head, put(28, b"ZZZZ"))),
        "unknown-critical-chunk": (
            "UnsupportedFormatError",
            join([*chunks[:2], (b"NOTE", b""), *chunks[2:]]),
        ),
        "two-headers": ("CorruptError", join([chunks[0], *chunks])),
        "index-too-large": ("CorruptError", edit(plain, index, put(1, b"\x7f"))),
        "pixel-hash": ("CorruptError", edit(plain, b"HASH", put(9, b"nothing"))),
        "rnn-conv-no-such-model": ("ModelError", edit(network, head, put(32, bytes(32)))),
        "rnn-conv-beta-0": ("CorruptError", edit(network, parm, put(1, b"\0"))),
        "rnn-conv-reserved-flag": ("CorruptError", edit(network, parm, put(2, b"\2"))),
        "rnn-conv-version-2": ("UnsupportedFormatError", edit(network, parm, put(0, b"\2"))),
        "rnn-conv-codes-digest": ("CorruptError", edit(network, parm, put(12, bytes(8)))),
    }


def ancillary_facts(image: XRay) -> dict[str, Any]:
    """What the ancillary chunks say; nothing where there are none."""
    facts: dict[str, Any] = {}
    if (file := image.dicom_file) is not None:
        facts["dicom_file"] = {
            "meta": file.meta.hex(),
            "preamble": file.preamble and file.preamble.hex(),
            "pixel_vr": file.pixel_vr,
            "pixel_tail": file.pixel_tail.hex(),
        }
    if (spare := image.spare_bits) is not None:
        facts["spare_bits"] = {
            "sign_bits": spare.sign_bits,
            "plane_bits": spare.plane_bits,
            "planes": spare.planes.hex(),
        }
    if image.losses:
        facts["losses"] = [[loss.method, loss.ratio, loss.max_error] for loss in image.losses]
    return facts


def main() -> None:
    os.environ["XRAYCODEC_MODELS"] = str(MODELS)
    pack = MODELS / f"{TINY}.xrcpack"
    if not pack.exists():
        make_tiny_pack(pack)
    if not (pack := MODELS / f"{TINY_LATTICE}.xrcpack").exists():
        make_tiny_lattice_pack(pack)
    if not (pack := MODELS / f"{TINY_TODERICI}.xrcpack").exists():
        make_tiny_toderici_pack(pack)
    if not (pack := MODELS / f"{TINY_WAVELET}.xrcpack").exists():
        make_tiny_wavelet_pack(pack)
    if not (pack := MODELS / f"{TINY_GUIDED}.xrcpack").exists():
        make_tiny_guided_pack(pack)
    from xraycodec import decompress
    from xraycodec.container import hash_pixels, read_header

    good = accepted() | accepted_lattice() | accepted_toderici() | accepted_ancillary()
    good |= accepted_wavelet()
    for name, data in good.items():
        path = HERE / "accepted" / f"{name}.xrc"
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        image, header = decompress(data), read_header(data)
        facts: dict[str, Any] = {
            "frames": header.frames,
            "rows": header.rows,
            "columns": header.columns,
            "bits_stored": header.bits_stored,
            "signed": header.signed,
            "photometric_interpretation": header.photometric_interpretation,
            "has_dicom": image.dicom is not None,
            "exact": header.exact,
            "pixels_sha256": hash_pixels(image.pixels, header.bits_stored).hex(),
        }
        facts |= ancillary_facts(image)
        if not header.exact:
            np.save(path.with_suffix(".npy"), image.frames)
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps(facts, indent=1) + "\n")
    bad = rejected(good) | rejected_lattice(good) | rejected_toderici(good)
    bad |= rejected_ancillary(good) | rejected_wavelet(good)
    for name, (error, data) in bad.items():
        path = HERE / "rejected" / f"{name}.xrc"
        if path.exists():
            continue
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
        path.with_suffix(".json").write_text(json.dumps({"error": error}, indent=1) + "\n")


if __name__ == "__main__":
    main()
