"""The zarr v3 codec ``xraycodec``: an array-to-bytes codec for chunks of radiographs.

::

    from xraycodec.plugins.zarr import XrcCodec

    zarr.create_array(store, shape=..., chunks=(1, 2048, 2048), dtype="uint16",
                      serializer=XrcCodec(), compressors=None)

An entry point of the group ``zarr.codecs`` names it, so that stores are read without importing this
module. It is called like the library it serves; imports are absolute here, so that ``import zarr``
means that library.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import Buffer, NDBuffer
from zarr.core.common import JSON

from xraycodec.errors import CorruptError, OptionError
from xraycodec.plugins.arrays import NAME, ArraySettings, check_shape, check_type, decode_array


@dataclass(frozen=True)
class XrcCodec(ArraySettings, ArrayBytesCodec):
    """Chunks ``(..., row, column)`` of uint8, int8, uint16 or int16 as ``.xrc`` streams.

    It may stand in an array's codecs or in those of its shards. A write to a part of a chunk
    decodes it and encodes it anew: with a maximum error, that of each write adds to the last.
    """

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: Mapping[str, JSON]) -> Self:
        """Read the codec's entry of an array's metadata.

        Raises:
            OptionError: another codec's, or settings that this one does not have.
        """
        if data.get("name") != NAME:
            raise OptionError(f"the codec is called {data.get('name')!r}, not {NAME!r}")
        configuration = data.get("configuration", {})
        try:
            return cls(**configuration)  # type: ignore[arg-type] # __init__ checks them
        except TypeError as error:
            raise OptionError(f"configuration {configuration!r} of {NAME}: {error}") from error

    def to_dict(self) -> dict[str, JSON]:
        return {"name": NAME, "configuration": self.configuration()}

    def evolve_from_array_spec(self, array_spec: ArraySpec) -> Self:
        """Check what is known of the array; nothing of it is needed to encode.

        Raises:
            UnsupportedImageError: elements or axes that `ArraySettings.encode_array` refuses.
        """
        check_type(_native(array_spec))
        check_shape(array_spec.shape)
        return self

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError  # what zarr asks of codecs whose output varies in size

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        array = chunk_data.as_numpy_array().astype(_native(chunk_spec), copy=False)
        stream = await asyncio.to_thread(self.encode_array, array)
        return chunk_spec.prototype.buffer.from_bytes(stream)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        size = math.prod(chunk_spec.shape)
        array = await asyncio.to_thread(decode_array, chunk_data.to_bytes(), size)
        native = _native(chunk_spec)
        if array.size != size or array.shape[-2:] != chunk_spec.shape[-2:] or array.dtype != native:
            raise CorruptError(
                f"the chunk holds {array.dtype} {array.shape}; the array's metadata says {native}"
                f" {chunk_spec.shape}"
            )
        return chunk_spec.prototype.nd_buffer.from_numpy_array(array.reshape(chunk_spec.shape))


def _native(spec: ArraySpec) -> np.dtype[Any]:
    """The array's element type in this machine's byte order, which metadata need not have."""
    return spec.dtype.to_native_dtype().newbyteorder("=")
