"""What of an image the transform gets: without its shutter, and where it pays its margins."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.wavelet.margins import WIDTH, Margins, find_margins
from xraycodec.codecs.wavelet.parameters import STEP_BITS
from xraycodec.codecs.wavelet.shutter import Shutter
from xraycodec.codecs.wavelet.shutter_search import find_shutter

_MOST_LOSS = 0.01
"""Margins round pixels: they may add this part of what quantisation by the step alone would."""

_INNER = slice(WIDTH, -WIDTH)
_BORDER = (
    np.s_[:, :WIDTH],
    np.s_[:, -WIDTH:],
    np.s_[:, _INNER, :WIDTH],
    np.s_[:, _INNER, -WIDTH:],
)
"""Where margins are, each pixel once."""

Frames = npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Content:
    """Frames, ``(frame, row, column)``, and what was taken off them.

    Attributes:
        lowest: pixel value of the image.
        highest: pixel value of the image.
        shutter: that hides pixels, or ``None``.
        margins: of what is behind the shutter, or ``None``.
    """

    lowest: int
    highest: int
    shutter: Shutter | None
    margins: Margins | None
    _with_margins: Frames
    _without: Frames
    _loss: float

    @staticmethod
    def of(frames: Frames) -> Content:
        """Look for a shutter and for margins."""
        lowest, highest = int(frames.min()), int(frames.max())
        shutter = find_shutter(frames)
        if shutter:
            frames = shutter.take_off(frames)
        margins = find_margins(frames)
        if not margins:
            return Content(lowest, highest, shutter, None, frames, frames, 0.0)
        plain = margins.take_off(frames)
        again = plain.copy()
        margins.put_back(again, lowest, highest)
        lost = sum(
            float(np.square(again[part].astype(np.float64) - frames[part]).sum())
            for part in _BORDER
        )
        return Content(lowest, highest, shutter, margins, frames, plain, lost / frames.size)

    def at(self, step: int) -> tuple[Frames, Margins | None]:
        """What to transform for a step of quantisation, in 2^-8 grey levels, and its margins."""
        if self._loss > _MOST_LOSS * (step / (1 << STEP_BITS)) ** 2 / 12:
            return self._with_margins, None
        return self._without, self.margins
