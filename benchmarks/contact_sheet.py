"""A contact sheet to look at: crops of radiographs through wavelet and JPEG 2000 at equal sizes.

Run as ``python benchmarks/contact_sheet.py --out sheet.png``; the sheet of docs/wavelet.md is of
the synthetic radiograph of ``xrc demo``, as pictures of patients do not belong into the repository.
``--data`` takes images of the test split instead, for a look on one's own machine.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from xraycodec.codecs.wavelet import Wavelet
from xraycodec.demo.phantom import chest_phantom
from xraycodec.errors import XrayCodecError
from xraycodec.evaluation.crops import find_splits
from xraycodec.evaluation.metrics import psnr_db
from xraycodec.evaluation.peers import at_size, peer
from xraycodec.files import read
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress

RATES = (0.05, 0.1, 0.2)
SIDE = 192
MARGIN, LINE = 6, 14

Tile = npt.NDArray[np.uint8]


def eight_bits(image: XRay) -> XRay:
    """The image as a display of 8 bits shows it, so that both codecs get the same pixels."""
    frame = image.frames[0].astype(np.float64)
    low, high = np.percentile(frame, (0.1, 99.9))
    scaled = np.clip((frame - low) * 255 / max(high - low, 1), 0, 255)
    return XRay(np.rint(scaled).astype(np.uint8), 8, "MONOCHROME2")


def places(image: XRay, count: int) -> Iterator[tuple[int, int]]:
    """Corners of the crops with the strongest edges, which do not overlap: markers, tubes, ribs."""
    frame = image.frames[0].astype(np.float64)
    steps = np.abs(np.diff(frame, axis=0))[:, :-1] + np.abs(np.diff(frame, axis=1))[:-1]
    rows, columns = (size // SIDE for size in steps.shape)
    blocks = steps[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE).mean((1, 3))
    order = np.argsort(blocks, axis=None)[::-1]
    # The strongest, and then evenly down to what is nearly flat.
    for place in order[np.linspace(0, len(order) - 1, count + 1).astype(int)[:-1]]:
        yield int(place // columns) * SIDE, int(place % columns) * SIDE


def decoded_at(image: XRay, rate: float) -> list[tuple[str, XRay]]:
    """What both codecs make of an image at a rate in bits per pixel, with their labels."""
    size = int(rate * image.pixels.size / 8)
    found = []
    for key, name in (("wavelet", "wavelet"), ("jpeg2000", "JPEG 2000")):
        if key == "wavelet":
            data = compress(image, Wavelet(size=size))
            pixels = decompress(data).pixels
        else:
            other = peer(key)
            data = at_size(other, image, size).data
            pixels = other.decode(data)
        shown = XRay(pixels, 8, "MONOCHROME2")
        bpp = 8 * len(data) / image.pixels.size
        label = f"{name} {bpp:.3f} bpp {psnr_db(image.pixels, pixels, 255):.1f} dB"
        found.append((label, shown))
    return found


def sheet(images: list[tuple[str, XRay]], crops: int) -> Image.Image:
    """One row for each crop: the original, then each rate through each codec."""
    columns = 1 + 2 * len(RATES)
    step_x, step_y = SIDE + MARGIN, SIDE + MARGIN + LINE
    page = Image.new("L", (columns * step_x + MARGIN, len(images) * crops * step_y + MARGIN), 255)
    draw = ImageDraw.Draw(page)
    row = 0
    for name, image in images:
        versions = [(name, image)]
        for rate in RATES:
            versions += decoded_at(image, rate)
        for top, left in places(image, crops):
            region = image.frames[0][top : top + SIDE, left : left + SIDE]
            low, high = int(region.min()), max(int(region.max()), int(region.min()) + 1)
            for column, (label, version) in enumerate(versions):
                crop = version.frames[0][top : top + SIDE, left : left + SIDE].astype(np.float64)
                shown = np.clip((crop - low) * 255 / (high - low), 0, 255).astype(np.uint8)
                x, y = MARGIN + column * step_x, MARGIN + row * step_y
                draw.text((x, y), label, fill=0)
                page.paste(Image.fromarray(shown), (x, y + LINE))
            row += 1
    return page


def main() -> int:
    """Write the sheet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="folder with a test split; without, the phantom")
    parser.add_argument("--images", type=int, default=4)
    parser.add_argument("--crops", type=int, default=3, help="of each image")
    arguments = parser.parse_args()
    try:
        if arguments.data is None:
            images = [("phantom", eight_bits(chest_phantom()))]
        else:
            files = find_splits(arguments.data).files("test")
            chosen = files[:: max(1, len(files) // arguments.images)][: arguments.images]
            images = [(path.stem, eight_bits(read(path))) for path in chosen]
        sheet(images, arguments.crops).save(arguments.out)
    except (OSError, XrayCodecError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
