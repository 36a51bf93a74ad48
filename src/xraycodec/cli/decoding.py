"""What ``xrc decompress`` decodes: files, parts of them, or what those that were cut off hold."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from xraycodec.cli.report import human_size
from xraycodec.cli.sources import Source
from xraycodec.errors import TruncatedError
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
    """

    scale: int
    region: Region | None
    layers: int | None
    unit: Unit = "layers"

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
        loss: what is missing of the image although nobody asked for less; empty if nothing is.
    """

    image: XRay
    values: dict[str, Any]
    text: str = ""
    warnings: tuple[str, ...] = ()
    loss: str = ""


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
    return _decode_all(source, limits, threads, progress)


def _decode_all(source: Source, limits: Limits, threads: int, progress: Progress) -> Decoded:
    from xraycodec.pipeline import PixelDriftWarning
    from xraycodec.pipeline import decompress as decompress_image

    data = source.read(limits)
    try:
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            image = decompress_image(data, limits=limits, threads=threads, progress=progress)
    except TruncatedError as cut:
        return _decode_cut(data, cut, limits, threads, progress)
    drifted = any(issubclass(warning.category, PixelDriftWarning) for warning in seen)
    return Decoded(
        image,
        {"pixels_identical": not drifted},
        warnings=tuple(str(warning.message) for warning in seen),
    )


def _decode_cut(
    data: bytes, cut: TruncatedError, limits: Limits, threads: int, progress: Progress
) -> Decoded:
    """What a file that was cut off still gives, if that is the whole image.

    Raises:
        TruncatedError: it is not.
    """
    from xraycodec.codecs.registry import codec_by_id
    from xraycodec.container import read_header
    from xraycodec.prefix import decompress_prefix

    header = read_header(data, limits)
    if not codec_by_id(header.codec).layers_refine:
        if header.layers > 1:
            raise TruncatedError(f"{cut}; --scale may find a smaller image whole") from cut
        raise cut
    prefix = decompress_prefix(data, limits=limits, threads=threads, progress=progress)
    unit: Unit = "iterations" if header.codec == "TODE" else "layers"
    share = f"{prefix.layers} of {prefix.of_layers} {unit}"
    return Decoded(
        prefix.image,
        {
            "pixels_identical": None,
            "truncated": True,
            unit: prefix.layers,
            f"of_{unit}": prefix.of_layers,
        },
        f", {share}",
        loss=f"the file was cut off; the image is made from the first {share}",
    )


def _decode_prefix(
    source: Source, layers: int, unit: Unit, limits: Limits, threads: int, progress: Progress
) -> Decoded:
    from xraycodec.prefix import decompress_prefix

    with source.opened() as file:
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

    with source.opened() as file:
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
