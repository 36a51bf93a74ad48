"""DICOM objects whose frames are ``.xrc`` streams: the private transfer syntax (spec/dicom.md).

::

    file ─▶ data set, native ─encapsulate─▶ data set, a stream each frame ─▶ file
                             ◀───expand────
     ─────────────────────────────── wrap ───────────────────────────────▶
     ◀────────────────────────────── unwrap ──────────────────────────────
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, cast

import numpy as np

from xraycodec.codecs.base import Codec, Progress, no_progress
from xraycodec.container import Header, read_header
from xraycodec.dicom.frames import decode_frame, encode_frame
from xraycodec.dicom.lossy import UidPolicy, mark_losses, renew_instance
from xraycodec.errors import (
    CorruptError,
    CorruptImageError,
    FormatError,
    OptionError,
    UnsupportedImageError,
)
from xraycodec.files.checks import check_pixels, damage_as_corrupt
from xraycodec.files.dicom import PIXEL_TAGS, check_kind, decode, layout_of
from xraycodec.files.dicom_cells import PixelLayout, native_cells
from xraycodec.files.dicom_explicit import as_bytes
from xraycodec.files.dicom_fragments import split_frames
from xraycodec.files.dicom_frames import FrameDecoder, register
from xraycodec.files.dicom_parsing import parse_data_set, read_file_meta
from xraycodec.files.dicom_values import shown_uid, text_of, value_of
from xraycodec.files.dicom_writer import to_data_set, to_file
from xraycodec.image import MAX_RATIO, Loss, PhotometricInterpretation, XRay
from xraycodec.limits import DEFAULT_LIMITS, Limits
from xraycodec.losses import method_of

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

XRC_UID = "2.25.276907715635105672692256899421829370151"
"""The transfer syntax: UUID d0527c73-7f5a-4f24-b590-612bdc749127 as PS3.5 B.2 writes it."""

_MAX_NATIVE_BYTES = 0xFFFFFFFE
_MAX_OFFSET = 0xFFFFFFFF  # of the basic offset table; PS3.3 C.7.6.3.1.8 has the extended one


def encapsulate(
    dataset: Dataset,
    codec: Codec | None = None,
    *,
    extended: bool = False,
    uid_policy: UidPolicy = "standard",
    progress: Progress = no_progress,
) -> None:
    """Replace the native Pixel Data of a data set by streams, one fragment a frame.

    Nothing else changes but for a lossy codec: it makes a derived image, and the data set then
    says so (`xraycodec.dicom.lossy`).

    Args:
        dataset: grayscale, of 8 or 16 bits allocated, its Pixel Data little endian.
        codec: `Lattice()` without, which is lossless.
        extended: write an extended offset table even where a basic one would do.
        uid_policy: whether the object becomes another instance.
        progress: called with frames done and frames in all.

    Raises:
        ImageError: an image of another kind, or a lossy codec where bits beside the stored ones
            are in use; the data set is as it was then.
        OptionError, ModelError: as `compress`.
    """
    from pydicom.encaps import encapsulate as with_basic_table
    from pydicom.encaps import encapsulate_extended

    layout = _layout(dataset)
    cells = native_cells(dataset.PixelData, layout, big_endian=False, words=False)
    photometric = cast("PhotometricInterpretation", text_of(dataset, "PhotometricInterpretation"))
    streams = []
    for number, frame in enumerate(cells):
        streams.append(encode_frame(frame, layout, photometric, codec))
        progress(number + 1, layout.frames)
    _remove_pixels(dataset)
    if extended or sum(map(len, streams)) + 9 * len(streams) > _MAX_OFFSET:
        value, offsets, lengths = encapsulate_extended(streams)
        dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths = offsets, lengths
    else:
        value = with_basic_table(streams)
    dataset.add_new("PixelData", "OB", value)
    dataset["PixelData"].is_undefined_length = True
    header = read_header(streams[0])
    if header.max_error != 0:
        ratio = layout.bits_stored * cells.size / 8 / sum(map(len, streams))
        loss = Loss(method_of(header.codec), min(max(ratio, 0.001), MAX_RATIO), header.max_error)
        mark_losses(dataset, [loss], uid_policy)
    elif uid_policy == "new":
        renew_instance(dataset)


def expand(
    dataset: Dataset,
    *,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
    progress: Progress = no_progress,
) -> None:
    """Replace streams in a data set's Pixel Data by native pixels; nothing else changes.

    Args:
        dataset: as `encapsulate` leaves it.
        limits: sizes to accept.
        threads: for the networks, 0 for every core.
        progress: called with frames done and frames in all.

    Raises:
        ImageError: the data set contradicts itself, or is of a kind that this syntax has not.
        FormatError, ModelError: a stream cannot be decoded, or is of another frame.
        LimitError: more pixels than ``limits`` allow.
        OptionError: more than native Pixel Data can hold.
    """
    layout = _layout(dataset)
    check_pixels(layout.rows, layout.columns, layout.frames, limits, len(dataset.PixelData))
    cells = np.empty(layout.shape, layout.cell)
    if cells.nbytes > _MAX_NATIVE_BYTES:
        raise OptionError(
            f"{layout.frames} frame(s) take {cells.nbytes} bytes; native Pixel Data can hold"
            f" {_MAX_NATIVE_BYTES}"
        )
    for number, stream in enumerate(_streams(dataset, layout)):
        try:
            cells[number] = decode_frame(stream, layout, threads=threads)
        except FormatError as error:
            raise type(error)(f"frame {number}: {error}") from error
        progress(number + 1, layout.frames)
    _remove_pixels(dataset)
    raster = cells.astype(layout.cell.newbyteorder("<"), copy=False).tobytes()
    vr = "OB" if layout.bits_allocated == 8 else "OW"
    dataset.add_new("PixelData", vr, raster + b"\0" * (len(raster) % 2))


def wrap(
    data: bytes,
    codec: Codec | None = None,
    *,
    extended: bool = False,
    uid_policy: UidPolicy = "standard",
    limits: Limits = DEFAULT_LIMITS,
    progress: Progress = no_progress,
) -> bytes:
    """Give a DICOM file the private transfer syntax.

    The data set stays as it is, UIDs included, unless the codec is lossy: see `encapsulate`,
    which has the other arguments, too.

    Args:
        data: a grayscale DICOM file in any transfer syntax that is read but this one.
        codec: `Lattice()` without, which is lossless.
        extended: write an extended offset table even where a basic one would do.
        uid_policy: whether the object becomes another instance.
        limits: sizes to accept.
        progress: called with frames done and frames in all.

    Raises:
        ImageError, LimitError: the file cannot be read.
        OptionError, ModelError: as `compress`.
    """
    if is_wrapped(data):
        raise OptionError(f"the file has transfer syntax {XRC_UID} already")
    dataset = to_data_set(decode(data, limits))
    encapsulate(dataset, codec, extended=extended, uid_policy=uid_policy, progress=progress)
    return to_file(dataset, XRC_UID)


def unwrap(
    data: bytes,
    *,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
    progress: Progress = no_progress,
) -> bytes:
    """Give a file of the private transfer syntax back as Explicit VR Little Endian.

    Args:
        data: what `wrap` gave, or a pydicom data set compressed by the plugin and written.
        limits: sizes to accept.
        threads: for the networks, 0 for every core.
        progress: called with frames done and frames in all.

    Raises:
        UnsupportedImageError: the file has another transfer syntax.
        ImageError, FormatError, ModelError, LimitError: as `expand`.
    """
    dataset = _parse(data, limits)
    expand(dataset, limits=limits, threads=threads, progress=progress)
    return to_file(dataset)


def verify(
    wrapped: bytes,
    original: bytes,
    *,
    same_instance: bool = True,
    limits: Limits = DEFAULT_LIMITS,
    threads: int = 0,
) -> None:
    """Unwrap a file and compare it with what was wrapped.

    Args:
        wrapped: what `wrap` gave.
        original: what it was given.
        same_instance: whether the SOP Instance UID has to be the same.
        limits: sizes to accept.
        threads: for the networks, 0 for every core.

    Raises:
        CorruptError: pixels differ by more than the streams promise, or the pixels' kind, the
            data set or the bits beside the stored ones differ, of which a lossy codec changes the
            data set.
        ImageError, FormatError, ModelError, LimitError: as `unwrap`.
    """
    found = decode(unwrap(wrapped, limits=limits, threads=threads), limits)
    expected = decode(original, limits)
    facts = ("signed", "bits_stored", "photometric_interpretation", "spare_bits")
    other = [name for name in facts if getattr(found, name) != getattr(expected, name)]
    bound = _header(_parse(wrapped, limits)).max_error
    if bound == 0 and not _same_data_set(found, expected, same_instance=same_instance):
        other.append("data set")
    if found.frames.shape != expected.frames.shape or other:
        raise CorruptError(f"the unwrapped file is not the original: other {', '.join(other)}")
    largest = max(
        int(np.abs(a.astype(np.int32) - b).max())
        for a, b in zip(found.frames, expected.frames, strict=True)
    )
    if bound is not None and largest > bound:
        raise CorruptError(
            f"an unwrapped pixel differs by {largest} from the original; the file promises {bound}"
        )


def is_wrapped(data: bytes) -> bool:
    """Whether a DICOM file, of which the first kilobytes do, has the private transfer syntax."""
    return text_of(_file_meta(data)[0], "TransferSyntaxUID") == XRC_UID


def _parse(data: bytes, limits: Limits) -> Dataset:
    meta, start = _file_meta(data, limits)
    if (found := text_of(meta, "TransferSyntaxUID")) != XRC_UID:
        raise UnsupportedImageError(
            f"the transfer syntax is {shown_uid(found)}; only {XRC_UID} is unwrapped"
        )
    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        dataset = parse_data_set(data, start=start, limits=limits)
    dataset.file_meta = meta
    if data[128:132] == b"DICM":
        dataset.preamble = data[:128]
    return dataset


def _file_meta(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[Dataset, int]:
    """File meta information, empty where there is none, and the byte at which it ends."""
    from pydicom.dataset import FileMetaDataset

    with warnings.catch_warnings(), damage_as_corrupt("file meta information"):
        warnings.simplefilter("ignore")
        meta, start = read_file_meta(data, limits)
        return FileMetaDataset(meta or {}), start


def _streams(dataset: Dataset, layout: PixelLayout) -> list[bytes]:
    """The frames of encapsulated Pixel Data, still compressed."""
    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        element = dataset["PixelData"]
        offsets = value_of(dataset, "ExtendedOffsetTable")
        lengths = value_of(dataset, "ExtendedOffsetTableLengths")
        if not element.is_undefined_length:
            raise CorruptImageError(
                f"Pixel Data is native; transfer syntax {XRC_UID} encapsulates it"
            )
        extended = (offsets, lengths) if offsets and lengths else None
        return split_frames(element.value, layout.frames, extended)


def _method_of_loss(stream: bytes) -> str | None:
    header = read_header(stream)
    return None if header.max_error == 0 else method_of(header.codec)


def _header(dataset: Dataset) -> Header:
    """What the first frame's stream is."""
    return read_header(_streams(dataset, _layout(dataset))[0])


def _same_data_set(a: XRay, b: XRay, *, same_instance: bool) -> bool:
    from pydicom.tag import Tag

    if same_instance or a.dicom is None or b.dicom is None:
        return a.dicom == b.dicom
    instance = Tag("SOPInstanceUID")
    first, second = (as_bytes(parse_data_set(each), instance.__eq__) for each in (a.dicom, b.dicom))
    return first == second


def _remove_pixels(dataset: Dataset) -> None:
    for tag in PIXEL_TAGS & {int(tag) for tag in dataset.keys()}:  # noqa: SIM118
        del dataset[tag]


def _layout(dataset: Dataset) -> PixelLayout:
    with warnings.catch_warnings(), damage_as_corrupt("DICOM"):
        warnings.simplefilter("ignore")
        check_kind(dataset)
        return layout_of(dataset)


# So that every reader of DICOM files takes wrapped ones.
register(XRC_UID, FrameDecoder(decode_frame, _method_of_loss))
