"""Encapsulated Pixel Data: its items in a data set, and the frames in its items (PS3.5 A.4).

::

    Pixel Data ─ item: basic offset table ─ item: fragment ─ item: fragment ─ … ─ delimiter
                                            └─────── frame ──────┘

Items are walked by their lengths. pydicom searches for the bytes of the delimiter instead, which
compressed data may contain. `dicom_elements` finds where Pixel Data end.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise

from xraycodec.errors import CorruptImageError

_UNDEFINED_LENGTH = 0xFFFFFFFF
_ITEM, _DELIMITER = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_END_MARKER = b"\xff\xd9"
_END_BYTES = 10  # the end marker of a codestream, and padding after it
_BARE_SIGNATURES = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_MARKED_SIGNATURES = (*_BARE_SIGNATURES, b"\x00\x00\x00\x0cjP  ")  # of what ends with the marker


@dataclass(frozen=True)
class _Fragment:
    """An item's value, and where its item lies from the first fragment on."""

    offset: int
    value: bytes


def holds_frames(value: bytes) -> bool:
    """Whether Pixel Data are items, or one bare codestream, as `split_frames` takes them."""
    return value.startswith((_ITEM, *_BARE_SIGNATURES))


def split_frames(
    value: bytes, frames: int, extended_offsets: tuple[bytes, bytes] | None = None
) -> list[bytes]:
    """Compressed frames of encapsulated Pixel Data, fragments joined.

    Offset tables count only if every offset meets the start of a fragment, because writers
    that leave them wrong are common; without one, fragments and frames that are equal in
    number pair up, and otherwise a frame ends with an end-of-image marker. Empty fragments
    count for nothing there.

    Args:
        value: Pixel Data, from the item of the basic offset table on; or one bare codestream.
        frames: what the data set says.
        extended_offsets: Extended Offset Table and its lengths, where present.

    Raises:
        CorruptImageError: broken items, or another number of frames.
    """
    if frames == 1 and value.startswith(_BARE_SIGNATURES):
        return [value]
    items = _items(value, 0)
    if not items:
        raise CorruptImageError("Pixel Data does not begin with a basic offset table item")
    origin = items[0][1]
    fragments = [_Fragment(start - 8 - origin, value[start:end]) for start, end in items[1:]]
    starts = {fragment.offset for fragment in fragments}
    table = value[items[0][0] : origin]
    basic = list(struct.unpack(f"<{len(table) // 4}I", table)) if len(table) % 4 == 0 else []
    if extended_offsets and _extended_table_fits(extended_offsets, frames, starts):
        found = _by_extended_table(fragments, extended_offsets)
    elif _table_fits(basic, frames, starts):
        found = _by_table(fragments, basic)
    else:
        found = _without_table([each.value for each in fragments if each.value], frames)
    if len(found) != frames:
        raise CorruptImageError(f"Pixel Data holds {len(found)} frames; the data set says {frames}")
    return found


def _items(data: bytes, position: int) -> list[tuple[int, int]]:
    """Where the values of consecutive items begin and end."""
    items: list[tuple[int, int]] = []
    while data[position : position + 4] == _ITEM:
        length = int.from_bytes(data[position + 4 : position + 8], "little")
        start, position = position + 8, position + 8 + length
        if position > len(data):
            found = "an undefined length" if length == _UNDEFINED_LENGTH else f"{length} bytes"
            raise CorruptImageError(
                f"Pixel Data: item {len(items)} claims {found}; {max(len(data) - start, 0)} are"
                " left"
            )
        items.append((start, position))
    return items


def _by_extended_table(fragments: list[_Fragment], tables: tuple[bytes, bytes]) -> list[bytes]:
    offsets, lengths = (_numbers(table) for table in tables)
    values = {fragment.offset: fragment.value for fragment in fragments}
    return [values[offset][:length] for offset, length in zip(offsets, lengths, strict=True)]


def _by_table(fragments: list[_Fragment], offsets: list[int]) -> list[bytes]:
    frames: list[list[bytes]] = []
    starts = set(offsets)
    for fragment in fragments:
        if fragment.offset in starts:
            frames.append([])
        frames[-1].append(fragment.value)
    return [b"".join(frame) for frame in frames]


def _without_table(fragments: list[bytes], frames: int) -> list[bytes]:
    if len(fragments) == frames:
        return fragments
    if not fragments or not fragments[0].startswith(_MARKED_SIGNATURES):
        # Only one frame can have several fragments then: nothing else tells where one ends.
        return [b"".join(fragments)] if fragments and frames == 1 else fragments
    found: list[list[bytes]] = [[]]
    for fragment in fragments:
        found[-1].append(fragment)
        if _END_MARKER in fragment[-_END_BYTES:]:
            found.append([])
    return [b"".join(frame) for frame in found if frame]


def _table_fits(offsets: list[int], frames: int, starts: set[int]) -> bool:
    ascending = all(a < b for a, b in pairwise(offsets))
    return len(offsets) == frames and offsets[0] == 0 and ascending and starts >= set(offsets)


def _extended_table_fits(tables: tuple[bytes, bytes], frames: int, starts: set[int]) -> bool:
    offsets, lengths = (_numbers(table) for table in tables)
    if not _table_fits(offsets, frames, starts) or len(lengths) != frames:
        return False
    # One fragment a frame (PS3.3 C.7.6.3): a length that runs into the next frame is wrong.
    following = [*offsets[1:], max(starts) + (1 << 32)]
    return len(starts) == frames and all(
        offset + 8 + length <= end
        for offset, length, end in zip(offsets, lengths, following, strict=True)
    )


def _numbers(table: bytes) -> list[int]:
    return list(struct.unpack(f"<{len(table) // 8}Q", table[: len(table) // 8 * 8]))
