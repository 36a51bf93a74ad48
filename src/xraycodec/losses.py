"""What a lossy stream does to the pixels, as the images that it decodes to carry it on."""

from __future__ import annotations

from collections.abc import Sequence

from xraycodec.codecs.registry import name_of
from xraycodec.container import Header
from xraycodec.image import MAX_LOSSES, MAX_RATIO, Loss


def method_of(codec_id: str) -> str:
    """Our term for Lossy Image Compression Method (0028,2114), such as ``XRC_LATTICE``.

    PS3.3 C.7.6.1.1.5.1 has defined terms for methods that are standards; others may be used.
    """
    return f"XRC_{name_of(codec_id).replace('-', '_').upper()}"


def losses_after(earlier: Sequence[Loss], header: Header, payload_bytes: int) -> tuple[Loss, ...]:
    """The losses that decoded pixels went through.

    Args:
        earlier: of the stream, before its own.
        header: the stream's; nothing is added where it promises the pixels as they were.
        payload_bytes: size of the tile payloads that were decoded.
    """
    if header.max_error == 0:
        return tuple(earlier)
    pixel_bytes = header.pixel_count * header.bits_stored / 8
    ratio = min(max(pixel_bytes / max(payload_bytes, 1), 0.001), MAX_RATIO)
    # Only the latest are kept of an image that was compressed over and over.
    steps = (*earlier, Loss(method_of(header.codec), ratio, header.max_error))
    return steps[-MAX_LOSSES:]
