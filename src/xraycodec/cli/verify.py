"""``xrc verify``."""

from __future__ import annotations

import click

from xraycodec.cli import options
from xraycodec.cli.report import Report, for_each
from xraycodec.cli.sources import Source, find_sources


@click.command()
@options.inputs
@options.recursive
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

    A file of a codec that decodes in floating point may give pixels that differ from the
    encoder's by a rounding; that is reported and is no failure. A damaged file is one.
    """
    from xraycodec.pipeline import verify as verify_data

    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, recursive=recursive, wanted=lambda p: p.suffix == ".xrc")

    def work(source: Source) -> None:
        with report.progress(source.name) as progress:
            found = verify_data(source.read(), threads=threads, progress=progress)
        values = {
            "intact": True,
            "pixels_identical": found.identical,
            "exact": found.exact,
            "max_error": found.max_error,
        }
        text = "OK" if found.identical else "intact; pixels differ from the encoder's by rounding"
        report.result(source.name, text, values)

    return for_each(report, sources, work)
