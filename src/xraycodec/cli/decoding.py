"""What ``xrc decompress`` decodes: files, parts of them, or what those that were cut off hold."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from xraycodec.cli.report import human_size
from xraycodec.cli.sources import FORMAT_NAMES, XRC_SUFFIX, Source, read_head
from xraycodec.errors import ImageError, NotXrcError, TruncatedError
from xraycodec.image import XRay
from xraycodec.limits import Limits

if TYPE_CHECKING:
    from xraycodec.codecs.base import Progress

Region = tuple[int, int, int, int]
"""Row and column of the first pixel, rows and columns, at the full size."""

Unit = Literal["layers", "iterations"]


@dataclass(frozen=True)
class Wanted:
    """What of each image is asked for.

    Attributes:
        scale: one over the size.
        region: ``None`` for all of it.
        layers: ``None`` for all that the file has.
        unit: what the layers are called.
        partial: whether a file that was cut off is to give the image that its whole layers hold.
    """

    scale: int
    region: Region | None
    layers: int | None
    unit: Unit = "layers"
    partial: bool = False

    @property
    def is_part(self) -> bool:
        """Whether pixels of the image are left out."""
        return self.scale != 1 or self.region is not None

    @property
    def is_less(self) -> bool:
        """Whether it is less than the file in any way."""
        return self.is_part or self.layers is not None

    def mark(self) -> str:
        """What tells an output from that of the whole image, to stand before its suffix."""
        scale = f".scale{self.scale}" if self.scale != 1 else ""
        region = f".region-{'-'.join(map(str, self.region))}" if self.region else ""
        layers = f".{self.unit}{self.layers}" if self.layers else ""
        return scale + region + layers


@dataclass(frozen=True, eq=False)
class Decoded:
    """An image with what a result tells of its decoding.

    Attributes:
        image: to write.
        values: for JSON.
        text: in words.
        warnings: that quiet users do without.
        loss: what a file that was cut off lacks; empty for any other.
        mark: what tells the output from that of the whole file, to stand before its suffix.
    """

    image: XRay
    values: dict[str, Any]
    text: str = ""
    warnings: tuple[str, ...] = ()
    loss: str = ""
    mark: str = ""


def decode(
    source: Source, wanted: Wanted, limits: Limits, threads: int, progress: Progress
) -> Decoded:
    """Decode what is wanted of a file.

    Raises:
        XrayCodecError: the file is damaged, or has nothing of the kind.
        OSError: it cannot be read.
    """
    if wanted.is_part:
        return _decode_part(source, wanted, limits, threads, progress)
    if wanted.layers is not None:
        return _decode_prefix(source, wanted.layers, wanted.unit, limits, threads, progress)
    return _decode_all(source, wanted, limits, threads, progress)


def _decode_all(
    source: Source, wanted: Wanted, limits: Limits, threads: int, progress: Progress
) -> Decoded:
    from xraycodec.container import parse
    from xraycodec.pipeline import decode_container, drift_message

    data = source.read(limits)
    check_is_xrc(data)
    try:
        container = parse(data, limits)
    except TruncatedError as cut:
        return _decode_cut(data, cut, wanted, limits, threads, progress)
    # Not `decompress`: the warning it gives is lost between threads.
    image, identical = decode_container(container, threads, progress)
    return Decoded(
        image,
        {"pixels_identical": identical, "size_bytes": len(data)},
        warnings=() if identical else (drift_message(container),),
    )


def _decode_cut(
    data: bytes,
    cut: TruncatedError,
    wanted: Wanted,
    limits: Limits,
    threads: int,
    progress: Progress,
) -> Decoded:
    """What a file that was cut off still gives of the whole image, if that is asked for.

    Raises:
        TruncatedError: nothing, or it is not asked for; the message says what to ask for.
    """
    from xraycodec.codecs.registry import codec_by_id
    from xraycodec.container import inspect, read_header
    from xraycodec.prefix import decompress_prefix

    header = read_header(data, limits)
    if not codec_by_id(header.codec).layers_refine:
        if header.layers > 1:
            raise TruncatedError(f"{cut}; --scale may find a smaller image whole") from cut
        raise cut
    if not wanted.partial:
        if inspect(data, limits).layers_intact:
            raise TruncatedError(f"{cut}; --partial gives the image that these hold") from cut
        raise cut
    prefix = decompress_prefix(data, limits=limits, threads=threads, progress=progress)
    unit: Unit = "iterations" if header.codec == "TODE" else "layers"
    share = f"{prefix.layers} of {prefix.of_layers} {unit}"
    return Decoded(
        prefix.image,
        {
            "pixels_identical": None,
            "truncated": True,
            "size_bytes": len(data),
            unit: prefix.layers,
            f"of_{unit}": prefix.of_layers,
        },
        f", {share}",
        loss=f"the file was cut off; the image is made from the first {share}",
        mark=f".{unit}{prefix.layers}-of-{prefix.of_layers}",
    )


@contextmanager
def opened_xrc(source: Source) -> Iterator[BinaryIO]:
    """Open a file for reading parts.

    Raises:
        NotXrcError: it is no .xrc file.
        OSError: it cannot be read.
    """
    from xraycodec.container import SIGNATURE
    from xraycodec.files.signatures import HEAD_BYTES

    with source.opened() as file:
        head = file.read(len(SIGNATURE))
        if head != SIGNATURE:
            check_is_xrc(head + file.read(HEAD_BYTES))
        file.seek(0)
        yield file


def check_input(source: Source) -> None:
    """Check a file before its output is named, since only .xrc files can name theirs.

    Raises:
        NotXrcError: it is no .xrc file.
        OSError: it cannot be read, or is a folder.
    """
    source.check()
    if source.path and source.status() and source.path.suffix.lower() != XRC_SUFFIX:
        check_is_xrc(read_head(source.path))


def check_is_xrc(head: bytes) -> None:
    """Check that a file is an .xrc file, and say what to do with an image of another format.

    Args:
        head: the first bytes of the file, or all of them.

    Raises:
        NotXrcError: it is not.
    """
    from xraycodec.container import SIGNATURE, read_header
    from xraycodec.dicom.encapsulation import is_wrapped
    from xraycodec.files.signatures import HEAD_BYTES, sniff

    if head.startswith(SIGNATURE):
        return
    head = head[:HEAD_BYTES]
    found = sniff(head)
    if found == "dicom":
        with suppress(ImageError):
            if is_wrapped(head):
                raise NotXrcError(
                    "it is a DICOM file with .xrc frames inside; xrc dicom unwrap decodes it"
                )
    if found is not None:
        name = FORMAT_NAMES[found]
        raise NotXrcError(f"it is {name} file, not an .xrc file; xrc compress makes one of it")
    if not head:
        raise NotXrcError("the file is empty")
    read_header(head)  # tells what it begins with


def _decode_prefix(
    source: Source, layers: int, unit: Unit, limits: Limits, threads: int, progress: Progress
) -> Decoded:
    from xraycodec.prefix import decompress_prefix

    with opened_xrc(source) as file:
        prefix = decompress_prefix(
            file, layers=layers, limits=limits, threads=threads, progress=progress
        )
        bytes_read = prefix.size_bytes if isinstance(file, io.BytesIO) else prefix.bytes_read
    return Decoded(
        prefix.image,
        {
            "pixels_identical": None,
            unit: prefix.layers,
            f"of_{unit}": prefix.of_layers,
            "bytes_read": bytes_read,
            "size_bytes": prefix.size_bytes,
        },
        f", {prefix.layers} of {prefix.of_layers} {unit},"
        f" read {human_size(bytes_read)} of {human_size(prefix.size_bytes)}",
    )


def _decode_part(
    source: Source, wanted: Wanted, limits: Limits, threads: int, progress: Progress
) -> Decoded:
    from xraycodec.parts import decompress_part

    with opened_xrc(source) as file:
        part = decompress_part(
            file,
            scale=wanted.scale,
            region=wanted.region,
            limits=limits,
            threads=threads,
            progress=progress,
        )
        bytes_read = part.size_bytes if isinstance(file, io.BytesIO) else part.bytes_read
    return Decoded(
        part.image,
        {
            "pixels_identical": None,
            "scale": wanted.scale,
            "region": wanted.region,
            "bytes_read": bytes_read,
            "size_bytes": part.size_bytes,
        },
        f", read {human_size(bytes_read)} of {human_size(part.size_bytes)}",
    )
