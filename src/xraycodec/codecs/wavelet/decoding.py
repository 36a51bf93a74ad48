"""Decoding a stream, or the part of it that is asked for (``spec/wavelet.md``, section 7)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xraycodec.codecs.base import Part, Progress
from xraycodec.codecs.lattice.decoding import check_part
from xraycodec.codecs.lattice.threads import run_jobs, split_threads
from xraycodec.codecs.wavelet import completion
from xraycodec.codecs.wavelet.decoder import Decoder
from xraycodec.codecs.wavelet.geometry import LAYERS, cells, levels, strips
from xraycodec.codecs.wavelet.margins import LEAST_SIDE
from xraycodec.codecs.wavelet.model import model_by_digest
from xraycodec.codecs.wavelet.parameters import Parameters
from xraycodec.codecs.wavelet.walk import walk
from xraycodec.container import Buffer, Header
from xraycodec.errors import CorruptError
from xraycodec.image import Pixels, pixel_type, value_range


def check_header(header: Header) -> None:
    """Hold a header against what every wavelet stream says of itself.

    Raises:
        CorruptError: it says something else.
    """
    if completion.is_layered(header):
        completion.check_header(header)
        return
    if header.layers not in (1, LAYERS):
        raise CorruptError(
            f"WAVE has {LAYERS} layers, or 1 that joins them, or {completion.ALL_LAYERS} with a"
            f" completion; HEAD says {header.layers}"
        )
    if header.layers == 1 and len(strips(1, cells(_half(header)))) > 1:
        raise CorruptError(
            f"WAVE frames of {header.rows} x {header.columns} pixels have {LAYERS} layers; HEAD"
            " says 1"
        )
    if header.tile:
        raise CorruptError(f"WAVE frames are one tile each; HEAD says tiles of {header.tile}")
    if not header.exact or header.max_error is not None:
        raise CorruptError("WAVE is exact and promises no maximum error; HEAD says otherwise")


def _half(header: Header) -> tuple[int, int]:
    """Shape of the bands of level 1."""
    return -(-header.rows // 2), -(-header.columns // 2)


def payloads_of(header: Header, part: Part) -> list[int]:
    """Numbers of the payloads that a part needs, rising: of the base, the whole of each frame."""
    check_header(header)
    check_part(header, part)
    numbers = [
        header.payload_index(layer, frame, 0, 0)
        for layer in range(base_layers(header, part.level))
        for frame in range(header.frames)
    ]
    if completion.is_layered(header) and not part.level:
        numbers += completion.payloads_of(header, part)
    return numbers


def base_layers(header: Header, level: int) -> int:
    """How many layers of the base an image at a level needs."""
    return 1 if header.layers == 1 else LAYERS - level


def decode_part(
    header: Header,
    parameters: bytes,
    payloads: Mapping[int, Buffer],
    part: Part,
    threads: int,
    progress: Progress,
    layers: int | None = None,
) -> Pixels:
    """Decode a part of every frame: at full size completed, if the stream is, else of the base.

    Args:
        header: of the stream.
        parameters: of the stream.
        payloads: at least those that `payloads_of` names, by their numbers.
        part: inside the image.
        threads: 0 for every core.
        progress: called with frames done, and then tiles, and frames and tiles in all.
        layers: that are there; all without. Levels of the others are taken for 0 throughout, and
            a completion of which one is missing for nothing.

    Returns:
        Pixels, ``(frame, row, column)``, of the part at its level.

    Raises:
        FormatError: parameters or payloads are damaged.
        ModelError: the model pack that the stream names is not at hand.
    """
    check_header(header)
    check_part(header, part)
    read = Parameters.from_bytes(bytes(parameters))
    if (read.completion is not None) != completion.is_layered(header):
        raise CorruptError(
            f"WAVE parameters {'have' if read.completion else 'lack'} a completion; HEAD says"
            f" {header.layers} layers"
        )
    completion.check_base(header, payloads)
    layers = header.layers if layers is None else layers
    completed = read.completion is not None and layers == header.layers and not part.level
    low, high = value_range(header.bits_stored, signed=header.signed)
    if read.lowest < low or read.highest > high:
        raise CorruptError(
            f"WAVE values are {read.lowest} to {read.highest}; {header.bits_stored} bits stored"
            f" allow {low} to {high}"
        )
    if read.margins and min(header.rows, header.columns) < LEAST_SIDE:
        raise CorruptError(
            f"WAVE parameters have margins for frames of {header.rows} x {header.columns} pixels;"
            f" sides are at least {LEAST_SIDE}"
        )
    shutter = read.shutter.decode(header.rows, header.columns) if read.shutter else None
    pool_threads, inner_threads = split_threads(threads, header.frames)
    model = model_by_digest(header.model, inner_threads)
    shapes = levels(header.rows, header.columns)
    # An image of a few pixels has fewer levels than it may be asked to be scaled by.
    level = min(part.level, len(shapes) - 1)
    wanted_part = part
    if completed:  # tile by tile, from the whole of its base
        part = completion.with_whole_tiles(header, part)
    rows, columns = part.scaled()
    pixels = np.empty(
        (header.frames, rows.stop - rows.start, columns.stop - columns.start),
        pixel_type(header.bits_stored, signed=header.signed),
    )
    wanted = min(layers, base_layers(header, part.level))
    joined = header.layers == 1
    later = len(completion.tiles_of(header, part)) if completed else 0

    def work(frame: int) -> None:
        own = [payloads[header.payload_index(layer, frame, 0, 0)] for layer in range(wanted)]
        coder = Decoder(own, shapes, model, frame, inner_threads, joined=joined, blocks=read.blocks)
        found = walk(shapes[0], model, coder, level)
        if not joined or not level:  # else there is more in the payload
            coder.end()
        found = read.to_pixels(found, level)
        if shutter:
            shutter.put_back(found, level)
        extra = 1 << (part.level - level)
        pixels[frame] = found[::extra, ::extra][rows, columns]

    frames = range(header.frames)
    run_jobs(work, frames, pool_threads, lambda done, total: progress(done, total + later))
    if completed:
        completion.add_completion(
            header, read, payloads, part, pixels, threads,
            lambda done, total: progress(len(frames) + done, len(frames) + total),
        )  # fmt: skip
        top, left = wanted_part.row - part.row, wanted_part.column - part.column
        pixels = pixels[:, top : top + wanted_part.rows, left : left + wanted_part.columns]
    return pixels
