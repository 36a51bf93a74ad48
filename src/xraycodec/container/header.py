"""HEAD: what the image is and who can decode it (spec/format.md, section 5.1)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from xraycodec.errors import CorruptError, LimitError, OptionError, UnsupportedFormatError
from xraycodec.image import PhotometricInterpretation
from xraycodec.limits import Limits

MAJOR = 1
NO_MODEL = bytes(32)
MAX_LAYERS = 32
_MAX_LAYERS_1_1 = 8
"""What readers of version 1.1 know."""

# major, minor, flags, bits stored, photometric interpretation, layers - 1, two reserved bytes,
# frames, rows, columns, tile, maximum error, codec, model
_HEAD = struct.Struct("<6B2s5I4s32s")
_SIGNED, _EXACT = 1, 2
_PHOTOMETRIC: dict[int, PhotometricInterpretation] = {1: "MONOCHROME1", 2: "MONOCHROME2"}
_NO_BOUND = 2**32 - 1
_U32_MAX = 2**32 - 1


@dataclass(frozen=True)
class Header:
    """What the image is, how it is cut into tiles, and which codec and model decode it.

    Attributes:
        signed: whether pixels are two's complement.
        exact: whether the decoder's pixels are specified to the bit on every machine.
        bits_stored: significant bits of a pixel, 1 to 16; a signed pixel's sign bit counts.
        photometric_interpretation: as in :class:`xraycodec.image.XRay`.
        frames: number of frames.
        rows: height of a frame in pixels.
        columns: width of a frame in pixels.
        tile: side of a tile in pixels; 0 makes each frame one tile.
        max_error: largest difference of any decoded pixel from the original, in grey levels;
            0 is lossless (and needs ``exact``), ``None`` promises nothing.
        codec: four ASCII letters or digits.
        model: SHA-256 of the model pack, :data:`NO_MODEL` for a codec without one.
        layers: payloads that each tile is stored in, 1 to 32, such as one a resolution.

    Raises:
        OptionError: a field outside these bounds.
    """

    signed: bool
    exact: bool
    bits_stored: int
    photometric_interpretation: PhotometricInterpretation
    frames: int
    rows: int
    columns: int
    tile: int
    max_error: int | None
    codec: str
    model: bytes = NO_MODEL
    layers: int = 1

    def __post_init__(self) -> None:
        bounds = {
            "bits stored": (self.bits_stored, 1, 16),
            "frames": (self.frames, 1, _U32_MAX),
            "rows": (self.rows, 1, _U32_MAX),
            "columns": (self.columns, 1, _U32_MAX),
            "tile": (self.tile, 0, _U32_MAX),
            "layers": (self.layers, 1, MAX_LAYERS),
        }
        for name, (found, low, high) in bounds.items():
            if not low <= found <= high:
                raise OptionError(f"{name} is {found}; allowed are {low} to {high}")
        if self.photometric_interpretation not in _PHOTOMETRIC.values():
            raise OptionError(
                f"photometric interpretation is {self.photometric_interpretation!r}; allowed are"
                " MONOCHROME1 and MONOCHROME2"
            )
        peak = (1 << self.bits_stored) - 1
        if self.max_error is not None and not 0 <= self.max_error <= peak:
            raise OptionError(
                f"maximum error is {self.max_error}; {self.bits_stored} bits stored allow 0 to"
                f" {peak}"
            )
        if self.max_error == 0 and not self.exact:
            raise OptionError("maximum error is 0 but pixels are not exact; lossless must be")
        if not (len(self.codec) == 4 and self.codec.isascii() and self.codec.isalnum()):
            raise OptionError(f"codec is {self.codec!r}; allowed are four ASCII letters or digits")
        if len(self.model) != len(NO_MODEL):
            raise OptionError(f"model has {len(self.model)} bytes; a SHA-256 has {len(NO_MODEL)}")

    @property
    def pixel_count(self) -> int:
        """Pixels of all frames."""
        return self.frames * self.rows * self.columns

    @property
    def tiles_down(self) -> int:
        """Rows of tiles in a frame."""
        return -(-self.rows // self.tile) if self.tile else 1

    @property
    def tiles_across(self) -> int:
        """Columns of tiles in a frame."""
        return -(-self.columns // self.tile) if self.tile else 1

    @property
    def tile_count(self) -> int:
        """Tiles of all frames, layers not counted."""
        return self.frames * self.tiles_down * self.tiles_across

    @property
    def payload_count(self) -> int:
        """Payloads of all tiles, one a layer each."""
        return self.layers * self.tile_count

    def tile_shape(self, row: int, column: int) -> tuple[int, int]:
        """Height and width in pixels of a tile, smaller than ``tile`` at the far edges.

        Args:
            row: 0 to ``tiles_down - 1``.
            column: 0 to ``tiles_across - 1``.

        Raises:
            OptionError: no such tile.
        """
        if not (0 <= row < self.tiles_down and 0 <= column < self.tiles_across):
            raise OptionError(
                f"no tile at row {row}, column {column}; a frame has {self.tiles_down} x"
                f" {self.tiles_across}"
            )
        if not self.tile:
            return self.rows, self.columns
        return (
            min(self.tile, self.rows - row * self.tile),
            min(self.tile, self.columns - column * self.tile),
        )

    def payload_index(self, layer: int, frame: int, row: int, column: int) -> int:
        """Place in coding order of what one layer holds of a tile (spec/format.md, section 5.1).

        Args:
            layer: 0 to ``layers - 1``.
            frame: 0 to ``frames - 1``.
            row: of tiles, 0 to ``tiles_down - 1``.
            column: of tiles, 0 to ``tiles_across - 1``.

        Raises:
            OptionError: no such payload.
        """
        place = (layer, frame, row, column)
        grid = (self.layers, self.frames, self.tiles_down, self.tiles_across)
        if not all(0 <= at < size for at, size in zip(place, grid, strict=True)):
            raise OptionError(
                f"no payload at layer {layer}, frame {frame}, row {row}, column {column}; there"
                f" are {self.layers} layers of {self.frames} frames of {self.tiles_down} x"
                f" {self.tiles_across} tiles"
            )
        index = 0
        for at, size in zip(place, grid, strict=True):
            index = index * size + at
        return index


def minor_version(layers: int, *, with_ancillary: bool = False) -> int:
    """Lowest minor version with this number of layers: streams keep the bytes of older versions.

    Args:
        layers: number of layers.
        with_ancillary: whether the stream has one of the ancillary chunks that version 1.3 adds.
    """
    if with_ancillary:
        return 3
    if layers == 1:
        return 0
    return 1 if layers <= _MAX_LAYERS_1_1 else 2


def pack_header(header: Header, *, with_ancillary: bool = False) -> bytes:
    """Serialise HEAD's payload; ``with_ancillary`` as for :func:`minor_version`."""
    codes = {name: code for code, name in _PHOTOMETRIC.items()}
    return _HEAD.pack(
        MAJOR,
        minor_version(header.layers, with_ancillary=with_ancillary),
        _SIGNED * header.signed | _EXACT * header.exact,
        header.bits_stored,
        codes[header.photometric_interpretation],
        header.layers - 1,
        bytes(2),
        header.frames,
        header.rows,
        header.columns,
        header.tile,
        _NO_BOUND if header.max_error is None else header.max_error,
        header.codec.encode("ascii"),
        header.model,
    )


def unpack_version(payload: memoryview, place: str) -> tuple[int, int]:
    """Major and minor version, at the same two bytes in every version of the format.

    Raises:
        CorruptError: the payload has no two bytes.
    """
    if len(payload) < 2:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_HEAD.size}")
    return payload[0], payload[1]


def unpack_header(payload: memoryview, place: str) -> Header:
    """Parse HEAD's payload; ``place`` names the chunk in messages.

    Raises:
        UnsupportedFormatError: another major version, a reserved bit or an unknown code is used.
        CorruptError: a wrong size or a field out of bounds.
    """
    major, minor = unpack_version(payload, place)
    if major != MAJOR:
        raise UnsupportedFormatError(
            f"{place} has version {major}.{minor}; this reader knows version {MAJOR}"
        )
    if len(payload) != _HEAD.size:
        raise CorruptError(f"{place} has {len(payload)} bytes; it must have {_HEAD.size}")
    (_, _, flags, bits_stored, photometric, upper_layers, reserved, *numbers, codec, model) = (
        _HEAD.unpack(payload)
    )
    frames, rows, columns, tile, max_error = numbers
    if flags & ~(_SIGNED | _EXACT):
        raise UnsupportedFormatError(
            f"{place} has flags 0x{flags:02x}; this reader knows 0x{_SIGNED | _EXACT:02x}"
        )
    if any(reserved):
        raise UnsupportedFormatError(
            f"{place} has reserved bytes {reserved.hex(' ')}; version {MAJOR} sets them to zero"
        )
    if upper_layers >= MAX_LAYERS:
        raise UnsupportedFormatError(
            f"{place} has {upper_layers + 1} layers; this reader knows 1 to {MAX_LAYERS}"
        )
    if photometric not in _PHOTOMETRIC:
        raise UnsupportedFormatError(
            f"{place} has photometric interpretation {photometric}; this reader knows 1 and 2"
        )
    try:
        return Header(
            signed=bool(flags & _SIGNED),
            exact=bool(flags & _EXACT),
            bits_stored=bits_stored,
            photometric_interpretation=_PHOTOMETRIC[photometric],
            frames=frames,
            rows=rows,
            columns=columns,
            tile=tile,
            max_error=None if max_error == _NO_BOUND else max_error,
            codec=codec.decode("latin-1"),
            model=model,
            layers=upper_layers + 1,
        )
    except OptionError as fault:
        raise CorruptError(f"{place}: {fault}") from None


def check_header(header: Header, limits: Limits, place: str, size_bytes: int | None = None) -> None:
    """Hold the header's sizes against a reader's limits.

    Args:
        header: of a stream.
        limits: of the reader.
        place: names the chunk in messages.
        size_bytes: the whole file; ``None`` if only its beginning is there.

    Raises:
        LimitError: too many pixels, also for the size of the file, or too many tiles, each counted
            once a layer.
    """
    limits.check_pixels(header.frames, header.rows, header.columns, size_bytes, place)
    if header.payload_count > limits.max_tiles:
        claim = f"{header.tile_count} tiles"
        if header.layers > 1:
            claim = f"{header.layers} layers of {claim} = {header.payload_count} payloads"
        raise LimitError(f"{place} claims {claim}; the limit is {limits.max_tiles} (max_tiles)")
