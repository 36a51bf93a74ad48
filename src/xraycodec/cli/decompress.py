"""``xrc decompress``."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xraycodec.cli import options
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import XRC_FILES, XRC_SUFFIX, Source, Targets, find_sources, for_each
from xraycodec.errors import OptionError
from xraycodec.image import XRay

if TYPE_CHECKING:
    from xraycodec.codecs.base import Progress

SUFFIXES = {
    "dicom": ".dcm",
    "png": ".png",
    "tiff": ".tif",
    "pgm": ".pgm",
    "npy": ".npy",
    "jpegxl": ".jxl",
}
# What --format replaces; the last number of a name that is a DICOM UID is no suffix.
_IMAGE_SUFFIXES = frozenset(
    (
        *SUFFIXES.values(),
        *(".dicom", ".tiff", ".jpg", ".jpeg", ".jls"),
        *(".jp2", ".j2k", ".j2c", ".jph", ".jhc"),
    )
)


Region = tuple[int, int, int, int]
"""Row and column of the first pixel, rows and columns, at the full size."""


def _region(ctx: click.Context, param: click.Parameter, value: str | None) -> Region | None:
    if value is None:
        return None
    try:
        row, column, rows, columns = (int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not of the form ROW,COLUMN,ROWS,COLUMNS.", ctx, param
        ) from None
    if min(row, column) < 0 or min(rows, columns) < 1:
        raise click.BadParameter(
            f"{value!r} begins before pixel 0 or has no pixel; ROW and COLUMN count from 0.",
            ctx,
            param,
        )
    return row, column, rows, columns


@dataclass(frozen=True)
class _Wanted:
    """What of each image is asked for.

    Attributes:
        scale: one over the size.
        region: ``None`` for all of it.
    """

    scale: int
    region: Region | None

    @property
    def is_part(self) -> bool:
        """Whether it is less than the file."""
        return self.scale != 1 or self.region is not None

    def mark(self) -> str:
        """What tells an output from that of the whole image, to stand before its suffix."""
        scale = f".scale{self.scale}" if self.scale != 1 else ""
        region = f".region-{'-'.join(map(str, self.region))}" if self.region else ""
        return scale + region


@click.command()
@options.inputs
@options.output
@options.force
@options.recursive
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(SUFFIXES)),
    help="Format of the outputs; without it their suffix decides.",
)
@click.option(
    "--scale",
    type=click.Choice(["1", "2", "4", "8"]),
    default="1",
    show_default=True,
    help="lattice: give every SCALEth row and column only, picked and not averaged.",
)
@click.option(
    "--region",
    callback=_region,
    metavar="ROW,COLUMN,ROWS,COLUMNS",
    help="lattice: give this part of every frame only: its first row and column, counted from 0,"
    " and its size, all in pixels of the image at full size.",
)
@options.threads
@options.reporting
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    recursive: bool,
    file_format: str | None,
    scale: str,
    region: Region | None,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Decompress .xrc files.

    An INPUT is a file, or - for standard input. It is kept: chest.dcm.xrc gives chest.dcm beside
    it, as DICOM, and with --format png chest.png, unless -o says otherwise. A name without suffix,
    as DICOM files often have, stays DICOM. Standard output needs --format.

    With --scale or --region, only what they need is read of a file, which may even be cut off
    behind it, and names say so: chest.scale4.dcm, chest.region-0-512-256-256.dcm. What is read is
    checked by its checksums, but not by the hash of the pixels, which is of the whole image. A
    part has none of the source's DICOM data set: as DICOM, it is a new secondary capture.
    """
    from xraycodec.files import encode

    report = Report(as_json, quiet, verbose)
    wanted = _Wanted(int(scale), region)
    sources = find_sources(inputs, XRC_FILES, report, recursive=recursive)
    targets = Targets(output, sources, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output
    if targets.standard_output and file_format is None:
        raise click.UsageError("standard output has no suffix; say --format")

    def work(source: Source) -> None:
        target = targets.path_for(source, lambda path: _output_name(path, file_format, wanted))
        with report.progress(source.name) as progress:
            if wanted.is_part:
                decoded = _decode_part(source, wanted, threads, progress)
            else:
                decoded = _decode(source, threads, progress)
        for warning in decoded.warnings:
            report.note(source.name, f"warning: {warning}")
        image = decoded.image
        chosen = file_format or _format_for(target, image)
        targets.write(target, encode(image, chosen))
        frames, rows, columns = image.frames.shape
        values = {
            "output": "-" if target is None else str(target),
            "format": chosen,
            "frames": frames,
            "rows": rows,
            "columns": columns,
            "bits_stored": image.bits_stored,
            **decoded.values,
        }
        size = f"{columns} x {rows}" + (f" x {frames} frames" if frames > 1 else "")
        text = f"{size}, {image.bits_stored} bits{decoded.text} -> {values['output']}"
        report.result(source.name, text, values)

    return for_each(report, sources, work)


@dataclass(frozen=True, eq=False)
class _Decoded:
    """An image with what a result tells of its decoding: as JSON, in words, and as warnings."""

    image: XRay
    values: dict[str, Any]
    text: str = ""
    warnings: tuple[str, ...] = ()


def _decode(source: Source, threads: int, progress: Progress) -> _Decoded:
    from xraycodec.pipeline import PixelDriftWarning
    from xraycodec.pipeline import decompress as decompress_image

    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        image = decompress_image(source.read(), threads=threads, progress=progress)
    drifted = any(issubclass(warning.category, PixelDriftWarning) for warning in seen)
    return _Decoded(
        image,
        {"pixels_identical": not drifted},
        warnings=tuple(str(warning.message) for warning in seen),
    )


def _decode_part(source: Source, wanted: _Wanted, threads: int, progress: Progress) -> _Decoded:
    from xraycodec.parts import decompress_part

    with source.opened() as file:
        part = decompress_part(
            file, scale=wanted.scale, region=wanted.region, threads=threads, progress=progress
        )
        bytes_read = part.size_bytes if isinstance(file, io.BytesIO) else part.bytes_read
    return _Decoded(
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


def _output_name(path: Path, file_format: str | None, wanted: _Wanted) -> Path:
    """Return the name of an output beside its input.

    Raises:
        OptionError: the input's name does not give one.
    """
    if path.suffix.lower() != XRC_SUFFIX:
        raise OptionError(f"the name does not end in {XRC_SUFFIX}; name the output with -o")
    path = path.with_suffix("")
    stem, suffix = path.name, ""
    if path.suffix.lower() in _IMAGE_SUFFIXES:
        stem, suffix = path.stem, path.suffix
    if file_format is not None:
        suffix = SUFFIXES[file_format]
    if wanted.is_part and not suffix:
        raise OptionError(f"{path.name} has no suffix to tell the format; say --format")
    return path.with_name(stem + wanted.mark() + suffix)


def _format_for(target: Path | None, image: XRay) -> str:
    """Return the format that the output's name asks for.

    Raises:
        OptionError: none that can be written.
    """
    from xraycodec.files import format_of_suffix

    assert target is not None  # standard output comes with --format
    suffix = target.suffix[1:]
    if image.dicom is not None and (not suffix or suffix.isdecimal()):
        return "dicom"
    try:
        return format_of_suffix(target)
    except OptionError as error:
        raise OptionError(f"{error}; or say --format") from error
