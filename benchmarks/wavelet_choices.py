"""What wavelet's choices outside of its networks buy, and what layers cost.

Variants are encoded only: one is no format. BD-rates are on PSNR, against the codec as it is, over
whole validation images (every tenth) and the deep ones up to 1.2 megapixels; sizes are of files.
Layered files have a base of 30:1 and are compared with those of lattice alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from xraycodec import Lattice, XRay, compress, read
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.codecs.wavelet.codec import _file_size
from xraycodec.evaluation.bd_rate import bd_rate
from xraycodec.evaluation.benchmark.environment import describe_environment

PACKAGE = "xraycodec.codecs.wavelet"
SHARES = (170, 85, 42, 21, 10, 5)
"""Parts of the range of values that the steps are: from about 1.3 to 0.03 bpp."""
MOST_DEEP_PIXELS = 1_200_000

Curve = list[tuple[float, float]]


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Look for none of these in an image."""
    patches = [patch(f"{PACKAGE}.content.{name}", lambda frames: None) for name in names]
    for each in patches:
        each.start()
    yield
    for each in patches:
        each.stop()


@contextmanager
def no_last_correction() -> Iterator[None]:
    with patch(f"{PACKAGE}.walk._finish", lambda image, state, model: image):
        yield


VARIANTS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "as it is": (without, {}),
    "no margins": (lambda: without("find_margins"), {}),
    "no shutter": (lambda: without("find_shutter"), {}),
    "neither": (lambda: without("find_margins", "find_shutter"), {}),
    "no last correction": (no_last_correction, {}),
    "effort 0": (without, {"effort": 0}),
}


def curve(image: XRay, settings: dict[str, Any]) -> Curve:
    """Bits per pixel and PSNR at each step."""
    span = float(image.frames.max()) - float(image.frames.min())
    found = []
    for share in SHARES:
        encoded = Wavelet(step=span / share, **settings).encode(image)
        error = float(np.square(encoded.pixels - image.frames.astype(np.float64)).mean())
        rate = 8 * _file_size(image, encoded) / image.pixels.size
        found.append((rate, 10 * math.log10(image.peak**2 / error)))
    return sorted(found)


def against(before: Curve, after: Curve) -> float:
    return bd_rate(*zip(*before, strict=True), *zip(*after, strict=True))


def layered(images: list[XRay]) -> dict[str, float]:
    """How much larger than lattice's, in percent, files with a base of 30:1 are."""
    more = []
    for image in images:
        alone = len(compress(image, Lattice()))
        more.append(100 * (len(compress(image, Wavelet(ratio=30, max_error=0))) / alone - 1))
    return {
        "images": len(images),
        "mean_percent": round(sum(more) / len(more), 2),
        "least_percent": round(min(more), 2),
        "most_percent": round(max(more), 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    nih = [read(path) for path in sorted((data / "nih-cxr8" / "validation").glob("*.jxl"))[::10]]
    deep = [read(path) for path in sorted((data / "deep").glob("*.dcm"))]
    sets = {
        "nih_validation": nih,
        "deep": [image for image in deep if image.pixels.size <= MOST_DEEP_PIXELS],
    }
    result: dict[str, Any] = describe_environment() | {"variants": {}}
    known: dict[str, list[Curve]] = {}
    for variant, (changed, settings) in VARIANTS.items():
        rates = {}
        for name, images in sets.items():
            with changed():
                curves = [curve(image, settings) for image in images]
            rows = [
                against(*pair) for pair in zip(known.setdefault(name, curves), curves, strict=True)
            ]
            rates[name] = {
                "bd_rate_percent": round(sum(rows) / len(rows), 2),
                "by_image": [round(row, 1) for row in rows],
            }
        result["variants"][variant] = rates
        print(variant, rates, flush=True)
    result["layers"] = layered(nih)
    print("layers", result["layers"], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
