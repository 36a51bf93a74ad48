"""``xrc verify``."""

from __future__ import annotations

from pathlib import Path

import click

from xraycodec.cli import options
from xraycodec.cli.batch import Batch, Done, Sizes
from xraycodec.cli.decoding import check_is_xrc
from xraycodec.cli.processing import for_each
from xraycodec.cli.progress import Progress
from xraycodec.cli.report import Report
from xraycodec.cli.sources import XRC_FILES, Source, find_sources


@click.command()
@options.inputs
@options.recursive
@options.jobs
@options.models
@options.limits
@options.threads
@options.reporting
def verify(
    inputs: tuple[str, ...],
    recursive: bool,
    jobs: int,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Decode .xrc files and check every checksum and the hash of the pixels.

    An INPUT is a file, or - for standard input. Nothing is written.

    A codec that decodes in floating point may give pixels that differ from the encoder's by a
    rounding. That is reported and is no failure; damage is one, and ends in exit code 1.
    """
    from xraycodec.container import read_header
    from xraycodec.pipeline import verify as verify_data

    batch = Batch(jobs=jobs)
    limits = options.limits_asked_for()
    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, XRC_FILES, report, recursive=recursive)

    def make(source: Source, _: Path | None, progress: Progress) -> Done:
        data = source.read(limits)
        check_is_xrc(data)
        found = verify_data(
            data, limits=limits, threads=batch.threads_each(threads), progress=progress
        )
        header = read_header(data, limits)
        values = {
            "intact": True,
            "pixels_identical": found.identical,
            "exact": found.exact,
            "max_error": found.max_error,
            "pixel_bytes": header.pixel_count * header.bits_stored / 8,
            "size_bytes": len(data),
        }
        text = "OK" if found.identical else "intact; pixels differ from the encoder's by rounding"
        return Done(text, values)

    sizes = Sizes("size_bytes", "pixel_bytes", packing=False)
    return for_each(report, sources, make, batch=batch, sizes=sizes)
