"""Putting a completion above a lossy base (``spec/wavelet-completion.md``, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from xraycodec.codecs.base import Encoded, Progress
from xraycodec.codecs.lattice.codec import FITTED_TILES, LEAST_FITTED_PIXELS
from xraycodec.codecs.lattice.coder import Encoder
from xraycodec.codecs.lattice.geometry import LAYERS as COMPLETION_LAYERS
from xraycodec.codecs.lattice.geometry import PAD
from xraycodec.codecs.lattice.levels import LevelMap, map_counted
from xraycodec.codecs.lattice.model import (
    Coefficients,
    Model,
    takes_guide,
)
from xraycodec.codecs.lattice.parameters import Parameters as LatticeParameters
from xraycodec.codecs.lattice.threads import run_jobs, split_threads
from xraycodec.codecs.lattice.walk import Setting, tile_planes, walk
from xraycodec.codecs.wavelet.completion import (
    ALL_LAYERS,
    Values,
    completed_pixels,
    guide_levels,
    load_model,
)
from xraycodec.codecs.wavelet.completion_parameters import Completion, Kind
from xraycodec.codecs.wavelet.geometry import LAYERS
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.exact.pack import select_pack
from xraycodec.image import Pixels, XRay
from xraycodec.tiling import Window, windows

TILE = 512
"""Side of the tiles that are written."""
_MAX_PEAK = (1 << 16) - 1
_BAND = 512


def tile_count(image: XRay) -> int:
    """Tiles of all frames that a completion of an image has."""
    count, rows, columns = map(int, image.frames.shape)
    return count * -(-rows // TILE) * -(-columns // TILE)


def complete(
    image: XRay, base: Encoded, max_error: int, pack: str | Path, threads: int, progress: Progress
) -> Encoded:
    """Put a completion above a base.

    Args:
        image: what was compressed.
        base: what it was compressed to.
        max_error: largest difference of any pixel that may stay; 0 is lossless.
        pack: the lattice model pack, by its name or by the path of its file.
        threads: 0 for every core.
        progress: called with steps done and steps in all, the frames of the base counted.

    Raises:
        ModelError: the model pack is not at hand, or no lattice model.
    """
    frames = image.frames
    count, rows, columns = frames.shape
    max_error = min(max_error, (1 << image.bits_stored) - 1)
    step = 2 * max_error + 1
    found = select_pack(pack)
    guided = takes_guide(found)
    kinds = (Kind.GUIDED,) if guided else (Kind.DIFFERENCE, Kind.IMAGE)
    lowest, highest, kind, mapped = _map(frames, base.pixels, kinds, lossless=max_error == 0)
    jobs = [
        (number, window) for number in range(count) for window in windows(rows, columns, TILE, 0)
    ]
    pool_threads, inner_threads = split_threads(threads, len(jobs))
    model = load_model(found.digest, inner_threads, guided=guided)

    def levels_of(job: tuple[int, Window]) -> Values:
        number, window = job
        return mapped.to_levels(
            _values(kind, frames[number][window.inner], base.pixels[number][window.inner])
        )

    def guide_of(job: tuple[int, Window]) -> Values | None:
        number, window = job
        return guide_levels(kind, mapped, base.pixels[number][window.inner])

    coefficients = None
    if mapped.peak and rows * columns >= LEAST_FITTED_PIXELS:
        chosen = jobs[:: -(-len(jobs) // FITTED_TILES)]
        coefficients = _fit(
            [levels_of(job) for job in chosen], [guide_of(job) for job in chosen], step, model
        )
    setting = Setting(model, coefficients or model.coefficients, step, mapped.peak)
    decoded = np.empty_like(frames)

    def work(job: tuple[int, Window]) -> list[bytes]:
        number, window = job
        levels = levels_of(job)
        coder = Encoder(tile_planes(levels), setting)
        known = walk((levels.shape[0], levels.shape[1]), setting, coder, guide=guide_of(job))
        values = mapped.to_pixels(known[PAD:-PAD, PAD:-PAD])
        decoded[number][window.inner] = completed_pixels(
            kind, values, base.pixels[number][window.inner], lowest, highest
        )
        return coder.payloads()

    tiles = run_jobs(
        work, jobs, pool_threads, lambda done, total: progress(count + done, count + total)
    )
    header = replace(base.header, tile=TILE, layers=ALL_LAYERS, max_error=max_error)
    parameters = replace(
        Parameters.from_bytes(base.parameters),
        completion=Completion(
            kind,
            model.digest,
            LatticeParameters(mapped.lowest, mapped.peak, mapped.values, coefficients),
        ),
    )
    payloads = [b""] * (LAYERS * header.tile_count)
    for layer in range(LAYERS):
        for number in range(count):
            place = header.payload_index(layer, number, 0, 0)
            payloads[place] = base.payloads[layer * count + number]
    payloads += [tile[layer] for layer in range(COMPLETION_LAYERS) for tile in tiles]
    return Encoded(header, parameters.to_bytes(), payloads, decoded)


def _fit(
    tiles: Sequence[Values], guides: Sequence[Values | None], step: int, model: Model
) -> Coefficients:
    """Fit linear predictions to tiles, and to their guides if the model takes any."""
    from xraycodec.codecs.lattice.fitting import fit_image
    from xraycodec.codecs.lattice.guided import fit_guided

    known = [guide for guide in guides if guide is not None]
    if not known:
        return fit_image(tiles, step, model.coefficients)
    return fit_guided(tiles, known, step, model.coefficients)


def _map(
    frames: Pixels, base: Pixels, kinds: Sequence[Kind], *, lossless: bool
) -> tuple[int, int, Kind, LevelMap]:
    """The range of an image, the first kind whose values lattice can take, and levels for them."""
    lowest, highest = int(frames.min()), int(frames.max())
    span = highest - lowest
    for kind in kinds:
        first = -span if kind is Kind.DIFFERENCE else lowest
        counts = np.zeros(2 * span + 1 if kind is Kind.DIFFERENCE else span + 1, np.int64)
        for frame, frame_base in zip(frames, base, strict=True):
            for top in range(0, len(frame), _BAND):
                rows = slice(top, top + _BAND)
                values = _values(kind, frame[rows], frame_base[rows])
                counts += np.bincount(values.ravel() - first, minlength=len(counts))
        found = np.flatnonzero(counts)
        first += int(found[0])
        counts = counts[found[0] : found[-1] + 1]
        if len(counts) - 1 <= _MAX_PEAK:
            break
    mapped = map_counted(first, counts) if lossless else LevelMap(first, len(counts) - 1, None)
    return lowest, highest, kind, mapped


def _values(kind: Kind, pixels: Pixels, base: Pixels) -> Values:
    """What the levels of pixels stand for."""
    values = pixels.astype(np.int32)
    return values - base if kind is Kind.DIFFERENCE else values
