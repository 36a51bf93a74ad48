"""``xrc benchmark``."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.errors import XrayCodecError

if TYPE_CHECKING:
    from xraycodec.evaluation.benchmark.run import Progress

_SECTIONS = ("crops", "lossless-stage", "figure2", "rd")


@click.command()
@click.option(
    "--data",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    required=True,
    help="Folder in NIH's layout, or with train, validation and test in it (or in its nih-cxr8);"
    " its deep/*.dcm are measured too.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="Folder for the reports, the results so far, and the crops.",
)
@click.option(
    "--quick", is_flag=True, help="A look in two minutes: 12 crops, the middle of 3 images."
)
@click.option(
    "--only",
    "sections",
    metavar="SECTION",
    type=click.Choice(_SECTIONS),
    multiple=True,
    help="Measure this section only; may be given several times.",
)
@click.option(
    "--codec",
    "codecs",
    metavar="KEY",
    multiple=True,
    help="Measure this codec only, jpeg2000 or rnn-conv for example; may be given several times."
    " A wrong key gets the list of them.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1, 1024),
    help="Processes, of one thread each; as many as there are cores without it.",
)
@click.option(
    "--resume/--fresh",
    default=True,
    show_default=True,
    help="Keep what an earlier run measured into the same folder, or begin anew.",
)
@click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
def benchmark(
    data: Path,
    out: Path,
    quick: bool,
    sections: tuple[str, ...],
    codecs: tuple[str, ...],
    jobs: int | None,
    resume: bool,
    quiet: bool,
) -> int:
    """Reproduce the paper's evaluation, and compare with codecs in use.

    \b
    crops           Tables I and II of the paper, on its crops
    lossless-stage  by how much GZip, zstd and ours shrink the tensors
    figure2         a full image in segments, in pictures
    rd              full images: rates, metrics, lossless sizes, speeds

    Writes benchmark.html (a report with plots and pictures, one file), benchmark.md and
    benchmark.json into the folder of --out, and nothing anywhere else. A run that was stopped
    goes on where it was. The whole takes up to half an hour on two cores.

    Exit code 1: some measurement failed; the reports say which and why.
    """  # noqa: D301 -- \b is click's
    from xraycodec.evaluation.benchmark.run import run_benchmark
    from xraycodec.evaluation.benchmark.settings import SECTIONS, Settings

    settings = Settings(
        data=data,
        out=out,
        quick=quick,
        sections=tuple(name for name in SECTIONS if not sections or name in sections),
        codecs=codecs,
        workers=jobs or os.cpu_count() or 1,
        resume=resume,
    )
    try:
        with _progress(quiet) as progress:
            result = run_benchmark(settings, progress)
    except (XrayCodecError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for codec, why in result["not_available"].items():
        click.echo(f"xrc: {codec}: not available: {why}", err=True)
    for failure in result["failures"]:
        click.echo(f"xrc: {failure['job']}: {failure['error']}", err=True)
    if not quiet:
        for name in ("benchmark.html", "benchmark.md", "benchmark.json"):
            click.echo(f"wrote {out / name}")
    return 1 if result["failures"] else 0


@contextmanager
def _progress(quiet: bool) -> Iterator[Progress]:
    """Show a bar on a terminal; elsewhere a line for each tenth of the work."""
    if quiet:
        yield lambda doing, done, total: None
    elif sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task("planning", total=None)
            yield lambda doing, done, total: bar.update(
                task, description=doing, completed=done, total=total
            )
    else:
        yield _print_tenths


def _print_tenths(doing: str, done: int, total: int) -> None:
    if done and (done == total or 10 * done // total != 10 * (done - 1) // total):
        click.echo(f"{doing}: {done} of {total}", err=True)
