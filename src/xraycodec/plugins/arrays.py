"""Arrays of chunked stores as ``.xrc`` streams: what the numcodecs and zarr codecs share.

The last two axes of an array are rows and columns; those before them count frames.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.lattice.codec import DEFAULT_TILE, Profile
from xraycodec.container import Limits
from xraycodec.errors import OptionError, UnsupportedImageError
from xraycodec.image import PIXEL_TYPES, XRay, looks_like_channels
from xraycodec.pipeline import compress, decompress

NAME = "xraycodec"
"""By which stores name the codec."""

# Chunks are what stores work on side by side; threads within each would only compete.
_THREADS = 1


@dataclass(frozen=True)
class ArraySettings:
    """How arrays are compressed; all of it goes into the metadata of a store.

    Attributes:
        max_error: largest difference of any element from the original; 0 is lossless.
        profile: best gives the smallest chunks, fast takes about half of the time.
        tile: side of a tile in pixels, a multiple of 8 from 64 to 4096.
        bits_stored: significant bits of an element; without, the fewest that hold the values of
            each chunk. Above 8 for types of 16 bits, from which decoding tells them.

    Raises:
        OptionError: a setting outside these bounds.
    """

    max_error: int = 0
    profile: Profile = "best"
    tile: int = DEFAULT_TILE
    bits_stored: int | None = None

    def __post_init__(self) -> None:
        for name, value in (("max_error", self.max_error), ("tile", self.tile)):
            if type(value) is not int:  # JSON has floats and booleans where integers belong
                raise OptionError(f"{name} is {value!r}; it must be an integer")
        self._codec()
        bits = self.bits_stored
        if bits is not None and (type(bits) is not int or not 1 <= bits <= 16):
            raise OptionError(f"bits_stored is {bits!r}; allowed are 1 to 16, or None")

    def configuration(self) -> dict[str, Any]:
        """The settings as JSON can hold them."""
        return asdict(self)

    def encode_array(self, array: npt.NDArray[Any]) -> bytes:
        """Compress an array ``(..., row, column)``, in C order whatever its order in memory.

        Raises:
            UnsupportedImageError: another type or number of axes, no element, or values beyond
                ``bits_stored``.
            OptionError: 8 bits stored or fewer in a type of 16 bits.
        """
        check_type(array.dtype)
        check_shape(array.shape)
        if 0 in array.shape:
            raise UnsupportedImageError(f"the array is empty: shape {array.shape}")
        frames = np.require(array, requirements="C").reshape(-1, *array.shape[-2:])
        bits_stored = self.bits_stored or _bits_needed(frames)
        if bits_stored <= 8 * (frames.dtype.itemsize - 1):
            raise OptionError(
                f"{bits_stored} bits stored in {frames.dtype.name}; allowed are 9 to 16, lest"
                " decoding give 8-bit elements"
            )
        return compress(XRay(frames, bits_stored), self._codec())

    def _codec(self) -> Lattice:
        return Lattice(self.max_error, self.profile, self.tile, _THREADS)


def decode_array(data: bytes | memoryview, max_elements: int | None = None) -> npt.NDArray[Any]:
    """Decompress what `ArraySettings.encode_array` gave.

    Args:
        data: the stream.
        max_elements: refuse more than these before memory is taken.

    Returns:
        The array, ``(row, column)`` or ``(frame, row, column)``, in the type that was encoded.

    Raises:
        FormatError: the stream is damaged, cut off or of a later version.
        LimitError: it has more elements.
        ModelError: the model pack that it names is not at hand.
    """
    limits = Limits()
    if max_elements is not None:
        # Whoever says so has the room, and constant arrays are common.
        limits = Limits(max_elements, max_elements, free_pixels=max_elements)
    return decompress(data, limits=limits, threads=_THREADS).pixels


def check_type(dtype: np.dtype[Any]) -> None:
    """Refuse arrays of other types than pixels have.

    Raises:
        UnsupportedImageError: another type or byte order.
    """
    if dtype.name not in PIXEL_TYPES or not dtype.isnative:
        raise UnsupportedImageError(
            f"elements are {dtype.str} ({dtype.name}); allowed are {', '.join(PIXEL_TYPES)} in"
            " native byte order"
        )


def check_shape(shape: tuple[int, ...]) -> None:
    """Refuse arrays that are no grayscale images.

    Raises:
        UnsupportedImageError: fewer than two axes, or a last axis that looks like channels.
    """
    if len(shape) < 2:
        raise UnsupportedImageError(
            f"the array has shape {shape}; allowed are two axes or more, the last two rows and"
            " columns"
        )
    # zarr transposes chunks in Fortran order, so that a single frame has its axis at the end.
    if looks_like_channels(shape) and shape[-1] > 1:
        raise UnsupportedImageError(
            f"the array has shape {shape}, whose last axis looks like channels of a colour image;"
            " allowed are axes of which the last two are rows and columns"
        )


def _bits_needed(array: npt.NDArray[Any]) -> int:
    """Fewest bits stored that hold every value and still tell the type."""
    low, high = int(array.min()), int(array.max())
    if array.dtype.kind == "i":
        needed = 1 + max(high.bit_length(), (~low).bit_length() if low < 0 else 0)
    else:
        needed = high.bit_length()
    return max(needed, 8 * (array.dtype.itemsize - 1) + 1)
