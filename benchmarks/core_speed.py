"""What the native core brings lattice: one thread, the same images by each backend, and JPEG XL.

Times are of the processor, the best of three for each image, so that other work on the machine
disturbs ratios little. Each backend runs in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from xraycodec.evaluation.benchmark.environment import describe_environment

BACKENDS = ("core", "onnxruntime")
PROFILES = ("fast", "best")


def seconds_of(work: Callable[[], object]) -> float:
    times = []
    for _ in range(3):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def measure(backend: str, images: list[Path]) -> dict[str, dict[str, float]]:
    """Megapixels per second each way, and bits per pixel, of this process's backend."""
    from xraycodec import Lattice, compress, decompress, read

    pixels = [np.ascontiguousarray(read(path).pixels) for path in images]
    megapixels = sum(image.size for image in pixels) / 1e6
    codecs: dict[str, tuple[Callable[[Any], bytes], Callable[[bytes], object]]] = {}
    for profile in PROFILES:
        codec = Lattice(profile=profile, threads=1)
        codecs[f"lattice {profile}"] = (
            partial(compress, codec=codec),
            partial(decompress, threads=1),
        )
    if backend == BACKENDS[0]:
        codecs["JPEG XL e7"] = (
            partial(imagecodecs.jpegxl_encode, lossless=True, effort=7, numthreads=1),
            partial(imagecodecs.jpegxl_decode, numthreads=1),
        )
    found = {}
    for name, (encode, decode) in codecs.items():
        streams = [encode(image) for image in pixels]
        decode(streams[0])  # what is loaded or compiled first does not count
        encoding = sum(seconds_of(partial(encode, image)) for image in pixels)
        decoding = sum(seconds_of(partial(decode, data)) for data in streams)
        found[name] = {
            "encode_mp_per_s": round(megapixels / encoding, 2),
            "decode_mp_per_s": round(megapixels / decoding, 2),
            "bits_per_pixel": round(8 * sum(map(len, streams)) / megapixels / 1e6, 4),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--backend", choices=BACKENDS, help="only this one, in this process")
    parser.add_argument("--images", type=int, default=5, help="of the test set, evenly spread")
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    images = sorted((data / "nih-cxr8" / "test").glob("*.jxl"))
    images = images[:: max(1, len(images) // arguments.images)][: arguments.images]
    if arguments.backend:
        print(json.dumps(measure(arguments.backend, images)))
        return
    result: dict[str, Any] = describe_environment() | {"images": len(images), "backends": {}}
    for backend in BACKENDS:
        command = [sys.executable, __file__, "--json", str(arguments.json), "--backend", backend]
        done = subprocess.run(
            [*command, "--images", str(arguments.images)],
            env=os.environ | {"XRAYCODEC_BACKEND": backend},
            stdout=subprocess.PIPE,
            check=True,
            text=True,
        )
        result["backends"][backend] = json.loads(done.stdout)
        print(backend, done.stdout, flush=True)
    arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
