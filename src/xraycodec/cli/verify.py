"""``xrc verify``."""

from __future__ import annotations

import click

from xraycodec.cli import options
from xraycodec.cli.report import Report
from xraycodec.cli.sources import XRC_FILES, Source, find_sources, for_each


@click.command()
@options.inputs
@options.recursive
@options.limits
@options.threads
@options.reporting
def verify(
    inputs: tuple[str, ...],
    recursive: bool,
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
    from xraycodec.pipeline import verify as verify_data

    limits = options.limits_asked_for()
    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, XRC_FILES, report, recursive=recursive)

    def work(source: Source) -> None:
        with report.progress(source.name) as progress:
            found = verify_data(
                source.read(limits), limits=limits, threads=threads, progress=progress
            )
        values = {
            "intact": True,
            "pixels_identical": found.identical,
            "exact": found.exact,
            "max_error": found.max_error,
        }
        text = "OK" if found.identical else "intact; pixels differ from the encoder's by rounding"
        report.result(source.name, text, values)

    return for_each(report, sources, work)
