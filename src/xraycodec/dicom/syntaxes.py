"""The transfer syntaxes that files are transcoded to, and what encodes their frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from xraycodec.dicom import codestreams
from xraycodec.dicom.encapsulation import XRC_UID
from xraycodec.dicom.jpegls import largest_near
from xraycodec.errors import OptionError
from xraycodec.files.dicom_frames import DEFLATED, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from xraycodec.image import XRay

_JPEG = "1.2.840.10008.1.2.4."
_RLE = "1.2.840.10008.1.2.5"
MAX_RATIO = 1000


@dataclass(frozen=True)
class Syntax:
    """A family of transfer syntaxes.

    Attributes:
        lossless: UID of the one that keeps every bit.
        lossy: UID of the one that does not, ``None`` if there is none.
        method: Lossy Image Compression Method (PS3.3 C.7.6.1.1.5.1).
        control: what asks for the lossy one: ``max_error`` or ``ratio``.
        carries_cells: cells come with the bits around those stored.
        signed: it can hold signed pixels.
    """

    lossless: str
    lossy: str | None = None
    method: str = ""
    control: str = ""
    carries_cells: bool = False
    signed: bool = True


SYNTAXES = {
    "explicit": Syntax(EXPLICIT_LITTLE, carries_cells=True),
    "implicit": Syntax(IMPLICIT_LITTLE, carries_cells=True),
    "deflated": Syntax(DEFLATED, carries_cells=True),
    "rle": Syntax(_RLE, carries_cells=True),
    "jpeg-ls": Syntax(_JPEG + "80", _JPEG + "81", "ISO_14495_1", "max_error"),
    "jpeg2000": Syntax(_JPEG + "90", _JPEG + "91", "ISO_15444_1", "ratio"),
    "htj2k": Syntax(_JPEG + "201", _JPEG + "203", "ISO_15444_15", "ratio"),
    "jpegxl": Syntax(_JPEG + "110", _JPEG + "112", "ISO_18181_1", "ratio", signed=False),
    "xrc": Syntax(XRC_UID, XRC_UID, control="max_error", carries_cells=True),
}


# Settings of quality, the worst and the best, of encoders that are asked for a ratio.
_QUALITIES = {
    "jpeg2000": (codestreams.encode_jpeg2000, 10.0, 150.0),
    "htj2k": (codestreams.encode_htj2k, 0.5, 1e-6),
    "jpegxl": (codestreams.encode_jpegxl, 25.0, 0.01),
}


def check_request(syntax: str, max_error: int = 0, ratio: float | None = None) -> None:
    """Check what is asked of a syntax before there is an image.

    Raises:
        OptionError: an unknown syntax, or a loss that it does not take.
    """
    if syntax not in SYNTAXES:
        raise OptionError(f"syntax {syntax!r} is not known; allowed are {', '.join(SYNTAXES)}")
    control = SYNTAXES[syntax].control
    for name, given in (("max_error", max_error != 0), ("ratio", ratio is not None)):
        if given and control != name:
            takers = [key for key, value in SYNTAXES.items() if value.control == name]
            raise OptionError(
                f"{name.replace('_', ' ')} goes with {', '.join(takers)}, not with {syntax}"
            )
    if max_error < 0:
        raise OptionError(f"max error {max_error}; allowed is 0 or more")
    if ratio is not None and not 1 < ratio <= MAX_RATIO:
        raise OptionError(f"ratio {ratio:g}; allowed is more than 1, up to {MAX_RATIO}")


def frame_encoder(
    image: XRay, bits_allocated: int, syntax: str, max_error: int, ratio: float | None
) -> Callable[[codestreams.Frame], bytes]:
    """What makes a frame the codestream of a compressed syntax.

    Args:
        image: whose frames, or for RLE cells ``(row, column)``, it is to encode.
        bits_allocated: of a cell.
        syntax: a key of `SYNTAXES`, not a native one and not ``xrc``.
        max_error: as `check_request` allows it.
        ratio: as `check_request` allows it.

    Raises:
        OptionError: an error bound that the syntax cannot have.
    """
    bits = image.bits_stored
    if syntax == "rle":
        return codestreams.encode_rle
    if syntax == "jpeg-ls":
        if max_error > largest_near(bits):
            raise OptionError(
                f"max error {max_error}; jpeg-ls allows 0 to {largest_near(bits)} for {bits} bits"
                " stored"
            )
        return partial(
            codestreams.encode_jpegls, bits=bits, bits_allocated=bits_allocated, near=max_error
        )
    encode, worst, best = _QUALITIES[syntax]
    if ratio is None:
        return partial(encode, bits=bits)
    limit_bytes = image.size_bytes / len(image.frames) / ratio

    def encode_to_ratio(frame: codestreams.Frame) -> bytes:
        return codestreams.encode_within(
            lambda quality: encode(frame, bits, quality), worst, best, limit_bytes
        )

    return encode_to_ratio
