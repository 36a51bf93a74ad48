"""Reading protobuf messages strictly: what a schema does not name is refused.

Protobuf's own readers skip unknown fields, merge repeated submessages and let the last of several
values win. Two readers of one file may then see two networks, so none of it is allowed here. Each
field has a largest count, which bounds the memory that a message can take.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from xraycodec.errors import ModelError

Value = int | memoryview
_MAX_VARINT_BYTES = 10


class Wire(IntEnum):
    """Wire types in use; the others are 64-bit values and groups."""

    VARINT = 0
    BYTES = 2
    FIXED32 = 5


@dataclass(frozen=True)
class Field:
    """A field that a message may have.

    Attributes:
        name: in the ``.proto`` file.
        wire: its wire type; a field of integers of type ``VARINT`` may also come packed.
        most: how often it may occur, packed integers counted one by one.
    """

    name: str
    wire: Wire
    most: int = 1


Schema = Mapping[int, Field]


class Message:
    """The fields of one message, in the order in which they stand."""

    def __init__(self, data: memoryview, schema: Schema, place: str) -> None:
        """Split ``data`` into fields; ``place`` says in errors which message this is.

        Raises:
            ModelError: the message is cut off, or has a field that ``schema`` does not allow.
        """
        self.place = place
        self._values: dict[str, list[Value]] = {field.name: [] for field in schema.values()}
        at = 0
        while at < len(data):
            key, at = _varint(data, at, place)
            field = schema.get(key >> 3)
            if field is None:
                raise ModelError(f"{place} has field {key >> 3}, which is not in the subset")
            at = self._read(data, at, field, key & 7)

    def _read(self, data: memoryview, at: int, field: Field, wire: int) -> int:
        if wire == Wire.VARINT and field.wire == Wire.VARINT:
            value, at = _varint(data, at, self.place)
            self._append(field, value)
            return at
        if wire == Wire.FIXED32 and field.wire == Wire.FIXED32:
            self._append(field, int.from_bytes(_take(data, at, 4, self.place), "little"))
            return at + 4
        packed = field.wire == Wire.VARINT and field.most > 1
        if wire != Wire.BYTES or not (field.wire == Wire.BYTES or packed):
            raise ModelError(f"field {field.name!r} of {self.place} has wire type {wire}")
        size, at = _varint(data, at, self.place)
        content = _take(data, at, size, self.place)
        if packed:
            inner = 0
            while inner < size:
                value, inner = _varint(content, inner, self.place)
                self._append(field, value)
        else:
            self._append(field, content)
        return at + size

    def _append(self, field: Field, value: Value) -> None:
        values = self._values[field.name]
        if len(values) == field.most:
            raise ModelError(f"{self.place} has field {field.name!r} more than {field.most} times")
        values.append(value)

    def integers(self, name: str) -> list[int]:
        """All values of an integer field, as unsigned 64-bit numbers."""
        return [value for value in self._values[name] if isinstance(value, int)]

    def integer(self, name: str, default: int = 0) -> int:
        return next(iter(self.integers(name)), default)

    def messages(self, name: str) -> list[memoryview]:
        """All values of a field of bytes, strings or messages."""
        return [value for value in self._values[name] if isinstance(value, memoryview)]

    def message(self, name: str) -> memoryview:
        """Return the one value of a field of bytes; no bytes if it is absent."""
        return next(iter(self.messages(name)), memoryview(b""))

    def texts(self, name: str, longest: int = 128) -> list[str]:
        """All values of a string field.

        Raises:
            ModelError: one is longer than ``longest`` bytes or no printable ASCII.
        """
        found = []
        for value in self.messages(name):
            text = bytes(value[: longest + 1]).decode("latin-1")
            if len(text) > longest or not (text.isascii() and (text.isprintable() or not text)):
                raise ModelError(
                    f"{name!r} of {self.place} is not a text of up to {longest} printable ASCII"
                    " characters"
                )
            found.append(text)
        return found

    def text(self, name: str) -> str:
        return next(iter(self.texts(name)), "")


def _take(data: memoryview, at: int, size: int, place: str) -> memoryview:
    if size > len(data) - at:
        raise ModelError(f"{place} is cut off: {size} bytes are due, {len(data) - at} are left")
    return data[at : at + size]


def _varint(data: memoryview, at: int, place: str) -> tuple[int, int]:
    """Read a varint below 2^64; return it and the position after it."""
    value = 0
    for n, byte in enumerate(data[at : at + _MAX_VARINT_BYTES]):
        value |= (byte & 127) << (7 * n)
        if byte < 128:
            if value >> 64:
                raise ModelError(f"{place} has an integer over 64 bits")
            return value, at + n + 1
    raise ModelError(f"{place} is cut off or has an integer over 64 bits")
