"""A picture that puts an original and its decompressed version side by side.

::

    caption
    original          decompressed      difference x 16
    ┌────────────┐    ┌────────────┐    ┌────────────┐     the whole image, reduced to
    │     ┌─┐    │    │     ┌─┐    │    │     ┌─┐    │     1024 pixels at most
    └────────────┘    └────────────┘    └────────────┘
    ┌────────────┐    ┌────────────┐    ┌────────────┐     its busiest part, pixel by pixel
    └────────────┘    └────────────┘    └────────────┘
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xraycodec.errors import OptionError
from xraycodec.evaluation.metrics import check_comparable
from xraycodec.image import Pixels, XRay

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

PANEL_PX = 1024
"""Longest side of a panel; larger images are reduced by area averaging."""
SMALL_PX = 512
"""Smaller images are enlarged by a whole factor, up to this side."""
CELL_PX = 420
"""Narrowest column: what its labels need."""
DETAIL_PX = 256
"""Height of the part shown pixel by pixel."""
DETAIL_ZOOM = 2
MARGIN_PX = 36
GAP_PX = 24
WINDOW_PERCENTILES = (0.5, 99.5)
MAX_GAIN = 1024

BACKGROUND = (17, 20, 24)
FRAME = (52, 58, 66)
TEXT = (233, 236, 240)
MUTED = (142, 150, 160)
ACCENT = (240, 178, 62)

_PLAINER = str.maketrans({0xD7: "x", 0x2212: "-", 0x2013: "-", 0x2014: "-", 0x2019: "'"})
"""Multiplication and minus sign, dashes, apostrophe: what captions have and the font has not."""


@dataclass(frozen=True)
class _Window:
    """Maps stored values to the grey values of a screen, 0 to 255."""

    low: float
    high: float
    inverted: bool

    @staticmethod
    def fitted(pixels: Pixels, inverted: bool) -> _Window:
        step = max(1, math.isqrt(pixels.size >> 20))
        low, high = np.percentile(pixels[::step, ::step], WINDOW_PERCENTILES)
        if high <= low:
            low, high = low - 0.5, high + 0.5
        return _Window(float(low), float(high), inverted)

    @property
    def slope(self) -> float:
        """Steps of the screen's grey scale for one of the stored values."""
        return (-255 if self.inverted else 255) / (self.high - self.low)

    def shown(self, pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
        start = self.high if self.inverted else self.low
        return _screen((pixels - start) * self.slope)


def side_by_side(
    reference: XRay, test: XRay, caption: str, *, difference_gain: float | None = None
) -> bytes:
    """Draw original, decompressed image and their difference, with a detail below.

    Of several frames the first is drawn. Grey values run between the 0.5th and 99.5th percentile
    of the original; MONOCHROME1 is shown inverted, as a viewer would. In the difference
    (decompressed less original, as shown) zero is mid-grey.

    Args:
        reference: the original.
        test: the same image after compression, of equal shape and pixel format.
        caption: the heading, say codec, ratio, PSNR and SSIM; its lines are kept. Characters
            that the built-in font lacks become question marks.
        difference_gain: factor on the difference, in grey values of the screen; ``None`` takes
            the greatest power of two with which 99.9 % of the differences are not clipped. The
            label states it.

    Returns:
        A PNG file.

    Raises:
        ValueError: the images differ in shape, sign, bits stored or photometric interpretation.
        OptionError: a gain that is not a positive number.
    """
    check_comparable(reference, test)
    if difference_gain is not None and not (0 < difference_gain < math.inf):
        raise OptionError(f"difference gain is {difference_gain}; allowed are positive numbers")
    ours, theirs = reference.frames[0], test.frames[0]
    window = _Window.fitted(ours, reference.photometric_interpretation == "MONOCHROME1")
    difference = np.subtract(theirs, ours, dtype=np.float32)
    gain = difference_gain or _fitting_gain(difference, abs(window.slope))

    def drawn(part: tuple[slice, slice], size: tuple[int, int]) -> list[Image.Image]:
        contrast = _resized(difference[part], size) * (gain * window.slope)
        shown = [window.shown(_resized(pixels[part], size)) for pixels in (ours, theirs)]
        return [_picture(grey) for grey in (*shown, _screen(contrast + 128))]

    labels = ("original", "decompressed", f"difference x {gain:g}")
    if not difference.any():
        labels = ("original", "decompressed", "difference: none")
    rows, columns = ours.shape
    size = _panel_size(rows, columns)
    panels = drawn((slice(None), slice(None)), size)
    details: list[Image.Image] = []
    if max(rows, columns) > DETAIL_PX:
        # As wide as the panel above it, so that the two rows line up.
        wide = min(columns, max(DETAIL_PX, max(size[0], CELL_PX) // DETAIL_ZOOM))
        part = _busiest_part(ours, min(rows, DETAIL_PX), wide)
        shape = [side.stop - side.start for side in part]
        details = drawn(part, (shape[1] * DETAIL_ZOOM, shape[0] * DETAIL_ZOOM))
        panels = [_marked(panel, part, ours.shape) for panel in panels]
    return _page(caption, labels, panels, details)


def _fitting_gain(difference: npt.NDArray[np.float32], slope: float) -> float:
    step = max(1, math.isqrt(difference.size >> 20))
    usual = float(np.percentile(np.abs(difference[::step, ::step]), 99.0)) * slope
    if usual == 0:
        # Errors too rare for the percentile: make what there is visible.
        usual = float(np.abs(difference).max()) * slope
    if usual == 0:
        return 1.0
    return 2.0 ** max(0, min(math.floor(math.log2(127 / usual)), round(math.log2(MAX_GAIN))))


def _busiest_part(pixels: Pixels, rows: int, columns: int) -> tuple[slice, slice]:
    """The part of ``(rows, columns)`` with the most structure, from the gradients of 4 x 4 means.

    Means keep noise from passing for structure; clipping keeps one hard edge (a marker, the
    collimator) from outweighing everything else.
    """
    cell = 4
    coarse = _resized(pixels, (-(-pixels.shape[1] // cell), -(-pixels.shape[0] // cell)))
    down, across = (np.diff(coarse, axis=axis, prepend=coarse.take([0], axis)) for axis in (0, 1))
    activity = np.abs(down) + np.abs(across)
    if activity.any():
        np.minimum(activity, np.percentile(activity[activity > 0], 95), out=activity)
    sums = np.zeros((activity.shape[0] + 1, activity.shape[1] + 1))
    sums[1:, 1:] = activity.cumsum(0, dtype=np.float64).cumsum(1)
    high, wide = max(1, rows // cell), max(1, columns // cell)
    within = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
    row, column = np.unravel_index(np.argmax(within), within.shape)
    top = min(int(row) * cell, pixels.shape[0] - rows)
    left = min(int(column) * cell, pixels.shape[1] - columns)
    return slice(top, top + rows), slice(left, left + columns)


def _panel_size(rows: int, columns: int) -> tuple[int, int]:
    """Width and height of the whole image on the page."""
    longest = max(rows, columns)
    if longest <= PANEL_PX:
        factor = max(1, SMALL_PX // longest)
        return columns * factor, rows * factor
    scale = PANEL_PX / longest
    return max(1, round(columns * scale)), max(1, round(rows * scale))


def _resized(pixels: npt.NDArray[np.generic], size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Area average when reducing, whole pixels repeated when enlarging; size is width, height."""
    from PIL import Image

    picture = Image.fromarray(np.ascontiguousarray(pixels, np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BOX), np.float32)


def _screen(grey: npt.NDArray[np.float32]) -> npt.NDArray[np.uint8]:
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def _picture(grey: npt.NDArray[np.uint8]) -> Image.Image:
    from PIL import Image

    return Image.fromarray(grey).convert("RGB")


def _marked(panel: Image.Image, part: tuple[slice, slice], shape: tuple[int, ...]) -> Image.Image:
    """Outline where the detail was taken from."""
    from PIL import ImageDraw

    (top, bottom), (left, right) = (
        (side.start * full / length, side.stop * full / length - 1)
        for side, length, full in zip(part, shape, (panel.height, panel.width), strict=True)
    )
    ImageDraw.Draw(panel).rectangle(
        (left, top, max(left, right), max(top, bottom)), outline=ACCENT, width=2
    )
    return panel


def _page(
    caption: str, labels: tuple[str, ...], panels: list[Image.Image], details: list[Image.Image]
) -> bytes:
    from PIL import Image, ImageDraw

    rows = [row for row in (panels, details) if row]
    cell = max(CELL_PX, *(picture.width for row in rows for picture in row))
    width = 2 * MARGIN_PX + len(panels) * cell + (len(panels) - 1) * GAP_PX
    label_font = _font(max(18, min(30, cell // 32)))
    heading = [_printable(line) for line in caption.splitlines()]
    heading_font = _fitting_font(heading, max(22, min(38, cell // 26)), width - 2 * MARGIN_PX)
    heading_height, label_height = (round(font.size * 1.6) for font in (heading_font, label_font))
    top = MARGIN_PX + len(heading) * heading_height + label_height
    height = top + sum(row[0].height for row in rows) + (len(rows) - 1) * GAP_PX + MARGIN_PX

    page = Image.new("RGB", (width, height), BACKGROUND)
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(heading):
        at = (MARGIN_PX, MARGIN_PX + number * heading_height)
        draw.text(at, line, font=heading_font, fill=TEXT, anchor="lt")
    for column, label in enumerate(labels):
        left = MARGIN_PX + column * (cell + GAP_PX)
        at = (left + (cell - panels[column].width) // 2, top - round(label_height * 0.32))
        draw.text(at, label, font=label_font, fill=MUTED, anchor="ls")
        row_top = top
        for row in rows:
            _paste(page, draw, row[column], left + (cell - row[column].width) // 2, row_top)
            row_top += row[column].height + GAP_PX
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _paste(
    page: Image.Image, draw: ImageDraw.ImageDraw, picture: Image.Image, left: int, top: int
) -> None:
    page.paste(picture, (left, top))
    frame = (left - 1, top - 1, left + picture.width, top + picture.height)
    draw.rectangle(frame, outline=FRAME)


def _font(size: float) -> ImageFont.FreeTypeFont:
    from PIL import ImageFont

    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise OptionError("this build of Pillow has no FreeType, which the labels need")
    return font


def _fitting_font(lines: list[str], size: int, width: int) -> ImageFont.FreeTypeFont:
    """The built-in font at ``size`` or as much smaller as the longest line needs."""
    font = _font(size)
    longest = max((font.getlength(line) for line in lines), default=0.0)
    return font if longest <= width else _font(max(10, math.floor(size * width / longest)))


def _printable(line: str) -> str:
    """The line in characters that Pillow's built-in font has."""
    line = line.translate(_PLAINER)
    return "".join(c if " " <= c <= "~" or c == "·" else "?" for c in line)
