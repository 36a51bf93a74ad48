"""What lattice's choices outside of its networks buy, with the packaged weights.

Each variant runs in a process of its own, with constants of the compiled loops changed before they
are compiled and a folder of its own for their cache. Sizes are of whole validation images (every
sixth) and of the deep ones, encoded only: a variant is no format.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from xraycodec.evaluation.benchmark.environment import describe_environment

VARIANTS = (
    "as it is",
    "no correction by errors in the phase",
    "no adaptation of the spread",
    "neither",
    "the model's own linear prediction",
    "every level kept",
    "tile 256",
    "tile 1024",
)


def measure(variant: str, data: Path) -> dict[str, float]:
    """Apply a variant in this process and return bits per pixel and speed."""
    from xraycodec import Lattice, compress, read
    from xraycodec.codecs.lattice import codec, levels
    from xraycodec.entropy import mixture_steps

    if variant in (VARIANTS[1], VARIANTS[3]):
        mixture_steps._TAP_LIMIT = 0
    if variant in (VARIANTS[2], VARIANTS[3]):
        mixture_steps._OFFSET_LIMIT = 0
    if variant == VARIANTS[4]:
        codec._LEAST_FITTED_PIXELS = 1 << 60
    if variant == VARIANTS[5]:
        levels._FULLEST_MAP = 0.0
    tile = int(variant.split()[1]) if variant.startswith("tile") else codec.DEFAULT_TILE
    chosen = Lattice(tile=tile)
    nih = [read(path) for path in sorted((data / "nih-cxr8" / "validation").glob("*.jxl"))[::6]]
    deep = [read(path) for path in sorted((data / "deep").glob("*.dcm"))]
    compress(nih[0], chosen)
    started = time.perf_counter()
    nih_bpp = [8 * len(compress(image, chosen)) / image.pixels.size for image in nih]
    seconds = time.perf_counter() - started
    deep_bpp = [8 * len(compress(image, chosen)) / image.pixels.size for image in deep]
    return {
        "nih_validation_bpp": round(sum(nih_bpp) / len(nih_bpp), 4),
        "deep_bpp": round(sum(deep_bpp) / len(deep_bpp), 4),
        "encode_mp_per_s": round(sum(image.pixels.size for image in nih) / 1e6 / seconds, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    if arguments.variant:
        print(json.dumps(measure(arguments.variant, data)))
        return
    result: dict[str, Any] = describe_environment() | {"variants": {}}
    for variant in VARIANTS:
        with tempfile.TemporaryDirectory() as cache:
            command = [sys.executable, __file__, "--variant", variant]
            done = subprocess.run(
                command,
                # The walk in Python: the native core has its constants compiled in.
                env=os.environ | {"NUMBA_CACHE_DIR": cache, "XRAYCODEC_BACKEND": "onnxruntime"},
                stdout=subprocess.PIPE,
                check=True,
                text=True,
            )
        result["variants"][variant] = json.loads(done.stdout)
        print(variant, result["variants"][variant], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
