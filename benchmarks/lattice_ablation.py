"""What each choice in lattice's networks buys: short trainings that differ in one thing.

Every variant sees the same crops for the same number of steps: differences tell more than the
rates themselves, which longer training lowers for all. Rates are bits per pixel of middles of
validation images; speed is that of the exported networks with everything around them on one
1024 x 1024 image, per second of one core, all variants in a row once they are trained. A variant
that the JSON has already is not trained again; its pack is kept beside the cache of images.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from xraycodec import Lattice, compress, decompress
from xraycodec.codecs.lattice.fitting import fit_image
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.training.lattice.export import export
from xraycodec.training.lattice.images import load_images
from xraycodec.training.lattice.loop import Settings, Trainer
from xraycodec.training.lattice.network import Shape
from xraycodec.training.lattice.samples import Draw

PACK = "lattice-best.xrcpack"
BASE = Settings(
    Shape(channels=(32,) * 3, pairs=((1, 1, 1),) * 3, components=3),
    Draw(batch=2, deep=0.0, near=0.0),
    validate_every=10**9,
    checkpoint_seconds=10**9,
)


def variants(steps: int) -> dict[str, Settings]:
    base = replace(BASE, steps=steps)
    shape, draw = base.shape, base.draw
    shapes = {
        "width 16": replace(shape, channels=(16,) * 3),
        "width 48": replace(shape, channels=(48,) * 3),
        "no carried state": replace(shape, carry=False),
        "2 components": replace(shape, components=2),
        "1 component": replace(shape, components=1),
    }
    draws = {
        "features of 8 neighbours": replace(draw, neighbours=8),
        "prediction by the mean of four": replace(draw, fitted=False),
    }
    more = {
        "pairs 2, 1, 1": replace(shape, pairs=((2, 1, 1),) * 3),
        "width 64": replace(shape, channels=(64,) * 3),
        "pairs 2, 2, 2": replace(shape, pairs=((2, 2, 2),) * 3),
        "5 components": replace(shape, components=5),
        "no carried state, pairs 2, 2, 2": replace(shape, carry=False, pairs=((2, 2, 2),) * 3),
    }
    more_draws = {
        "features of 12 neighbours": replace(draw, neighbours=12),
        "deep and near-lossless images too": replace(draw, deep=0.25, near=0.15),
    }
    return {
        "base: width 32, pairs 1, 1, 1, 3 components": base,
        **{name: replace(base, shape=found) for name, found in shapes.items()},
        **{name: replace(base, draw=found) for name, found in draws.items()},
        **{name: replace(base, shape=found) for name, found in more.items()},
        **{name: replace(base, draw=found) for name, found in more_draws.items()},
    }


def pack_of(trainer: Trainer, pixels: Any) -> bytes:
    """Export the averaged networks under the name that the codec asks for."""
    coefficients = fit_image([pixels.astype("i4")], 1, None)
    return export(trainer.averaged(), "lattice-best", coefficients, {})


def core_seconds(work: Callable[[], object], repeats: int) -> float:
    """Processor time of the fastest of ``repeats`` runs, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def speed(pack: Path, pixels: Any) -> dict[str, float]:
    """Megapixels per second of one core each way with a pack."""
    codec = Lattice(threads=1, model=pack)
    data = compress(pixels, codec)
    encoding = core_seconds(lambda: compress(pixels, codec), 3)
    decoding = core_seconds(lambda: decompress(data, threads=1), 3)
    return {
        "encode_mp_per_core_s": round(pixels.size / 1e6 / encoding, 2),
        "decode_mp_per_core_s": round(pixels.size / 1e6 / decoding, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("runs/images"))
    parser.add_argument("--packs", type=Path, default=Path("runs/ablation"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", help="Variants whose name holds this.")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="Of training.")
    parser.add_argument("--no-speed", action="store_true", help="Leave the speeds as they are.")
    arguments = parser.parse_args()
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    train = load_images(data, "train", arguments.cache)
    validation = load_images(data, "validation", arguments.cache)
    torch.set_num_threads(arguments.threads)
    result: dict[str, Any] = {"variants": {}}
    if arguments.json.exists():
        result = json.loads(arguments.json.read_text())
    result.update(describe_environment())
    result["steps"] = arguments.steps

    def write() -> None:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")

    names = {name: arguments.packs / re.sub(r"\W+", "-", name) for name in variants(1)}
    for name, settings in variants(arguments.steps).items():
        if name in result["variants"] or (arguments.only and arguments.only not in name):
            continue
        with tempfile.TemporaryDirectory() as folder:
            trainer = Trainer(settings, train, validation, Path(folder))
            started = time.monotonic()
            trainer.run(lambda line: print(line, flush=True))
            lossless, near = trainer.validate()
        pack = pack_of(trainer, validation[3])
        names[name].mkdir(parents=True, exist_ok=True)
        (names[name] / PACK).write_bytes(pack)
        result["variants"][name] = {
            "lossless_bpp": round(lossless, 4),
            "near_bpp": round(near, 4),
            "minutes": round((time.monotonic() - started) / 60, 1),
            "pack_bytes": len(pack),
        }
        print(name, result["variants"][name], flush=True)
        write()
    for name, found in result["variants"].items():
        if not arguments.no_speed and (names[name] / PACK).exists():
            found |= speed(names[name] / PACK, validation[3])
            print(name, found, flush=True)
    write()


if __name__ == "__main__":
    main()
