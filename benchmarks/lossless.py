"""Lossless and near-lossless coding, side by side in one run on the same cores.

Sizes are those of whole files, of every image; speeds are means over a few of them, best of the
repeats after one warm-up. Every codec may use every core (JPEG XL and lattice do). What lattice
decodes is compared with the original, file by file.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image

from timing import best_seconds
from xraycodec import Lattice, XRay, compress, decompress, read
from xraycodec.codecs.lattice import PROFILES
from xraycodec.codecs.lattice.codec import Profile
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.image import Pixels

THREADS = os.cpu_count() or 1
NEAR_ERRORS = (1, 2, 4)

LARGE_IMAGE = """
import resource, numpy as np
from xraycodec import Lattice, XRay, compress, decompress
random = np.random.default_rng(1)
rows = np.arange(5000)
plane = np.empty((5000, 5000), np.uint16)  # row by row: no peak before the codec's own
for row in rows:
    line = 30000 + 20000 * np.sin(row / 400) * np.cos(rows / 300)
    plane[row] = line + random.normal(0, 60, 5000)
image = XRay(plane, 16)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
data = compress(image, Lattice())
encoded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
assert (decompress(data).pixels == image.pixels).all()
print(before, encoded, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, len(data))
"""


@dataclass(frozen=True)
class Peer:
    """A codec to compare with; ``deep`` says whether it takes more than 8 bits."""

    name: str
    encode: Callable[[Pixels], bytes]
    decode: Callable[[bytes], Pixels]
    deep: bool = True


def _webp_encode(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "webp", lossless=True)
    return out.getvalue()


def _webp_decode(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)))


def peers() -> list[Peer]:
    jpegxl = imagecodecs.jpegxl_decode
    return [
        Peer("PNG, level 9", partial(imagecodecs.png_encode, level=9), imagecodecs.png_decode),
        Peer(
            "HTJ2K",
            partial(imagecodecs.htj2k_encode, reversible=True),
            imagecodecs.jpeg2k_decode,
        ),
        Peer(
            "JPEG 2000 (OpenJPEG)",
            partial(imagecodecs.jpeg2k_encode, level=0, reversible=True),
            imagecodecs.jpeg2k_decode,
        ),
        Peer(
            "WebP",
            _webp_encode,
            _webp_decode,
            deep=False,
        ),
        Peer("JPEG-LS (CharLS)", imagecodecs.jpegls_encode, imagecodecs.jpegls_decode),
        *(
            Peer(
                f"JPEG XL e{effort}",
                partial(
                    imagecodecs.jpegxl_encode, lossless=True, effort=effort, numthreads=THREADS
                ),
                partial(jpegxl, numthreads=THREADS),
            )
            for effort in (3, 7, 9)
        ),
    ]


def rate_bpp(data: bytes, pixels: Pixels) -> float:
    return 8 * len(data) / pixels.size


def packed(pixels: Pixels) -> tuple[Pixels, int]:
    """Grey levels in use renumbered from 0, and the bytes that a map of them costs."""
    values, ranks = np.unique(pixels, return_inverse=True)
    used = np.zeros(int(values[-1]) + 1, np.uint8)
    used[values] = 1
    cost = len(imagecodecs.zlib_encode(np.packbits(used).tobytes(), level=9))
    return ranks.reshape(pixels.shape).astype(pixels.dtype), cost


def speed(
    images: list[XRay],
    encode: Callable[[XRay], bytes],
    decode: Callable[[bytes], object],
    repeats: int,
) -> dict[str, float]:
    """Megapixels per second each way: all pixels over all seconds."""
    pixels = sum(image.pixels.size for image in images) / 1e6
    encoding = decoding = 0.0
    for image in images:
        data = encode(image)
        encoding += best_seconds(partial(encode, image), repeats)
        decoding += best_seconds(partial(decode, data), repeats)
    return {
        "encode_mp_per_s": round(pixels / encoding, 2),
        "decode_mp_per_s": round(pixels / decoding, 2),
    }


def checked(image: XRay, codec: Lattice) -> float:
    """Compress, decompress and compare; return bits per pixel."""
    data = compress(image, codec)
    back = decompress(data).pixels.astype(np.int64)
    error = int(np.abs(back - image.pixels).max())
    if error > codec.max_error:
        raise SystemExit(f"error {error} above {codec.max_error}")
    return rate_bpp(data, image.pixels)


def lossless_nih(
    images: list[XRay], timed: list[XRay], repeats: int, profiles: Sequence[Profile], others: bool
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for peer in peers() if others else ():
        print(f"nih-cxr8/test: {peer.name}", file=sys.stderr, flush=True)
        rates = [rate_bpp(peer.encode(image.pixels), image.pixels) for image in images]
        slow = peer.name.endswith("e9")
        rows[peer.name] = {
            "bpp": round(float(np.mean(rates)), 4),
            **speed(
                timed[:2] if slow else timed,
                lambda image, peer=peer: peer.encode(image.pixels),  # type: ignore[misc]
                peer.decode,
                1 if slow else repeats,
            ),
        }
    for profile in profiles:
        print(f"nih-cxr8/test: lattice {profile}", file=sys.stderr, flush=True)
        codec = Lattice(profile=profile)
        rates = [checked(image, codec) for image in images]
        rows[f"lattice {profile}"] = {
            "bpp": round(float(np.mean(rates)), 4),
            **speed(timed, partial(compress, codec=codec), decompress, repeats),
        }
    return rows


def near_lossless(images: list[XRay], profiles: Sequence[Profile], others: bool) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for error in NEAR_ERRORS:
        print(f"near-lossless {error}", file=sys.stderr, flush=True)
        row: dict[str, float] = {}
        if others:
            theirs = [
                rate_bpp(imagecodecs.jpegls_encode(image.pixels, level=error), image.pixels)
                for image in images
            ]
            row["JPEG-LS"] = round(float(np.mean(theirs)), 4)
        for profile in profiles:
            ours = [checked(image, Lattice(max_error=error, profile=profile)) for image in images]
            row[f"lattice {profile}"] = round(float(np.mean(ours)), 4)
        table[str(error)] = row
    return table


def lossless_deep(files: list[Path], profiles: Sequence[Profile], others: bool) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for path in files:
        print(f"deep: {path.stem}", file=sys.stderr, flush=True)
        image = read(path)
        ranks, cost = packed(image.pixels)
        row: dict[str, float] = {}
        for peer in peers() if others else ():
            if peer.deep:
                row[peer.name] = round(rate_bpp(peer.encode(image.pixels), image.pixels), 4)
                size = len(peer.encode(ranks)) + cost
                row[f"{peer.name}, packed"] = round(8 * size / ranks.size, 4)
        for profile in profiles:
            row[f"lattice {profile}"] = round(checked(image, Lattice(profile=profile)), 4)
        table[path.stem] = row
    return table


def noise() -> dict[str, float]:
    """Share by which files of random noise are larger than their pixels."""
    random = np.random.default_rng(1)
    found = {}
    for bits in (8, 12, 16):
        pixels = random.integers(0, 1 << bits, (1024, 1024)).astype(
            np.uint8 if bits == 8 else np.uint16
        )
        data = compress(XRay(pixels, bits), Lattice())
        found[f"{bits} bits"] = round(8 * len(data) / (bits * pixels.size) - 1, 6)
    return found


def large_image() -> dict[str, float]:
    command = [sys.executable, "-c", LARGE_IMAGE]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    before, encoded, peak, size_bytes = (int(value) for value in found)
    return {
        "before_mb": round(before / 1000, 1),
        "encoding_peak_mb": round(encoded / 1000, 1),
        "peak_mb": round(peak / 1000, 1),
        "xrc_bytes": size_bytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--every", type=int, default=1, help="Only every so many NIH images.")
    parser.add_argument(
        "--add-profile",
        choices=PROFILES,
        help="Measure this profile alone, and add it to the figures that the JSON holds.",
    )
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    files = sorted((data / "nih-cxr8" / "test").glob("*.jxl"))[:: arguments.every]
    if not files:
        raise SystemExit(f"no images in {data}; set XRAYCODEC_DATA")
    images = [read(path) for path in files]
    added = arguments.add_profile
    profiles, others = (PROFILES, True) if added is None else ((added,), False)
    timed = images[:: max(1, len(images) // 6)]
    found: dict[str, Any] = {
        "lossless_nih_test": lossless_nih(images, timed, arguments.repeats, profiles, others),
        "near_lossless_nih_test": near_lossless(images, profiles, others),
        "lossless_deep": lossless_deep(sorted((data / "deep").glob("*.dcm")), profiles, others),
    }
    environment = describe_environment()
    if added is None:
        result = {**environment, "images": len(images), **found}
        result["noise_excess"] = noise()
        result["memory_5000x5000_16_bits"] = large_image()
    else:
        result = json.loads(arguments.json.read_text())
        if len(images) != result["images"] or environment["processor"] != result["processor"]:
            raise SystemExit("other images or another processor than those of the JSON")
        result["lossless_nih_test"] |= found.pop("lossless_nih_test")
        for name, table in found.items():
            for key, row in table.items():
                result[name][key] |= row
        result.setdefault("added", {})[f"lattice {added}"] = environment
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
