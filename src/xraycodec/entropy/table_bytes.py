"""The bytes of a set of frequency tables: spec/entropy.md, section 5.

This module knows the layout and the limits of memory; what the numbers must fulfil besides,
`FrequencyTables` checks.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError

MAGIC = b"XRFT"
VERSION = 1

MAX_TABLES = 1 << 14
"""Most tables in a set: bounds the decoder's look-up to 8 MiB."""

MAX_ENTRIES = 1 << 22
"""Most entries of all tables together, escapes included: 256 for each of the most tables."""

_HEADER = struct.Struct("<4sBBH")  # magic, version, reserved, number of tables
_MAX_VARINT_BYTES = 3

Arrays = tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16], npt.NDArray[np.uint16]]


def join(
    minimums: npt.NDArray[np.int32],
    counts: npt.NDArray[np.uint16],
    frequencies: npt.NDArray[np.uint16],
) -> bytes:
    """Write valid tables."""
    return b"".join(
        (
            _HEADER.pack(MAGIC, VERSION, 0, len(minimums)),
            minimums.astype("<i4").tobytes(),
            counts.astype("<u2").tobytes(),
            _join_varints(frequencies),
        )
    )


def split(data: bytes | memoryview) -> Arrays:
    """Read minimums, counts and frequencies.

    Raises:
        ModelError: the bytes do not have the layout.
    """
    if len(data) < _HEADER.size:
        raise ModelError(f"frequency tables of {len(data)} bytes; the header has {_HEADER.size}")
    magic, version, reserved, tables = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise ModelError(f"frequency tables begin with {magic!r}; allowed is {MAGIC!r}")
    if version != VERSION:
        raise ModelError(f"frequency tables of version {version}; this reader knows {VERSION}")
    if reserved:
        raise ModelError(f"the reserved byte of the frequency tables is {reserved}, not 0")
    if tables > MAX_TABLES:
        raise ModelError(f"{tables} frequency tables; the limit is {MAX_TABLES}")
    body = _HEADER.size + 6 * tables
    if len(data) < body:
        raise ModelError(f"frequency tables of {len(data)} bytes; {tables} tables need over {body}")
    minimums = np.frombuffer(data, "<i4", tables, _HEADER.size).astype(np.int32)
    counts = np.frombuffer(data, "<u2", tables, _HEADER.size + 4 * tables).astype(np.uint16)
    entries = int(counts.sum(dtype=np.int64)) + tables
    if entries > MAX_ENTRIES:
        raise ModelError(f"frequency tables claim {entries} entries; the limit is {MAX_ENTRIES}")
    if len(data) > body + _MAX_VARINT_BYTES * entries:
        raise ModelError(
            f"frequency tables of {len(data)} bytes; {entries} entries take"
            f" {body + _MAX_VARINT_BYTES * entries} at most"
        )
    return minimums, counts, _split_varints(np.frombuffer(data, np.uint8, offset=body), entries)


def _join_varints(numbers: npt.NDArray[np.uint16]) -> bytes:
    wide = numbers.astype(np.uint32)[:, None] >> np.array([0, 7, 14], np.uint32)
    groups = (wide & 0x7F).astype(np.uint8)
    more = np.zeros(groups.shape, bool)
    more[:, :-1] = wide[:, 1:] > 0
    used = np.ones(groups.shape, bool)
    used[:, 1:] = more[:, :-1]
    return (groups | more.astype(np.uint8) << 7)[used].tobytes()


def _split_varints(data: npt.NDArray[np.uint8], entries: int) -> npt.NDArray[np.uint16]:
    ends = np.flatnonzero(data < 0x80)
    if ends.size < entries:
        raise ModelError(f"the frequency tables end after {ends.size} of {entries} frequencies")
    starts = np.concatenate(([0], ends[: entries - 1] + 1))[:entries]
    sizes = ends[:entries] + 1 - starts
    used = int(sizes.sum())
    if used != data.size:
        raise ModelError(f"{data.size - used} bytes after the last of {entries} frequencies")
    if sizes.max(initial=0) > _MAX_VARINT_BYTES:
        raise ModelError(
            f"frequency {int(sizes.argmax())} has {int(sizes.max())} bytes; the limit is"
            f" {_MAX_VARINT_BYTES}"
        )
    padded = (sizes > 1) & (data[ends[:entries]] == 0)
    if padded.any():
        raise ModelError(f"frequency {int(padded.argmax())} is not in its shortest form")
    numbers = np.zeros(entries, np.uint32)
    for place in range(_MAX_VARINT_BYTES):
        longer = sizes > place
        groups = data[starts[longer] + place] & 0x7F
        numbers[longer] |= groups.astype(np.uint32) << (7 * place)
    if numbers.max(initial=0) > 0xFFFF:
        raise ModelError(
            f"frequency {int(numbers.argmax())} is {int(numbers.max())}; the limit is 65535"
        )
    return numbers.astype(np.uint16)
