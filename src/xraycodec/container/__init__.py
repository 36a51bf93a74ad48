"""The ``.xrc`` container: bytes and headers, nothing of codecs, networks or files.

::

    signature │ HEAD │ PARM │ META? │ INDX │ DATA ... │ HASH │ DONE
                │      │      │       │      │          └ digest of the decoded pixels
                │      │      │       │      └ tile payloads, layer by layer, about 16 KiB a chunk
                │      │      │       └ size of every tile payload
                │      │      └ DICOM data set without pixels
                │      └ the codec's parameters
                └ image, tile grid, guarantees, codec, model

Ancillary chunks hold what DICOM files need besides: ``fiLE`` after META the file meta information,
``loSS`` before INDX earlier lossy compression, ``spAR`` before HASH bits around the bits stored.
Each chunk carries a CRC-32. A tile has one payload in each layer. ``parse`` reads a whole stream,
``PartialReader`` what is asked for. ``spec/format.md`` is the norm; this package implements it.
"""

from __future__ import annotations

from xraycodec.container.framing import (
    SIGNATURE,
    Buffer,
    Chunk,
    as_file,
    ends_whole,
    read_length,
)
from xraycodec.container.header import NO_MODEL, Header, pack_header
from xraycodec.container.inspection import Inspection, inspect
from xraycodec.container.partial import PartialReader
from xraycodec.container.pixel_hash import PixelDigest, hash_pixels
from xraycodec.container.reader import Container, parse, read_header
from xraycodec.container.writer import build
from xraycodec.limits import Limits

__all__ = [
    "NO_MODEL",
    "SIGNATURE",
    "Buffer",
    "Chunk",
    "Container",
    "Header",
    "Inspection",
    "Limits",
    "PartialReader",
    "PixelDigest",
    "as_file",
    "build",
    "ends_whole",
    "hash_pixels",
    "inspect",
    "pack_header",
    "parse",
    "read_header",
    "read_length",
]
