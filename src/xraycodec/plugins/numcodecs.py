"""The numcodecs codec ``xraycodec``: chunks of radiographs, lossless or with a bounded error.

::

    from xraycodec.plugins.numcodecs import XrcCodec

    zarr.create_array(store, shape=..., chunks=..., dtype="uint16", zarr_format=2,
                      compressors=XrcCodec())

An entry point of the group ``numcodecs.codecs`` names it, so that stores are read without importing
this module. It is called like the library it serves; imports are absolute here, so that
``import numcodecs`` means that library.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ndarray_copy

from xraycodec.codecs.lattice.codec import DEFAULT_TILE, Profile
from xraycodec.plugins.arrays import NAME, ArraySettings, decode_array


class XrcCodec(Codec):  # type: ignore[misc] # numcodecs has no types
    """Arrays ``(..., row, column)`` of uint8, int8, uint16 or int16 to ``.xrc`` streams and back.

    As for every codec of numcodecs, the shape of an array is the store's to keep: one with more
    than three axes comes back as ``(frame, row, column)``, frames in C order. One in Fortran
    order is encoded transposed, which is how it lies in memory: rows and columns are then its
    first two axes, the other way round.
    """

    codec_id = NAME

    def __init__(
        self,
        max_error: int = 0,
        profile: Profile = "best",
        tile: int = DEFAULT_TILE,
        bits_stored: int | None = None,
    ) -> None:
        """Choose settings, those of `xraycodec.plugins.arrays.ArraySettings`.

        Raises:
            OptionError: a setting out of bounds.
        """
        self._settings = ArraySettings(max_error, profile, tile, bits_stored)

    def encode(self, buf: Any) -> bytes:
        """Compress an array.

        Raises:
            UnsupportedImageError: bytes without shape; another type or number of axes; values
                beyond ``bits_stored``.
            OptionError: 8 bits stored or fewer in a type of 16 bits.
        """
        array = np.asanyarray(buf)  # a mask is refused, not dropped
        if array.flags.f_contiguous and not array.flags.c_contiguous:
            array = array.T
        return self._settings.encode_array(array)

    def decode(self, buf: Any, out: Any = None) -> Any:
        """Decompress an array, into ``out`` where it is given.

        Raises:
            FormatError: the stream is damaged, cut off or of a later version.
            LimitError: more elements than the limits of `xraycodec.Limits` allow.
            ModelError: the model pack that it names is not at hand.
            ValueError: ``out`` has another size.
        """
        return ndarray_copy(decode_array(ensure_bytes(buf)), out)

    def get_config(self) -> dict[str, Any]:
        return {"id": self.codec_id, **self._settings.configuration()}

    def __repr__(self) -> str:
        settings = self._settings.configuration()
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in settings.items())})"
