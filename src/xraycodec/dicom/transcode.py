"""DICOM objects from one transfer syntax to another.

::

    bytes ──read──▶ XRay ──transcode──▶ Transcoded ──check──▶ bytes
                     │         └ data set, codestreams, encapsulated
                     └ pixels, data set, spare bits

Lossless targets hold the same pixels, bit for bit, in the same instance. Lossy ones make a new
instance that says so: see `xraycodec.dicom.lossy`.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.base import Progress, no_progress
from xraycodec.container import SIGNATURE
from xraycodec.dicom import codestreams, encapsulation, overlays
from xraycodec.dicom.lossy import UidPolicy
from xraycodec.dicom.syntaxes import SYNTAXES, Syntax, check_request, frame_encoder
from xraycodec.errors import CorruptError, OptionError
from xraycodec.files import decode
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.files.dicom import PIXEL_TAGS, layout_of
from xraycodec.files.dicom_cells import PixelLayout, cells_of, stored_values
from xraycodec.files.dicom_explicit import encode_elements
from xraycodec.files.dicom_frames import IMPLICIT_LITTLE, NATIVE, encapsulated_cells
from xraycodec.files.dicom_parsing import parse_data_set
from xraycodec.files.dicom_writer import layout_for, to_data_set, to_file
from xraycodec.image import MAX_LOSSES, Loss, Pixels, XRay, pixel_type
from xraycodec.limits import Limits

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True)
class Transcoded:
    """A DICOM file, and what became of the pixels.

    Attributes:
        data: the file, as PS3.10 has it.
        transfer_syntax: its UID.
        lossless: the pixels are those of the input; what they went through before, the data set
            says.
        pixel_bytes: size of the pixels at their bits stored.
        payload_bytes: size of Pixel Data.
        largest_error: largest difference of any pixel, in grey levels; ``None`` if nothing was
            decoded that tells.
        overlays_moved: overlays that lay in the cells and have Overlay Data now.
    """

    data: bytes
    transfer_syntax: str
    lossless: bool
    pixel_bytes: float
    payload_bytes: int
    largest_error: int | None
    overlays_moved: int


@dataclass(frozen=True, eq=False)
class _Made:
    """A data set in its new syntax, and the pixels ``(frame, row, column)`` it is to hold.

    ``pixels`` is ``None`` where only decoding the data set tells.
    """

    dataset: Dataset
    pixels: Pixels | None
    overlays_moved: int = 0


def read(data: bytes, name: str = "input", *, limits: Limits | None = None) -> XRay:
    """Read what can be transcoded: DICOM in any syntax that is known, ``.xrc``, other images.

    Raises:
        XrayCodecError: as `xraycodec.decompress` and `xraycodec.files.decode`.
    """
    if data.startswith(SIGNATURE):
        from xraycodec.pipeline import decompress

        return decompress(data, limits=limits)
    return decode(data, name, limits=limits)


def transcode(
    image: XRay,
    syntax: str,
    *,
    max_error: int = 0,
    ratio: float | None = None,
    uid_policy: UidPolicy = "standard",
    verify: bool = True,
    threads: int = 0,
    progress: Progress = no_progress,
) -> Transcoded:
    """Write an image as a DICOM file of another transfer syntax.

    Args:
        image: as `read` gives it.
        syntax: a key of `SYNTAXES`.
        max_error: for ``jpeg-ls`` and ``xrc``, by how many grey levels a pixel may differ.
        ratio: for ``jpeg2000``, ``htj2k`` and ``jpegxl``, the pixels at their bits stored to the
            codestream of each frame, at least; the smallest loss is taken that reaches it.
        uid_policy: which SOP Instance UID the output has.
        verify: decode the output and compare it, data set and pixels.
        threads: of the networks of ``xrc``, 0 for every core.
        progress: called with frames done and frames in all.

    Raises:
        OptionError: the syntax cannot do what was asked, or cannot hold the image.
        CorruptImageError: the data set cannot be parsed, or contradicts itself.
        CorruptError: the output was found wrong.
    """
    check_request(syntax, max_error, ratio)
    target = SYNTAXES[syntax]
    if image.signed and not target.signed:
        raise OptionError(f"{syntax} cannot hold signed pixels; jpeg-ls, jpeg2000 and others can")
    lossy = max_error > 0 or ratio is not None
    uid = target.lossy if lossy and target.lossy else target.lossless
    if syntax == "xrc":
        made = _made_of_streams(image, max_error, uid_policy, threads, progress)
    elif uid in NATIVE:
        made = _Made(to_data_set(image, uid_policy=uid_policy), image.frames)
    else:
        encode = frame_encoder(image, _layout(image).bits_allocated, syntax, max_error, ratio)
        made = _made_of_codestreams(image, target, encode, uid_policy, progress, lossy=lossy)
    data = to_file(made.dataset, uid)
    payload_bytes = len(made.dataset.PixelData)
    del made.dataset.PixelData  # the file has it
    pixels = made.pixels
    if verify:
        found = _read_back(data, made, image, implicit=uid == IMPLICIT_LITTLE)
        pixels = found.frames
    largest_error = None if pixels is None else _largest_error(pixels, image.frames)
    if ratio is None and largest_error is not None and largest_error > max_error:
        raise CorruptError(
            f"a pixel of the output differs by {largest_error}; {max_error} was asked for at most"
        )
    return Transcoded(
        data,
        uid,
        not lossy,
        image.size_bytes,
        payload_bytes,
        largest_error,
        made.overlays_moved,
    )


def _made_of_streams(
    image: XRay, max_error: int, uid_policy: UidPolicy, threads: int, progress: Progress
) -> _Made:
    """Every frame an ``.xrc`` stream; lossless ones carry whole cells."""
    from xraycodec.codecs.lattice import Lattice

    codec = Lattice(max_error=max_error, threads=threads)
    if max_error == 0:
        dataset = to_data_set(image, uid_policy=uid_policy)
        encapsulation.encapsulate(dataset, codec, progress=progress)
        return _Made(dataset, image.frames)
    # One new instance, for all losses together: the last step gives it its UID.
    dataset, moved = overlays.of_stored_bits(image)
    encapsulation.encapsulate(dataset, codec, uid_policy=uid_policy, progress=progress)
    return _Made(dataset, None, moved)


def _made_of_codestreams(
    image: XRay,
    target: Syntax,
    encode: Callable[[codestreams.Frame], bytes],
    uid_policy: UidPolicy,
    progress: Progress,
    *,
    lossy: bool,
) -> _Made:
    from pydicom.encaps import encapsulate

    sources = _cells(image) if target.carries_cells else image.frames
    frames = []
    for number, frame in enumerate(sources):
        frames.append(encode(frame))
        progress(number + 1, len(sources))
    del sources  # of cells, which take as much memory as the pixels
    value = encapsulate(frames)
    made = image
    if lossy:
        assert target.lossy is not None
        ratio = image.size_bytes / sum(map(len, frames))
        made = _after_loss(image, value, target.lossy, target.method, ratio)
    dataset = to_data_set(made, uid_policy=uid_policy)
    moved = 0
    if not target.carries_cells:
        moved = overlays.move_embedded(dataset, _cells(image))
        # Codestreams hold the stored bits, which begin at bit 0 (PS3.5 8.1.1, 8.2).
        if layout_of(dataset).high_bit != image.bits_stored - 1:
            dataset.HighBit = image.bits_stored - 1
    if lossy:
        dataset.BitsAllocated = _narrow(image)
    dataset.add_new("PixelData", "OB", value)
    dataset["PixelData"].is_undefined_length = True
    return _Made(dataset, made.frames, moved)


def _after_loss(image: XRay, value: bytes, uid: str, method: str, ratio: float) -> XRay:
    """The image as lossy Pixel Data decodes to, with the loss that it went through."""
    layout = dataclasses.replace(
        _layout(image), bits_allocated=_narrow(image), high_bit=image.bits_stored - 1
    )
    decoded = stored_values(encapsulated_cells(value, layout, uid, None), layout)
    pixels: Any = decoded.astype(image.pixels.dtype, copy=False)
    loss = Loss(method, ratio, _largest_error(pixels, image.frames))
    return dataclasses.replace(
        image,
        pixels=pixels if image.pixels.ndim == 3 else pixels[0],
        spare_bits=None,
        losses=(*image.losses, loss)[-MAX_LOSSES:],
    )


def _narrow(image: XRay) -> int:
    """Bits Allocated of a lossy codestream: decoders take theirs from its precision."""
    return 8 * pixel_type(image.bits_stored, signed=image.signed).itemsize


def _layout(image: XRay) -> PixelLayout:
    return layout_for(image)[0]


def _cells(image: XRay) -> npt.NDArray[Any]:
    """Cells ``(frame, row, column)`` as the source had them, spare bits included."""
    layout, known = layout_for(image)
    return cells_of(image.frames, layout, image.spare_bits if known else None)


def _read_back(data: bytes, made: _Made, image: XRay, *, implicit: bool) -> XRay:
    """Read a file that was written, and compare it with what it was to be.

    Elements are compared as they are encoded: in implicit VR, by tag and value alone.

    Raises:
        CorruptError: it has other pixels, or another data set.
    """
    found = read(data, "the output")
    facts = ("signed", "bits_stored", "photometric_interpretation")
    other = [name for name in facts if getattr(found, name) != getattr(image, name)]
    if found.frames.shape != image.frames.shape or (
        made.pixels is not None and not np.array_equal(found.frames, made.pixels)
    ):
        other.append("pixels")
    with warnings.catch_warnings(), damage_as_corrupt("the output"):
        warnings.simplefilter("ignore")
        assert found.dicom is not None
        written = encode_elements(parse_data_set(found.dicom), implicit=implicit)
        expected = encode_elements(made.dataset, implicit=implicit)
        other += [
            f"element {tag}"
            for tag in expected.keys() - PIXEL_TAGS
            if b"".join(written.get(tag, ())) != b"".join(expected[tag])
        ]
    if other:
        raise CorruptError(f"the output is not what was to be written: other {', '.join(other)}")
    return found


def _largest_error(found: Pixels, expected: Pixels) -> int:
    # A frame at a time: differences take more memory than the pixels.
    return max(
        int(np.abs(frame.astype(np.int32) - other).max())
        for frame, other in zip(found, expected, strict=True)
    )
