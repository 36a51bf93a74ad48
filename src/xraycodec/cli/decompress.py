"""``xrc decompress``."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import click

from xraycodec.cli import options
from xraycodec.cli.compress import SUFFIX
from xraycodec.cli.report import Report, for_each
from xraycodec.cli.sources import Source, Targets, find_sources
from xraycodec.errors import OptionError

FORMATS = ("dicom", "png", "tiff", "pgm", "npy", "jpegxl")
SUFFIXES = {"dicom": ".dcm", "tiff": ".tif", "jpegxl": ".jxl"}


@click.command()
@options.inputs
@options.output
@options.force
@options.recursive
@click.option(
    "--format",
    "file_format",
    type=click.Choice(FORMATS),
    help="Format of the outputs; otherwise their suffix decides.",
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

    Inputs are kept. chest.dcm.xrc becomes chest.dcm beside it, as DICOM, unless -o or --format
    say otherwise; - reads standard input, and writes to standard output with --format.
    """
    from xraycodec.files import encode, format_of_suffix, write_atomically
    from xraycodec.pipeline import PixelDriftWarning
    from xraycodec.pipeline import decompress as decompress_image

    sources = find_sources(inputs, recursive=recursive, wanted=lambda p: p.suffix == SUFFIX)
    targets = Targets(output, sources, recursive=recursive)
    if targets.standard_output and file_format is None:
        raise click.UsageError("standard output needs --format")
    report = Report(as_json, quiet, verbose, results_to_stderr=targets.standard_output)

    def rename(path: Path) -> Path:
        if path.suffix != SUFFIX:
            raise OptionError(f"{path.name} does not end in {SUFFIX}; give the output with -o")
        if file_format is None:
            return path.with_suffix("")
        return path.with_suffix("").with_suffix(SUFFIXES.get(file_format, f".{file_format}"))

    def work(source: Source) -> None:
        target = None if targets.standard_output else targets.path_for(source, rename)
        if target is not None and target.exists() and not force:
            raise FileExistsError(f"{target} exists; -f overwrites it")
        chosen = file_format or (format_of_suffix(target) if target is not None else "")
        with report.progress(source.name) as progress, warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always", PixelDriftWarning)
            image = decompress_image(source.read(), threads=threads, progress=progress)
        for warning in seen:
            click.echo(f"xrc: {source.name}: warning: {warning.message}", err=True)
        data = encode(image, chosen)
        if target is None:
            sys.stdout.buffer.write(data)
        else:
            write_atomically(target, data, overwrite=force)
        frames, rows, columns = image.frames.shape
        values = {
            "output": "-" if target is None else str(target),
            "format": chosen,
            "frames": frames,
            "rows": rows,
            "columns": columns,
            "bits_stored": image.bits_stored,
            "pixels_identical": not seen,
        }
        size = f"{columns} x {rows}" + (f" x {frames} frames" if frames > 1 else "")
        report.result(
            source.name, f"{size}, {image.bits_stored} bits -> {values['output']}", values
        )

    return for_each(report, sources, work)
