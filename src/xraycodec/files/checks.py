"""Checks that every reader shares: sizes before memory, damage as one typed error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.errors import (
    CorruptImageError,
    LimitError,
    UnsupportedImageError,
    XrayCodecError,
)
from xraycodec.limits import Limits

_CODECS = ("imagecodecs", "zlib")
"""Packages whose errors say what is wrong with a codestream."""


@contextmanager
def damage_as_corrupt(what: str, *telling: type[Exception]) -> Iterator[None]:
    """Turn whatever a third-party decoder raises into this package's errors.

    Only a codec's own reason is told. Errors of Python and of parsers name types and functions, or
    quote values of the file, which messages must not.

    Args:
        what: was decoded.
        telling: further kinds of errors whose reason may be told.

    Raises:
        CorruptImageError: any exception of another package.
        LimitError: the decoder ran out of memory.
    """
    try:
        yield
    except XrayCodecError:
        raise
    except MemoryError as error:
        raise LimitError(f"{what}: not enough memory to decode it") from error
    except Exception as error:
        tells = type(error).__module__.partition(".")[0] in _CODECS or isinstance(error, telling)
        reason = (tells and str(error)) or "the data are damaged"
        raise CorruptImageError(f"{what}: {reason}") from error


def check_pixels(
    rows: int, columns: int, frames: int, limits: Limits, size_bytes: int | None = None
) -> None:
    """Check dimensions that a header claims, as `Limits.check_pixels`.

    Raises:
        CorruptImageError: a dimension below 1.
        LimitError: too many pixels.
    """
    if rows < 1 or columns < 1 or frames < 1:
        raise CorruptImageError(
            f"the header gives {frames} frame(s) of {rows} rows x {columns} columns;"
            " allowed is 1 or more of each"
        )
    limits.check_pixels(frames, rows, columns, size_bytes, "the header")


def gray_channel(samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The one channel of ``(row, column)`` or ``(row, column, channel)`` samples.

    Gray images stored as RGB, or with an alpha channel that is opaque everywhere, are common
    (ChestX-ray8 itself has them) and hold no more than the gray channel, so they pass.

    Raises:
        UnsupportedImageError: channels that differ, transparency, or another layout.
    """
    if samples.ndim == 2:
        return samples
    if samples.ndim != 3 or samples.shape[2] not in (1, 2, 3, 4):
        raise UnsupportedImageError(
            f"decoded samples have shape {samples.shape}; allowed is (row, column)"
        )
    channels = samples.shape[2]
    if channels in (2, 4):
        opaque = np.iinfo(samples.dtype).max
        if not (samples[..., -1] == opaque).all():
            raise UnsupportedImageError("the image has transparent pixels; allowed is opaque")
    if channels >= 3 and not (
        np.array_equal(samples[..., 0], samples[..., 1])
        and np.array_equal(samples[..., 0], samples[..., 2])
    ):
        raise UnsupportedImageError("the image is in colour; allowed is grayscale")
    return np.ascontiguousarray(samples[..., 0])
