"""Damages that streams of several codecs are tried with; checksums fit, but for `flipped`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import xrc_editing as edit
from xraycodec.container import build, parse


def flipped(data: bytes, place: int) -> bytes:
    """One bit of one byte changed, another bit for each byte."""
    changed = bytearray(data)
    changed[place] ^= 1 << place * 5 % 8
    return bytes(changed)


def payloads(data: bytes) -> list[bytes]:
    return [bytes(payload) for payload in parse(data).payloads]


def with_payloads(data: bytes, changed: list[bytes]) -> bytes:
    """The same stream with other payloads and checksums that fit."""
    container = parse(data)
    return build(container.header, container.parameters, changed, container.pixel_hash)


def with_payload(data: bytes, number: int, changed: bytes) -> bytes:
    """The same stream with another payload in one place."""
    whole = payloads(data)
    return with_payloads(data, [*whole[:number], changed, *whole[number + 1 :]])


def flipped_payloads(
    data: bytes, places: Callable[[int, int], Iterable[int]] | None = None
) -> Iterator[bytes]:
    """Streams with one bit of a payload changed: at every byte, or where ``places`` says.

    ``places`` is asked with a payload's size and its number.
    """
    for number, payload in enumerate(payloads(data)):
        for place in places(len(payload), number) if places else range(len(payload)):
            yield with_payload(data, number, flipped(payload, place))


def resized_payloads(data: bytes) -> Iterator[bytes]:
    """Streams with a payload that has lost or gained a byte or a word, or is empty."""
    for number, payload in enumerate(payloads(data)):
        for other in (b"", payload[:-1], payload[:-4], payload + b"\0", payload + bytes(4)):
            if other != payload:
                yield with_payload(data, number, other)


def flipped_chunks(data: bytes, chunk: bytes, bits: range) -> Iterator[bytes]:
    """Streams with one of some ``bits`` of a byte of a chunk changed."""
    original = edit.payload_of(data, chunk)
    for place in range(len(original)):
        for bit in bits:
            changed = bytearray(original)
            changed[place] ^= 1 << bit
            yield edit.with_payload(data, chunk, bytes(changed))
