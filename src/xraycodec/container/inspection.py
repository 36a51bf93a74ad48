"""Looking at a stream without decoding it, sound or damaged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from xraycodec.container.assembly import Assembly, check_end
from xraycodec.container.framing import Buffer, Chunk, byte_view, walk
from xraycodec.container.header import Header
from xraycodec.container.index import Index
from xraycodec.errors import NotXrcError, XrayCodecError
from xraycodec.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Inspection:
    """What a stream's chunks say.

    Attributes:
        size_bytes: the whole file.
        chunks: every chunk that could be found, in order, damaged ones too.
        header: what the image is; ``None`` if HEAD is missing, damaged or from a later version.
        parameters: the codec's own; ``None`` if unreadable.
        metadata_bytes: size of the DICOM data set once inflated; ``None`` if unreadable or absent.
        payload_bytes: size of the DATA chunks found, frames not counted.
        layer_bytes: of each layer, size of its tile payloads by the index; empty if unreadable.
        tiles_intact: tiles that lie, in every layer, in DATA chunks that are whole and fit the
            index.
        layers_intact: layers, from the first on, of which every tile is intact.
        pixel_hash: SHA-256 of the decoded pixels; ``None`` if unreadable.
        problems: what ``parse`` would refuse, in the order found; empty for a sound file.
    """

    size_bytes: int
    chunks: tuple[Chunk, ...]
    header: Header | None
    parameters: bytes | None
    metadata_bytes: int | None
    payload_bytes: int
    layer_bytes: tuple[int, ...]
    tiles_intact: int
    layers_intact: int
    pixel_hash: bytes | None
    problems: tuple[str, ...]


def inspect(data: Buffer, limits: Limits = DEFAULT_LIMITS) -> Inspection:
    """Read all that can be read of a stream, listing problems in place of raising them.

    Raises:
        NotXrcError: no signature at byte 0.
    """
    view = byte_view(data)
    assembly = Assembly(limits, len(view))
    chunks: list[Chunk] = []
    problems: list[str] = []
    try:
        for chunk in walk(view, limits):
            chunks.append(chunk)
            try:
                assembly.accept(chunk, chunk.payload(view))
            except XrayCodecError as problem:
                problems.append(str(problem))
        check_end(chunks[-1], len(view))
    except NotXrcError:
        raise
    except XrayCodecError as problem:
        problems.append(str(problem))
    intact = assembly.intact
    return Inspection(
        size_bytes=len(view),
        chunks=tuple(chunks),
        header=assembly.header,
        parameters=assembly.parameters,
        metadata_bytes=None if assembly.dicom is None else len(assembly.dicom),
        payload_bytes=sum(chunk.length for chunk in chunks if chunk.type == "DATA"),
        layer_bytes=_layer_bytes(assembly.index),
        tiles_intact=int(intact.all(axis=0).sum()),
        layers_intact=int(np.logical_and.accumulate(intact.all(axis=1)).sum()),
        pixel_hash=assembly.pixel_hash,
        problems=tuple(problems),
    )


def _layer_bytes(index: Index | None) -> tuple[int, ...]:
    if index is None:
        return ()
    return tuple(map(int, index.payload_bytes.reshape(index.layers, -1).sum(1)))
