"""The ``.xrc`` container: bytes and headers, nothing of codecs, networks or files.

::

    signature │ HEAD │ PARM │ META? │ INDX │ DATA ... │ HASH │ DONE
                │      │      │       │      │          └ digest of the decoded pixels
                │      │      │       │      └ tiles, whole ones, about 64 KiB a chunk
                │      │      │       └ size of every tile
                │      │      └ DICOM data set without pixels
                │      └ the codec's parameters
                └ image, tile grid, guarantees, codec, model

Each chunk carries a CRC-32. ``spec/format.md`` is the norm; this package implements it.
"""

from __future__ import annotations

from xraycodec.container.framing import SIGNATURE, Buffer, Chunk, read_length
from xraycodec.container.header import NO_MODEL, Header, pack_header
from xraycodec.container.inspection import Inspection, inspect
from xraycodec.container.limits import Limits
from xraycodec.container.pixel_hash import hash_pixels
from xraycodec.container.reader import Container, parse, read_header
from xraycodec.container.writer import build

__all__ = [
    "NO_MODEL",
    "SIGNATURE",
    "Buffer",
    "Chunk",
    "Container",
    "Header",
    "Inspection",
    "Limits",
    "build",
    "hash_pixels",
    "inspect",
    "pack_header",
    "parse",
    "read_header",
    "read_length",
]
