"""The completion of a lossy base to a bound on errors (``spec/wavelet-completion.md``).

::

    layers 0 to 3, base        ─▶ frame ──────────────────────(+)─▶ pixels
    layers 4 to 7, completion  ─▶ tiles of differences, lattice ─┘

Lattice codes the differences as it codes an image, tile by tile, without loss or in steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.base import Part, Progress
from xraycodec.codecs.lattice.coder import Decoder
from xraycodec.codecs.lattice.decoding import MAX_TILE, MIN_TILE, TILE_STEP
from xraycodec.codecs.lattice.geometry import LAYERS as COMPLETION_LAYERS
from xraycodec.codecs.lattice.geometry import PAD
from xraycodec.codecs.lattice.levels import LevelMap
from xraycodec.codecs.lattice.model import (
    Model,
    guided_model_by_digest,
    model_by_digest,
)
from xraycodec.codecs.lattice.threads import run_jobs, split_threads
from xraycodec.codecs.lattice.walk import Setting, walk
from xraycodec.codecs.wavelet.completion_parameters import Completion, Kind
from xraycodec.codecs.wavelet.geometry import LAYERS
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.container import Buffer, Header
from xraycodec.errors import CorruptError
from xraycodec.image import Pixels, value_range

ALL_LAYERS = LAYERS + COMPLETION_LAYERS

Values = npt.NDArray[np.int32]


def is_layered(header: Header) -> bool:
    """Whether a stream has a completion above its base."""
    return header.layers == ALL_LAYERS


def check_header(header: Header) -> None:
    """Hold the header of a layered stream against what all of them say of themselves.

    Raises:
        CorruptError: it says something else.
    """
    if not MIN_TILE <= header.tile <= MAX_TILE or header.tile % TILE_STEP:
        raise CorruptError(
            f"WAVE completions have tiles with sides of {MIN_TILE} to {MAX_TILE}, multiples of"
            f" {TILE_STEP}; HEAD says {header.tile}"
        )
    if not header.exact or header.max_error is None:
        raise CorruptError("WAVE completions are exact with a maximum error; HEAD says otherwise")


def base_of(header: Header) -> Header:
    """The header that the base of a layered stream would have without a completion."""
    return replace(header, layers=LAYERS, tile=0, max_error=None)


@dataclass(frozen=True)
class Tile:
    """One tile: its frame, row and column among the frame's tiles."""

    frame: int
    row: int
    column: int


def load_model(digest: bytes, threads: int, *, guided: bool) -> Model:
    """The lattice model with a digest, one that takes a guide or one that does not."""
    return (guided_model_by_digest if guided else model_by_digest)(digest, threads)


def guide_levels(kind: Kind, mapped: LevelMap, base: Pixels) -> Values | None:
    """Levels of the base for a model that takes a guide; between two levels, the upper one."""
    if kind is not Kind.GUIDED:
        return None
    offsets = base.astype(np.int32) - np.int32(mapped.lowest)
    if mapped.values is not None:
        offsets = np.searchsorted(mapped.values, offsets).astype(np.int32)
    levels: Values = np.clip(offsets, 0, mapped.peak)
    return levels


def completed_pixels(kind: Kind, values: Values, base: Pixels, lowest: int, highest: int) -> Values:
    """Pixels from values and the same pixels of the base, within the range of the image."""
    sums = values + base if kind is Kind.DIFFERENCE else values
    # Values that are off by at most the bound stay so within the range: pixels lie there.
    return np.clip(sums, lowest, highest)


def check_base(header: Header, payloads: Mapping[int, Buffer]) -> None:
    """Check that the base of a layered stream lies with the first tile of each frame.

    Raises:
        CorruptError: a payload lies elsewhere.
    """
    across = header.tile_count // header.frames
    for number, payload in payloads.items():
        layer, tile = divmod(number, header.tile_count)
        if layer < LAYERS and tile % across and len(payload):
            raise CorruptError(
                f"WAVE frame {tile // across}, layer {layer} has a payload of {len(payload)} bytes"
                f" at tile {tile % across}; the base lies at tile 0"
            )


def payloads_of(header: Header, part: Part) -> list[int]:
    """Numbers of the payloads of a completion that a part at full size needs, rising."""
    return [
        header.payload_index(LAYERS + layer, tile.frame, tile.row, tile.column)
        for layer in range(COMPLETION_LAYERS)
        for tile in tiles_of(header, part)
    ]


def tiles_of(header: Header, part: Part) -> list[Tile]:
    """Tiles that hold pixels of a part at full size."""
    side = header.tile
    return [
        Tile(frame, row, column)
        for frame in range(header.frames)
        for row in range(part.row // side, (part.row + part.rows - 1) // side + 1)
        for column in range(part.column // side, (part.column + part.columns - 1) // side + 1)
    ]


def with_whole_tiles(header: Header, part: Part) -> Part:
    """The smallest part at full size that holds another one and is made of whole tiles."""
    side = header.tile
    row, column = part.row // side * side, part.column // side * side
    bottom = min(-(-(part.row + part.rows) // side) * side, header.rows)
    right = min(-(-(part.column + part.columns) // side) * side, header.columns)
    return Part(row, column, bottom - row, right - column)


def add_completion(
    header: Header,
    parameters: Parameters,
    payloads: Mapping[int, Buffer],
    part: Part,
    pixels: Pixels,
    threads: int,
    progress: Progress,
) -> None:
    """Complete the base of a part at full size.

    Args:
        header: of the stream.
        parameters: of the stream, with a completion.
        payloads: at least those that `payloads_of` names, by their numbers.
        part: of the image, made of whole tiles.
        pixels: of its base, ``(frame, row, column)``; completed in place.
        threads: 0 for every core.
        progress: called with tiles done and tiles in all.

    Raises:
        FormatError: parameters or payloads are damaged.
        ModelError: the lattice model pack that the stream names is not at hand.
    """
    completion = parameters.completion
    assert completion is not None
    assert header.max_error is not None
    _check_levels(header, completion)
    kind, levels = completion.kind, completion.levels
    mapped = LevelMap(levels.lowest, levels.peak, levels.values)
    jobs = tiles_of(header, part)
    pool_threads, inner_threads = split_threads(threads, len(jobs))
    model = load_model(completion.model, inner_threads, guided=kind is Kind.GUIDED)
    setting = Setting(
        model, levels.coefficients or model.coefficients, 2 * header.max_error + 1, levels.peak
    )

    def work(tile: Tile) -> None:
        numbers = [
            header.payload_index(LAYERS + layer, tile.frame, tile.row, tile.column)
            for layer in range(COMPLETION_LAYERS)
        ]
        shape = header.tile_shape(tile.row, tile.column)
        top, left = tile.row * header.tile - part.row, tile.column * header.tile - part.column
        here = pixels[tile.frame, top : top + shape[0], left : left + shape[1]]
        coder = Decoder([memoryview(payloads[number]) for number in numbers], setting, numbers[0])
        plane = walk(shape, setting, coder, guide=guide_levels(kind, mapped, here))
        coder.end()
        values = mapped.to_pixels(plane[PAD:-PAD, PAD:-PAD])
        here[:] = completed_pixels(kind, values, here, parameters.lowest, parameters.highest)

    run_jobs(work, jobs, pool_threads, progress)


def _check_levels(header: Header, completion: Completion) -> None:
    """Hold the levels of a completion against the bits stored."""
    levels = completion.levels
    low, high = value_range(header.bits_stored, signed=header.signed)
    if completion.kind is Kind.DIFFERENCE:
        low, high = low - high, high - low
    span = levels.peak if levels.values is None else int(levels.values[-1])
    if levels.lowest < low or levels.lowest + span > high:
        raise CorruptError(
            f"WAVE levels of the completion stand for {levels.lowest} to {levels.lowest + span};"
            f" {header.bits_stored} bits stored allow {low} to {high}"
        )
    if levels.values is not None and header.max_error:
        raise CorruptError(
            "the WAVE completion maps levels only without loss; HEAD gives a maximum error"
        )
