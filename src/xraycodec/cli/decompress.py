"""``xrc decompress``."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from xraycodec.cli import options
from xraycodec.cli.report import Report
from xraycodec.cli.sources import XRC_FILES, XRC_SUFFIX, Source, Targets, find_sources, for_each
from xraycodec.errors import OptionError
from xraycodec.image import XRay

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
@options.threads
@options.reporting
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    recursive: bool,
    file_format: str | None,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Decompress .xrc files.

    An INPUT is a file, or - for standard input. It is kept: chest.dcm.xrc gives chest.dcm beside
    it, as DICOM, and with --format png chest.png, unless -o says otherwise. A name without suffix,
    as DICOM files often have, stays DICOM. Standard output needs --format.
    """
    from xraycodec.files import encode
    from xraycodec.pipeline import decompress as decompress_image

    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, XRC_FILES, report, recursive=recursive)
    targets = Targets(output, sources, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output
    if targets.standard_output and file_format is None:
        raise click.UsageError("standard output has no suffix; say --format")

    def rename(path: Path) -> Path:
        if path.suffix.lower() != XRC_SUFFIX:
            raise OptionError(f"the name does not end in {XRC_SUFFIX}; name the output with -o")
        path = path.with_suffix("")
        if file_format is None:
            return path
        stem = path.stem if path.suffix.lower() in _IMAGE_SUFFIXES else path.name
        return path.with_name(stem + SUFFIXES[file_format])

    def work(source: Source) -> None:
        target = targets.path_for(source, rename)
        with report.progress(source.name) as progress, warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            image = decompress_image(source.read(), threads=threads, progress=progress)
        for warning in seen:
            report.note(source.name, f"warning: {warning.message}")
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
            "pixels_identical": not _tell_of_drift(seen),
        }
        size = f"{columns} x {rows}" + (f" x {frames} frames" if frames > 1 else "")
        report.result(
            source.name, f"{size}, {image.bits_stored} bits -> {values['output']}", values
        )

    return for_each(report, sources, work)


def _tell_of_drift(seen: list[warnings.WarningMessage]) -> bool:
    from xraycodec.pipeline import PixelDriftWarning

    return any(issubclass(warning.category, PixelDriftWarning) for warning in seen)


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
