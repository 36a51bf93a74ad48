"""The best file of a codec that is no larger than a given size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xraycodec.errors import OptionError
from xraycodec.evaluation.peers.peer import Peer
from xraycodec.image import XRay

LOSSLESS_RATIO = 16
"""Lossless coding is tried at ratios up to this one: no radiograph goes beyond it."""
MAX_PROBES = 10
"""Encodings between two neighbours of the ladder."""
_END_SHARE = 0.05


@dataclass(frozen=True)
class Found:
    """A file of about the size that was asked for.

    Attributes:
        data: the file.
        quality: the control's value that gave it, ``None`` for lossless.
        size_bytes: of the file.
    """

    data: bytes
    quality: float | None
    size_bytes: int


def at_size(peer: Peer, image: XRay, size_bytes: int, tolerance: float = 0.02) -> Found:
    """Return the largest file of a codec that is not above ``size_bytes``.

    Lossless, where the codec can and the file fits. Else the ladder of qualities is bisected,
    then the control between two neighbours of it, until the file is within ``tolerance`` below
    the target or the control has no value left to try. A file smaller than that means that the
    control is too coarse, or that the codec has nothing better.

    Args:
        peer: the codec.
        image: what to encode.
        size_bytes: the target.
        tolerance: share of the target by which a file may be smaller without a further search.

    Raises:
        OptionError: no quality of the ladder gives a file that small, or a target or tolerance
            that makes no sense.
        UnsupportedImageError: the codec does not serve the image.
    """
    if size_bytes < 1:
        raise OptionError(f"target of {size_bytes} bytes; allowed are 1 or more")
    if not 0 <= tolerance < 1:
        raise OptionError(f"tolerance {tolerance:g}; allowed are 0 to below 1")
    if peer.lossless and size_bytes * LOSSLESS_RATIO >= image.size_bytes:
        data = peer.encode(image, None)
        if len(data) <= size_bytes:
            return Found(data, None, len(data))
    search = _Search(peer, image, size_bytes, tolerance)
    ladder = peer.ladder(image)
    above, below = -1, len(ladder)
    while below - above > 1 and not search.close_enough:
        middle = (above + below) // 2
        if search.probe(ladder[middle]) > size_bytes:
            above = middle
        else:
            below = middle
    if search.best is None:
        raise OptionError(
            f"{peer.name}: no file of {size_bytes} bytes or less; the smallest, at quality"
            f" {ladder[-1]:g}, takes {search.sizes[ladder[-1]]}"
        )
    if above >= 0 and not search.close_enough:
        search.between(ladder[above], ladder[below])
    return search.best


class _Search:
    """Encodes at one quality after another and keeps the largest file that fits."""

    def __init__(self, peer: Peer, image: XRay, limit: int, tolerance: float) -> None:
        self._peer, self._image, self._limit = peer, image, limit
        self._least = limit * (1 - tolerance)
        self._aim = limit * (1 - tolerance / 2)
        self.sizes: dict[float, int] = {}
        self.best: Found | None = None

    @property
    def close_enough(self) -> bool:
        return self.best is not None and self.best.size_bytes >= self._least

    def probe(self, quality: float) -> int:
        data = self._peer.encode(self._image, quality)
        self.sizes[quality] = len(data)
        fits = len(data) <= self._limit
        if fits and (self.best is None or len(data) > self.best.size_bytes):
            self.best = Found(data, quality, len(data))
        return len(data)

    def between(self, above: float, below: float) -> None:
        """Close in on the limit between a quality too good for it and one that fits."""
        for turn in range(MAX_PROBES):
            # Sizes are about exponential in the control: interpolation lands close at once.
            # Where they are not, every other step halves what is left.
            middle = self._interpolated(above, below) if turn % 2 == 0 else above
            if middle in (above, below):
                middle = self._peer.snap((above + below) / 2)
            if middle in (above, below):
                return
            if self.probe(middle) > self._limit:
                above = middle
            else:
                below = middle
            if self.close_enough:
                return

    def _interpolated(self, above: float, below: float) -> float:
        large, small = self.sizes[above], self.sizes[below]
        share = math.log(self._aim / small) / math.log(large / small)
        share = min(1 - _END_SHARE, max(_END_SHARE, share))
        return self._peer.snap(below + share * (above - below))
