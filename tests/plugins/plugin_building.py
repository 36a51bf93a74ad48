"""Small images and files for the plug-ins of other libraries."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from xraycodec import Lattice, Stored, XRay, compress
from xraycodec.codecs.base import Codec

FAST = Lattice(profile="fast", tile=64, threads=1)


def pixels(
    shape: tuple[int, ...] = (40, 56), bits: int = 12, *, signed: bool = False, seed: int = 1
) -> npt.NDArray[np.int64 | np.int16]:
    """A smooth image with noise, over about all of its range; in the type that holds ``bits``."""
    random = np.random.default_rng(seed)
    rows, columns = np.indices(shape[-2:])
    plane = 0.5 + 0.4 * np.sin(rows / 9) * np.cos(columns / 11)
    values = plane + random.normal(0, 0.01, shape)
    low = -(1 << (bits - 1)) if signed else 0
    scaled = np.clip(values, 0, 1) * ((1 << bits) - 1) + low
    return scaled.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def write_xrc(path: Path, image: XRay, codec: Codec = FAST) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(compress(image, codec))
    return path


def damaged(data: bytes) -> bytes:
    """The same with one byte of the pixels' data changed."""
    place = data.rindex(b"DATA") + 8
    return data[:place] + bytes([data[place] ^ 0xFF]) + data[place + 1 :]


STORED = Stored(tile=16)
