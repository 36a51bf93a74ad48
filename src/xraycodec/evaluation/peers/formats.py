"""Gray samples to codestreams and back, format by format, through imagecodecs and Pillow.

Every encoder takes samples ``(row, column)``, uint8 up to 8 bits stored and uint16 beyond, the
bits stored, a quality (``None``: lossless) and a number of threads; every decoder a codestream,
the bits stored and threads.
"""

from __future__ import annotations

import io
import math
from typing import Any

import imagecodecs
import numpy as np
import numpy.typing as npt

from xraycodec.errors import OptionError

Samples = npt.NDArray[Any]

JPEG_LS_MOST_NEAR = 255
"""Largest NEAR of T.87; half of the peak if that is less."""
AVIF_BEST_LOSSY = 99
"""libavif takes 100 for lossless."""
FINEST_IRREVERSIBLE_RMS = 0.145
"""RMS error, in grey levels, to ask OpenJPEG's 9/7 transform for at most.

Its steps are fixed and end at a real error of about half a grey level; 65 dB at 8 bits, asked of
it, gives 54. Files of higher quality need the reversible 5/3 transform, cut short."""
REVERSIBLE_LEAD_DB = 5.0
"""How much less to ask of 5/3 where it takes over, for a file that is just larger and better."""
FINEST_HTJ2K_STEP = 1.01e-5
"""Anything less is taken for the default step."""


def encode_jpeg(samples: Samples, bits: int, quality: float | None, threads: int) -> bytes:
    """Encode with libjpeg-turbo: baseline up to 8 bits, extended sequential of 12 beyond."""
    assert quality is not None
    precision = 8 if bits <= 8 else 12
    level = int(quality)
    data = imagecodecs.jpeg8_encode(samples, level=level, optimize=True, bitspersample=precision)
    return bytes(data)


def decode_jpeg(data: bytes, bits: int, threads: int) -> Samples:
    return np.asarray(imagecodecs.jpeg8_decode(data))


def encode_jpeg2000(samples: Samples, bits: int, quality: float | None, threads: int) -> bytes:
    """Encode with OpenJPEG for a PSNR in dB (its PCRD gives the same curve for a size)."""
    # imagecodecs' stubs know whole levels only; its encoder takes any.
    level: Any = quality or 0.0
    reversible = quality is None
    peak = (1 << bits) - 1
    if quality is not None and quality > 20 * math.log10(peak / FINEST_IRREVERSIBLE_RMS):
        level, reversible = quality - REVERSIBLE_LEAD_DB, True
    data = imagecodecs.jpeg2k_encode(
        samples,
        level=level,
        reversible=reversible,
        codecformat="j2k",
        bitspersample=bits,  # what the PSNR is relative to
        numthreads=threads,
    )
    return bytes(data)


def decode_jpeg2000(data: bytes, bits: int, threads: int) -> Samples:
    return np.asarray(imagecodecs.jpeg2k_decode(data, numthreads=threads))


def encode_htj2k(samples: Samples, bits: int, quality: float | None, threads: int) -> bytes:
    """Encode with OpenJPH; the quality is its quantisation step relative to the bits stored."""
    if quality is None:
        return bytes(imagecodecs.htj2k_encode(samples, reversible=True))
    # OpenJPH counts from the 8 or 16 bits of the samples.
    step = quality * 2.0 ** (bits - 8 * samples.dtype.itemsize)
    level = max(FINEST_HTJ2K_STEP, step)
    return bytes(imagecodecs.htj2k_encode(samples, level=level, reversible=False))


def encode_jpeg_ls(samples: Samples, bits: int, quality: float | None, threads: int) -> bytes:
    """Encode with CharLS; the quality is NEAR, the largest error in grey levels."""
    near = int(quality or 0)
    most = min(JPEG_LS_MOST_NEAR, np.iinfo(samples.dtype).max // 2)
    if near > most:
        raise OptionError(f"quality {near}; JPEG-LS takes 1 to {most} for {bits} bits stored")
    return bytes(imagecodecs.jpegls_encode(samples, level=near))


def decode_jpeg_ls(data: bytes, bits: int, threads: int) -> Samples:
    return np.asarray(imagecodecs.jpegls_decode(data))


def encode_jpegxl(
    samples: Samples, bits: int, quality: float | None, threads: int, *, effort: int
) -> bytes:
    """Encode with libjxl; the quality is its Butteraugli distance.

    Lossy files hold floating-point linear light, of the same size as those of the sRGB grey
    levels that it stands for. imagecodecs would declare 16-bit samples as linear light
    themselves, for which libjxl spends its bits on the wrong greys (0.3 to 1.4 dB lost), and
    libjxl dithers what it decodes to 8 bits (0.1 to 1.3 dB lost at distances of 6 to 0.3).
    """
    settings: dict[str, Any] = {"effort": effort, "photometric": "gray", "numthreads": threads}
    if quality is None:
        data = imagecodecs.jpegxl_encode(samples, lossless=True, bitspersample=bits, **settings)
    else:
        light = _linear_light(samples, (1 << bits) - 1)
        data = imagecodecs.jpegxl_encode(light, lossless=False, distance=quality, **settings)
    return bytes(data)


def decode_jpegxl(data: bytes, bits: int, threads: int) -> Samples:
    samples = np.asarray(imagecodecs.jpegxl_decode(data, numthreads=threads))
    return samples if samples.dtype.kind != "f" else _grey_levels(samples, (1 << bits) - 1)


def _linear_light(samples: Samples, peak: int) -> npt.NDArray[np.float32]:
    """IEC 61966-2-1, from grey levels to linear light 0 to 1, through a table of all of them."""
    v = np.arange(peak + 1) / peak
    light = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    table: npt.NDArray[np.float32] = light.astype(np.float32)
    return table[samples]


def _grey_levels(light: npt.NDArray[np.float32], peak: int) -> npt.NDArray[np.uint16]:
    """Undo `_linear_light`, rounded and cut to the grey levels there are."""
    levels = 1.055 * np.maximum(light, 0.0031308) ** np.float32(1 / 2.4) - 0.055
    levels = np.where(light <= 0.0031308, light * 12.92, levels) * peak
    rounded: npt.NDArray[np.uint16]
    rounded = np.rint(np.nan_to_num(levels)).clip(0, peak).astype(np.uint16)
    return rounded


def encode_webp(samples: Samples, bits: int, quality: float | None, threads: int) -> bytes:
    """Encode with libwebp, slowest method; its luma has 220 levels, which rounds by 1 at most."""
    from PIL import Image

    file = io.BytesIO()
    if quality is None:
        Image.fromarray(samples).save(file, "webp", lossless=True)
    else:
        Image.fromarray(samples).save(file, "webp", quality=quality, method=6)
    return file.getvalue()


def decode_webp(data: bytes, bits: int, threads: int) -> Samples:
    from PIL import Image

    with Image.open(io.BytesIO(data), formats=("WEBP",)) as image:
        samples = np.asarray(image)
    return samples if samples.ndim == 2 else np.ascontiguousarray(samples[..., 1])


def encode_avif(
    samples: Samples, bits: int, quality: float | None, threads: int, *, speed: int
) -> bytes:
    """Encode with libavif and libaom, luma alone, full range; 8, 10 or 12 bits.

    libaom searches a little differently with one thread than with several; beyond that, files do
    not depend on ``threads``.
    """
    settings: dict[str, Any] = {"speed": speed, "codec": "aom", "numthreads": threads}
    if bits > 8:
        settings["bitspersample"] = 10 if bits <= 10 else 12
    if quality is None:
        return bytes(imagecodecs.avif_encode(samples, level=100, **settings))
    # imagecodecs codes gray arrays without loss whatever the level; of three equal channels
    # under 4:0:0 libavif keeps the luma, which is the gray.
    channels = np.repeat(samples[..., None], 3, axis=2)
    level = int(quality)
    return bytes(imagecodecs.avif_encode(channels, level=level, pixelformat="400", **settings))


def pillow_writes_avif() -> bool:
    """Whether this build of Pillow has libavif."""
    from PIL import features

    return bool(features.check("avif"))


def encode_avif_for_psnr(
    samples: Samples, bits: int, quality: float | None, threads: int, *, speed: int
) -> bytes:
    """As `encode_avif`, but libaom's decisions minimise the squared error; 8 bits only."""
    if quality is None:
        return encode_avif(samples, bits, None, threads, speed=speed)
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(samples).save(
        file,
        "avif",
        quality=int(quality),
        speed=speed,
        subsampling="4:0:0",
        range="full",
        codec="aom",
        max_threads=threads,
        advanced={"tune": "psnr"},
    )
    return file.getvalue()


def decode_avif(data: bytes, bits: int, threads: int) -> Samples:
    return np.asarray(imagecodecs.avif_decode(data, numthreads=threads))
