"""What a training loop gets: images per second from a `DataLoader`, beside PNG and JPEG XL.

Each format holds the same images, losslessly. A scale of 4 is decoded from the front of ``.xrc``
files; the others have no smaller images in them, so they are decoded whole and every fourth row and
column is taken, which gives the same pixels: the first of each is compared. Every worker process
computes in one thread. Files come from the page cache, which the first pass of each run fills; the
figure is of the fastest later pass.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from xraycodec import Lattice, XRay, compress, read
from xraycodec.demo.phantom import chest_phantom
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.image import Pixels
from xraycodec.plugins.torch import XrcDataset, to_tensor

SCALES = (1, 4)


@dataclass(frozen=True)
class Format:
    """A way to keep images.

    Attributes:
        name: as the result calls it.
        suffix: of its files.
        encode: to the bytes of a file.
        decode: of a file of another format than ours, in one thread; ``None`` for ours.
    """

    name: str
    suffix: str
    encode: Callable[[XRay], bytes]
    decode: Callable[[bytes], Pixels] | None = None


FORMATS = (
    Format("lattice best", ".xrc", partial(compress, codec=Lattice())),
    Format("lattice fast", ".xrc", partial(compress, codec=Lattice(profile="fast"))),
    Format(
        "PNG, level 6",
        ".png",
        lambda image: imagecodecs.png_encode(image.pixels, level=6),
        imagecodecs.png_decode,
    ),
    Format(
        "JPEG XL e7",
        ".jxl",
        lambda image: imagecodecs.jpegxl_encode(
            image.pixels, lossless=True, effort=7, bitspersample=image.bits_stored
        ),
        partial(imagecodecs.jpegxl_decode, numthreads=1),
    ),
)


class OtherDataset(Dataset[torch.Tensor]):
    """Files of another format, as `XrcDataset` gives those of ours."""

    def __init__(
        self, names: Sequence[Path], decode: Callable[[bytes], Pixels], bits: int, scale: int
    ) -> None:
        self.names, self.decode, self.bits, self.scale = names, decode, bits, scale

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> torch.Tensor:
        pixels = self.decode(self.names[index].read_bytes())[:: self.scale, :: self.scale]
        return to_tensor(XRay(np.ascontiguousarray(pixels), self.bits))


def images_of(arguments: argparse.Namespace) -> tuple[str, list[XRay]]:
    """What is measured on: real radiographs of one size, or where there are none a phantom."""
    data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    files = sorted((data / "nih-cxr8" / "test").glob("*.jxl"))
    if files:
        step = max(1, len(files) // arguments.images)
        return "nih-cxr8/test", [read(path) for path in files[::step][: arguments.images]]
    return "phantom", [chest_phantom()] * arguments.images


def dataset_of(form: Format, names: list[Path], bits: int, scale: int) -> Dataset[Any]:
    if form.decode is None:
        return XrcDataset(names, scale=scale)
    return OtherDataset(names, form.decode, bits, scale)


def images_per_second(dataset: Dataset[Any], arguments: argparse.Namespace, images: int) -> float:
    """The fastest pass over all images but the first one, in which workers start."""
    loader = DataLoader(
        dataset,
        batch_size=arguments.batch,
        num_workers=arguments.workers,
        persistent_workers=arguments.workers > 0,
        multiprocessing_context=arguments.start if arguments.workers else None,
    )
    seconds = []
    for _ in range(arguments.passes + 1):
        began = time.perf_counter()
        count = sum(len(batch) for batch in loader)
        seconds.append(time.perf_counter() - began)
        if count != images:
            raise SystemExit(f"{count} images came of {images}")
    return images / min(seconds[1:])


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    source, images = images_of(arguments)
    bits = images[0].bits_stored
    rows: dict[str, Any] = {}
    for form in FORMATS:
        names = []
        for number, image in enumerate(images):
            path = folder / f"{form.name.replace(' ', '-')}-{number}{form.suffix}"
            path.write_bytes(form.encode(image))
            names.append(path)
        size = sum(path.stat().st_size for path in names)
        row = {"bpp": round(8 * size / sum(image.pixels.size for image in images), 4)}
        for scale in SCALES:
            dataset = dataset_of(form, names, bits, scale)
            expected = to_tensor(images[0])[:, ::scale, ::scale]
            if not torch.equal(dataset[0], expected):
                raise SystemExit(f"{form.name} at scale {scale} gives other pixels")
            rate = images_per_second(dataset, arguments, len(images))
            row[f"images_per_s_scale_{scale}"] = round(rate, 2)
        print(f"{form.name}: {row}", flush=True)
        rows[form.name] = row
    return {
        "source": source,
        "images": len(images),
        "rows": images[0].pixels.shape[0],
        "columns": images[0].pixels.shape[1],
        "bits_stored": bits,
        "workers": arguments.workers,
        "batch": arguments.batch,
        "start": arguments.start,
        "formats": rows,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--images", type=int, default=48, help="Most images to measure on.")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--passes", type=int, default=2, help="Timed, after one that is not.")
    parser.add_argument("--start", choices=("fork", "spawn"), default="fork")
    arguments = parser.parse_args()
    if min(arguments.images, arguments.batch, arguments.passes) < 1 or arguments.workers < 0:
        parser.error("images, batch and passes start at 1, workers at 0")
    result: dict[str, Any] = describe_environment()
    with tempfile.TemporaryDirectory() as folder:
        result["loader"] = measure(arguments, Path(folder))
    text = json.dumps(result, indent=1)
    print(text)
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
