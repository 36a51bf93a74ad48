"""Training samples: crops of radiographs, described by the codec's own integer kernels.

What a network is trained on is what it will see: levels, linear predictions, features and scales
come from `xraycodec.codecs.lattice`, not from a second implementation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice import features as described
from xraycodec.codecs.lattice.features import pad
from xraycodec.codecs.lattice.fitting import fit_image
from xraycodec.codecs.lattice.geometry import (
    GUIDE_OFFSETS,
    PAD,
    PHASES,
    SETS,
    described_by,
    grid,
    levels,
    phase_shape,
    set_of,
)
from xraycodec.codecs.lattice.guided import describe_guided, fit_guided
from xraycodec.codecs.lattice.model import Coefficients

Image = npt.NDArray[np.int32]

_FIT_SAMPLES = 20_000


@dataclass(frozen=True, eq=False)
class Sample:
    """One phase of one level of a batch of crops.

    Attributes:
        features: uint8, ``(crop, channel, row, column)``.
        predictions: levels, float32, ``(crop, 1, row, column)``.
        units: mean deviation in levels, float32, ``(crop, 1, row, column)``.
        targets: levels, float32, ``(crop, 1, row, column)``.
        valid: 1 where the grid holds a pixel, float32, ``(crop, 1, row, column)``.
    """

    features: npt.NDArray[np.uint8]
    predictions: npt.NDArray[np.float32]
    units: npt.NDArray[np.float32]
    targets: npt.NDArray[np.float32]
    valid: npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops, top level first.

    Attributes:
        levels: for each level from the top its three phases.
        steps: quantisation step of each crop in levels, float32, ``(crop, 1, 1, 1)``.
        peaks: highest level of each crop, float32, ``(crop, 1, 1, 1)``.
        pixels: of all crops.
        lowest: level of the image that the crops are cut from.
    """

    levels: list[list[Sample]]
    steps: npt.NDArray[np.float32]
    peaks: npt.NDArray[np.float32]
    pixels: int
    lowest: int = 0


def vary(
    image: npt.NDArray[np.uint8], random: np.random.Generator, *, deep: bool
) -> tuple[Image, int]:
    """Turn an 8-bit radiograph into one that another modality or depth might give.

    Returns:
        Levels from 0 and the highest that the depth allows.
    """
    (varied, *_), peak = vary_all([image], random, deep=deep)
    return varied, peak


def vary_all(
    planes: Sequence[npt.NDArray[np.uint8]], random: np.random.Generator, *, deep: bool
) -> tuple[list[Image], int]:
    """As `vary`, with guides of the image behind it, which stay without noise."""
    varied: list[Image] = [plane.astype(np.int32) for plane in planes]
    if random.random() < 0.5:
        varied = [plane[:, ::-1] for plane in varied]
    if random.random() < 0.5:
        varied = [plane[::-1] for plane in varied]
    if random.random() < 0.5:
        varied = [plane.T for plane in varied]
    if not deep:
        return varied, 255
    if random.random() < 0.4:  # means of 2 x 2 pixels hold 10 true bits
        row, column = random.integers(0, 2, 2)
        height, width = (side // 2 - 1 for side in varied[0].shape)
        trimmed = [plane[row : row + 2 * height, column : column + 2 * width] for plane in varied]
        return [
            plane.reshape(height, 2, width, 2).sum((1, 3), dtype=np.int32) for plane in trimmed
        ], 4 * 255
    # Levels between levels, and quantum noise.
    gain = 2.0 ** random.uniform(0, 6)
    real = varied[0] + random.uniform(-0.5, 0.5, varied[0].shape)
    noise = random.uniform(0, 2.0) ** 2 * np.sqrt(np.maximum(real, 1) / 128)
    real += noise * random.standard_normal(real.shape)
    peak = int(255 * gain)
    return [
        np.clip(np.rint(plane * gain), 0, peak).astype(np.int32) for plane in (real, *varied[1:])
    ], peak


def quantised(image: Image, peak: int, step: int) -> Image:
    """About what near-lossless coding makes of an image: errors uniform within the bound."""
    wide = np.pad(image, 1, mode="reflect")
    guess = (wide[:-2, 1:-1] + wide[2:, 1:-1] + wide[1:-1, :-2] + wide[1:-1, 2:] + 2) // 4
    bins = (2 * (image - guess) + step) // (2 * step)
    found: Image = np.clip(guess + bins * step, 0, peak)
    return found


def describe_crop(
    image: Image,
    known: Image,
    peak: int,
    step: int,
    coefficients: Coefficients,
    neighbours: int = 99,
    guide: Image | None = None,
    lowest: int = 0,
) -> list[list[Sample]]:
    """Describe one crop at every level, top first.

    Args:
        image: crop of level ``lowest`` of an image.
        known: what neighbours are read from.
        peak: of the image.
        step: of the image.
        coefficients: of the image.
        neighbours: how many are described.
        guide: of the crop; only where ``lowest`` is 0.
        lowest: the level.
    """
    shapes = levels(*image.shape)
    result = []
    top = next(number for number, shape in enumerate(shapes) if shape == (1, 1))
    for number in range(top - 1, -1, -1):
        plane = pad(known[:: 1 << number, :: 1 << number])
        truth = pad(image[:: 1 << number, :: 1 << number])
        rows, columns = shapes[number]
        height, width = grid(rows, columns)
        phases = []
        for index, phase in enumerate(PHASES):
            channels = described_by(phase, guided=guide is not None)
            features = np.empty((channels, height, width), np.uint8)
            predictions = np.empty((height, width), np.int32)
            scales = np.empty((height, width), np.uint8)
            found_by = (
                *(coefficients[set_of(number + lowest)][index], step, peak),
                *(features, predictions, scales),
            )
            if guide is None:
                described.describe(plane, phase.row, phase.column, phase.offsets, *found_by)
            else:
                sampled = pad(guide[:: 1 << number, :: 1 << number])
                describe_guided(
                    *(plane, guide, sampled, number, phase.row, phase.column, phase.offsets),
                    *(GUIDE_OFFSETS, *found_by),
                )
            features[neighbours : phase.neighbours] = described.CENTRE
            at = np.s_[PAD + phase.row :: 2, PAD + phase.column :: 2]
            valid = np.zeros((height, width), np.float32)
            inside = phase_shape(rows, columns, phase)
            valid[: inside[0], : inside[1]] = 1
            phases.append(
                Sample(
                    features[None],
                    (predictions / 256).astype(np.float32)[None, None],
                    (described.MEAN_DEVIATIONS[scales] / 65536).astype(np.float32)[None, None],
                    truth[at][:height, :width].astype(np.float32)[None, None],
                    valid[None, None],
                )
            )
        result.append(phases)
    return result


def join(
    crops: Sequence[list[list[Sample]]],
    steps: Sequence[int],
    peaks: Sequence[int],
    lowest: int = 0,
) -> Batch:
    """Stack crops of one shape, cut from level ``lowest``."""
    stacked = [
        [
            Sample(
                *(
                    np.concatenate([getattr(crop[level][phase], name) for crop in crops])
                    for name in ("features", "predictions", "units", "targets", "valid")
                )
            )
            for phase in range(len(PHASES))
        ]
        for level in range(len(crops[0]))
    ]
    shape = (-1, 1, 1, 1)
    rows = 2 * stacked[-1][0].features.shape[2]
    return Batch(
        stacked,
        np.array(steps, np.float32).reshape(shape),
        np.array(peaks, np.float32).reshape(shape),
        len(crops) * rows * rows,
        lowest,
    )


@dataclass(frozen=True)
class Draw:
    """How training crops are drawn.

    Attributes:
        batch: crops in a batch.
        crop: side of a crop in pixels, a power of two.
        per_image: crops drawn from one image.
        coarse: crops more in a batch that are cut from level 1, and as many from level 2: coarse
            levels have few pixels in crops of level 0.
        deep: share of images made deep.
        near: share of images quantised as for near-lossless coding.
        fitted: whether linear predictions are fitted to each image; the mean of the nearest four
            neighbours otherwise.
        neighbours: how many of its neighbours a network sees, the nearest; for ablations.
    """

    batch: int = 4
    crop: int = 256
    per_image: int = 2
    coarse: int = 0
    deep: float = 0.25
    near: float = 0.15
    fitted: bool = True
    neighbours: int = 99


@dataclass(frozen=True, eq=False)
class Guides:
    """Guides of some images of a split.

    Attributes:
        images: places of these images in the split, ``(guide,)``.
        planes: their guides, ``(guide, row, column)``.
    """

    images: npt.NDArray[np.int64]
    planes: npt.NDArray[np.uint8]


def draw_batches(
    images: npt.NDArray[np.uint8], draw: Draw, seed: int, step: int, guides: Guides | None = None
) -> list[Batch]:
    """Draw the batches of one step: crops of level 0, then of coarser levels if any are asked for.

    Args:
        images: 8-bit radiographs, ``(image, row, column)``.
        draw: how.
        seed: of all draws.
        step: of the training; each has a generator of its own, so that a resumed run draws what
            an unbroken one would.
        guides: of the images to draw from; all of them, without guides, if there are none.
    """
    random = np.random.default_rng((seed, step))
    lowest_levels = range(SETS if draw.coarse else 1)
    wanted = [draw.coarse if lowest else draw.batch for lowest in lowest_levels]
    crops: list[list[list[list[Sample]]]] = [[] for _ in lowest_levels]
    steps: list[list[int]] = [[] for _ in lowest_levels]
    peaks: list[list[int]] = [[] for _ in lowest_levels]
    while any(len(found) < count for found, count in zip(crops, wanted, strict=True)):
        deep = random.random() < draw.deep
        number = random.integers(len(images) if guides is None else len(guides.images))
        if guides is None:
            planes = [images[number]]
        else:
            planes = [images[guides.images[number]], guides.planes[number]]
        (image, *guide), peak = vary_all(planes, random, deep=deep)
        near = random.random() < draw.near
        quantum = 2 * int(random.choice([1, 1, 2, 2, 3, 4, 6, 8])) + 1 if near else 1
        known = quantised(image, peak, quantum) if near else image
        coefficients = predictions_for(known, quantum, *guide, fitted=draw.fitted)
        for lowest in lowest_levels:
            spaced = np.s_[:: 1 << lowest, :: 1 << lowest]
            side = min(draw.crop, *image[spaced].shape)
            side = 1 << (side.bit_length() - 1)
            if side < draw.crop:  # made smaller than the others of its batch
                continue
            for _ in range(min(draw.per_image, wanted[lowest] - len(crops[lowest]))):
                row, column = (
                    random.integers(0, length - side + 1) for length in image[spaced].shape
                )
                at = np.s_[row : row + side, column : column + side]
                crops[lowest].append(
                    describe_crop(
                        *(image[spaced][at], known[spaced][at], peak, quantum, coefficients),
                        draw.neighbours,
                        guide[0][at] if guide else None,
                        lowest,
                    )
                )
                steps[lowest].append(quantum)
                peaks[lowest].append(peak)
    return [join(crops[lowest], steps[lowest], peaks[lowest], lowest) for lowest in lowest_levels]


def predictions_for(
    image: Image, step: int, guide: Image | None = None, *, fitted: bool
) -> Coefficients:
    """Coefficients of the linear predictions of an image, and of its guide if it has one."""
    if guide is not None:
        return fit_guided([image], [guide], step, None, _FIT_SAMPLES)
    if fitted:
        return fit_image([image], step, None, _FIT_SAMPLES)
    mean = [np.zeros(phase.neighbours, np.int64) for phase in PHASES]
    for coefficients in mean:
        coefficients[:4] = 32
    return (tuple(mean),) * SETS


def validation_batches(
    images: npt.NDArray[np.uint8], draw: Draw, step: int = 1, guides: Guides | None = None
) -> Iterator[Batch]:
    """One crop from the middle of each image, not varied; ``step`` 1 is lossless."""
    for number, image8 in enumerate(images):
        image: Image = image8.astype(np.int32)
        guide = [] if guides is None else [guides.planes[number].astype(np.int32)]
        known = image if step == 1 else quantised(image, 255, step)
        coefficients = predictions_for(known, step, *guide, fitted=draw.fitted)
        row, column = ((side - draw.crop) // 2 for side in image.shape)
        at = np.s_[row : row + draw.crop, column : column + draw.crop]
        one = describe_crop(
            *(image[at], known[at], 255, step, coefficients, draw.neighbours),
            *(plane[at] for plane in guide),
        )
        yield join([one], [step], [255])
