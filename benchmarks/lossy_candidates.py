"""Candidates for the lossy codec, trained from their starts at equal compute.

The wavelet with learned contexts, from random weights, against transforms of blocks with a
hyperprior and checkerboards: of convolutions, and of RNN-Conv's layers with recurrent contexts. All
see the same crops at the same quantisation steps, weigh rate and error alike, and train on one core
for the same minutes of processor time, which does not count what else the machine does.

Rates are code lengths of the integers that were rounded, without a container and without what a
range coder adds; OpenJPEG's are whole files. Images are without margins (`find_margins`) for all.
The wavelet runs as its training runs it: without the last correction, without adaptation while
coding. A run that was cut off goes on from the checkpoint in ``--runs``; a finished one is measured
alone.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from xraycodec import XRay
from xraycodec.evaluation import bd_rate, psnr_db
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.evaluation.peers import peer
from xraycodec.training.candidates.brightness import ROOT_BITS
from xraycodec.training.candidates.loop import CandidateTrainer
from xraycodec.training.candidates.network import TransformNetwork
from xraycodec.training.wavelet.images import load_plain_images
from xraycodec.training.wavelet.loop import THRIFT, Settings, Trainer
from xraycodec.training.wavelet.network import WaveletNetwork

Image = npt.NDArray[np.uint8]
Curve = list[tuple[float, float]]
"""Bits per pixel and PSNR of an image."""

CANDIDATES = {
    "wavelet": "wavelet with learned contexts, from random weights",
    "convolutions": "convolutions that start as a KLT, hyperprior, checkerboards",
    "recurrent": "RNN-Conv's layers that start as a KLT, hyperprior, recurrent checkerboards",
}
STEPS = (1.8, 3.2, 6.0, 12.0, 24.0, 48.0)
"""Quantisation steps in grey levels: from about 0.9 to 0.03 bpp."""
OPENJPEG_PSNR = (53, 50, 47, 44, 41, 38, 35)
EVERY = 5
"""Validation images that are measured: one of so many."""
MEGAPIXEL_SIDE = 1024


class Run(Protocol):
    """What both trainers give."""

    step: int
    minutes: float

    def averaged(self) -> Any: ...


def settings_for(minutes: float) -> Settings:
    """One schedule for all: time ends it, and nothing is validated on the way."""
    return Settings(
        minutes=minutes,
        steps=10**9,
        # So few steps cannot spare 200 for what the codec does not do.
        dead_zone_steps=40,
        validate_every=10**9,
    )


def train(name: str, minutes: float, data: Path, cache: Path, folder: Path) -> Run:
    """Train to the end of the schedule, or go on there."""
    settings = settings_for(minutes)
    images = load_plain_images(data, "train", cache)
    folder.mkdir(parents=True, exist_ok=True)
    run: Trainer | CandidateTrainer
    if name == "wavelet":
        run = Trainer(settings, images, images[:1], folder)
    else:
        run = CandidateTrainer(settings, images, folder, recurrent=name == "recurrent")
    if run.checkpoint.exists():
        run.resume()
    clock = SimpleNamespace(monotonic=time.process_time)
    with patch("xraycodec.training.session.time", clock):
        run.run(lambda line: print(name, line, flush=True))
    return run


@torch.no_grad()
def curve(network: nn.Module, image: Image) -> Curve:
    """Bits per pixel and PSNR of one image at each step."""
    x = torch.from_numpy(image.astype(np.float32))[None, None]
    found = []
    for step in STEPS:
        coded = network(x / step, THRIFT)
        decoded = (coded.pixels * step).round().clamp(0, 255).numpy()[0, 0].astype(np.uint8)
        # The wavelet leaves its last 2 x 2 values out.
        root = 4 * ROOT_BITS if isinstance(network, WaveletNetwork) else 0
        rate = (float(coded.bits) + root) / image.size
        found.append((rate, psnr_db(image, decoded, 255)))
    return found


def openjpeg_curve(image: Image) -> Curve:
    codec = peer("jpeg2000", 1)
    found = []
    for quality in OPENJPEG_PSNR:
        data = codec.encode(XRay(image, 8), float(quality))
        found.append((8 * len(data) / image.size, psnr_db(image, codec.decode(data), 255)))
    return found


def gmac_of(work: Callable[[], object]) -> float:
    """Multiplications and additions of all convolutions, in thousand millions."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        work()
    return float(counter.get_total_flops()) / 2e9


def decoding_gmac(network: nn.Module) -> float:
    """Of a megapixel; the wavelet could spare blocks that are zero, which is not counted."""
    pixels = torch.zeros(1, 1, MEGAPIXEL_SIDE, MEGAPIXEL_SIDE)
    count = gmac_of(lambda: network(pixels, THRIFT))
    if isinstance(network, TransformNetwork):
        context = network.context

        def encoding() -> Tensor:
            plane, _, latents = network.analyse(pixels)
            return context.hyper_latents(latents, plane)

        smooth = gmac_of(lambda: network.smooth(pixels[..., ::16, ::16]))
        count -= gmac_of(encoding) - smooth
    return count * 1e6 / MEGAPIXEL_SIDE**2


def summary(curves: list[Curve], anchors: list[Curve] | None) -> dict[str, Any]:
    """Means by point, and BD-rates by image."""
    points = np.asarray(curves).mean(0)
    found: dict[str, Any] = {
        "points": [{"bpp": round(rate, 4), "psnr_db": round(psnr, 2)} for rate, psnr in points]
    }
    if anchors is not None:
        rates = [
            bd_rate(*zip(*sorted(anchor), strict=True), *zip(*sorted(one), strict=True))
            for anchor, one in zip(anchors, curves, strict=True)
        ]
        found["bd_rate_percent"] = round(math.fsum(rates) / len(rates), 2)
        found["bd_rate_by_image"] = [round(rate, 1) for rate in rates]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=20.0, help="Of one core, for each.")
    parser.add_argument("--only", choices=CANDIDATES, help="This candidate alone.")
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    )
    parser.add_argument("--cache", type=Path, default=Path("runs/images"))
    parser.add_argument("--runs", type=Path, default=Path("runs/candidates"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    validation = load_plain_images(arguments.data, "validation", arguments.cache)[::EVERY]
    images = [np.array(image) for image in validation]
    result: dict[str, Any] = {"candidates": {}}
    if arguments.json.exists():
        result = json.loads(arguments.json.read_text())
    anchors = [openjpeg_curve(image) for image in images]
    result |= {
        "images": f"{len(images)} of nih-cxr8/validation, whole, without margins",
        "quantisation_steps": STEPS,
        "openjpeg": summary(anchors, None),
    }
    for name, what in CANDIDATES.items():
        if arguments.only not in (None, name):
            continue
        run = train(name, arguments.minutes, arguments.data, arguments.cache, arguments.runs / name)
        network = run.averaged()
        result["candidates"][name] = {
            "what": what,
            "environment": describe_environment() | {"torch": torch.__version__},
            "seed": settings_for(arguments.minutes).seed,
            "core_minutes": round(run.minutes, 2),
            "optimiser_steps": run.step,
            "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
            "decoding_gmac_per_megapixel": round(decoding_gmac(network), 2),
            **summary([curve(network, image) for image in images], anchors),
        }
        print(name, result["candidates"][name], flush=True)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
