"""Decoding a stream, or the part of it that is asked for (``spec/lattice.md``, section 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from xraycodec.codecs.base import Part, Progress
from xraycodec.codecs.lattice.geometry import LAYERS
from xraycodec.codecs.lattice.levels import LevelMap
from xraycodec.codecs.lattice.model import model_by_digest
from xraycodec.codecs.lattice.parameters import Parameters, read_parameters
from xraycodec.codecs.lattice.threads import run_jobs, split_threads
from xraycodec.codecs.lattice.tiles import decode_tile
from xraycodec.codecs.lattice.walk import Setting
from xraycodec.container import Buffer, Header
from xraycodec.errors import CorruptError, OptionError
from xraycodec.image import Pixels, pixel_type, value_range

MIN_TILE, MAX_TILE = 64, 4096
TILE_STEP = 8


@dataclass(frozen=True)
class _Tile:
    """One tile to decode: its frame, and row and column among the frame's tiles."""

    frame: int
    row: int
    column: int


def check_part(header: Header, part: Part) -> None:
    """Hold a part against the image.

    Raises:
        OptionError: it is not inside, or has no pixel at its level.
    """
    if not 0 <= part.level < LAYERS:
        raise OptionError(f"level {part.level}; there are 0 to {LAYERS - 1}")
    inside = (
        0 <= part.row < part.row + part.rows <= header.rows
        and 0 <= part.column < part.column + part.columns <= header.columns
    )
    if not inside:
        raise OptionError(
            f"the region of {part.rows} x {part.columns} pixels at row {part.row}, column"
            f" {part.column} is not inside the image of {header.rows} x {header.columns}"
        )
    rows, columns = part.scaled()
    if rows.start >= rows.stop or columns.start >= columns.stop:
        raise OptionError(
            f"the region of {part.rows} x {part.columns} pixels holds none at a scale of"
            f" 1/{1 << part.level}"
        )


def _tiles(header: Header, part: Part) -> list[_Tile]:
    """Tiles that hold pixels of a part that `check_part` has passed."""
    side = header.tile >> part.level
    rows, columns = part.scaled()
    return [
        _Tile(frame, row, column)
        for frame in range(header.frames)
        for row in range(rows.start // side, (rows.stop - 1) // side + 1)
        for column in range(columns.start // side, (columns.stop - 1) // side + 1)
    ]


def payloads_of(header: Header, part: Part) -> list[int]:
    """Numbers of the payloads that a part needs, rising."""
    check_header(header)
    check_part(header, part)
    return [
        header.payload_index(layer, tile.frame, tile.row, tile.column)
        for layer in range(LAYERS - part.level)
        for tile in _tiles(header, part)
    ]


def check_header(header: Header) -> None:
    """Hold a header against what every lattice stream says of itself.

    Raises:
        CorruptError: it says something else.
    """
    if header.layers != LAYERS:
        raise CorruptError(f"LTTC has {LAYERS} layers; HEAD says {header.layers}")
    if not MIN_TILE <= header.tile <= MAX_TILE or header.tile % TILE_STEP:
        raise CorruptError(
            f"LTTC tiles have sides of {MIN_TILE} to {MAX_TILE}, multiples of {TILE_STEP};"
            f" HEAD says {header.tile}"
        )
    if not header.exact or header.max_error is None:
        raise CorruptError("LTTC is exact with a maximum error; HEAD says otherwise")


def decode_part(
    header: Header,
    parameters: bytes,
    payloads: Mapping[int, Buffer],
    part: Part,
    threads: int,
    progress: Progress,
) -> Pixels:
    """Decode a part of every frame.

    Args:
        header: of the stream.
        parameters: of the stream.
        payloads: at least those that `payloads_of` names, by their numbers.
        part: inside the image.
        threads: 0 for every core.
        progress: called with tiles done and tiles in all.

    Returns:
        Pixels, ``(frame, row, column)``, of the part at its level.

    Raises:
        FormatError: parameters or payloads are damaged.
        ModelError: the model pack that the stream names is not at hand.
    """
    check_header(header)
    check_part(header, part)
    assert header.max_error is not None
    read = read_parameters(parameters)
    _check_range(header, read)
    mapped = LevelMap(read.lowest, read.peak, read.values)
    wanted_rows, wanted_columns = part.scaled()
    jobs = _tiles(header, part)
    pool_threads, network_threads = split_threads(threads, len(jobs))
    model = model_by_digest(header.model, network_threads)
    setting = Setting(
        model, read.coefficients or model.coefficients, 2 * header.max_error + 1, read.peak
    )
    pixels = np.empty(
        (
            header.frames,
            wanted_rows.stop - wanted_rows.start,
            wanted_columns.stop - wanted_columns.start,
        ),
        pixel_type(header.bits_stored, signed=header.signed),
    )
    side = header.tile >> part.level

    def work(tile: _Tile) -> None:
        numbers = [
            header.payload_index(layer, tile.frame, tile.row, tile.column)
            for layer in range(LAYERS - part.level)
        ]
        found = mapped.to_pixels(
            decode_tile(
                [memoryview(payloads[number]) for number in numbers],
                header.tile_shape(tile.row, tile.column),
                part.level,
                setting,
                numbers[0],
            )
        )
        # Where the tile lies in the scaled image, and what of it is wanted.
        top, left = tile.row * side, tile.column * side
        rows = slice(max(top, wanted_rows.start), min(top + len(found), wanted_rows.stop))
        columns = slice(
            max(left, wanted_columns.start), min(left + found.shape[1], wanted_columns.stop)
        )
        pixels[
            tile.frame,
            rows.start - wanted_rows.start : rows.stop - wanted_rows.start,
            columns.start - wanted_columns.start : columns.stop - wanted_columns.start,
        ] = found[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]

    run_jobs(work, jobs, pool_threads, progress)
    return pixels


def _check_range(header: Header, read: Parameters) -> None:
    """Hold the levels against the bits stored, so that every pixel fits."""
    low, high = value_range(header.bits_stored, signed=header.signed)
    span = read.peak if read.values is None else int(read.values[-1])
    if read.lowest < low or read.lowest + span > high:
        raise CorruptError(
            f"LTTC levels stand for {read.lowest} to {read.lowest + span};"
            f" {header.bits_stored} bits stored allow {low} to {high}"
        )
    if read.values is not None and header.max_error:
        raise CorruptError("LTTC maps levels only without loss; HEAD gives a maximum error")
