"""Options that several commands of ``xrc archive`` share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from xraycodec.archive.run import Workforce

F = TypeVar("F", bound=Callable[..., Any])

_MEMORY = "memory://"


def manifest(function: F) -> F:
    return click.option(
        "--manifest",
        metavar="FILE",
        help="The manifest; archive.sqlite3 in the archive's folder without it. On a local disk.",
    )(function)


def elsewhere(function: F) -> F:
    return click.option(
        "--manifest",
        metavar="FILE",
        help="The manifest, where it is not in the archive; ARCHIVE is then the folder or the URL.",
    )(function)


def archive(function: F) -> F:
    return click.argument("archive", metavar="ARCHIVE")(function)


def patterns(function: F) -> F:
    return click.argument("patterns", nargs=-1, metavar="[PATTERN]...")(function)


def workforce(function: F) -> F:
    """Add --jobs, --scheduler, --attempts and --batch."""
    function = click.option(
        "--batch",
        type=click.IntRange(1, 1024),
        default=16,
        show_default=True,
        metavar="N",
        help="Most files that a worker is handed at a time; a task of the cluster.",
    )(function)
    function = click.option(
        "--attempts",
        type=click.IntRange(1, 100),
        default=3,
        show_default=True,
        metavar="N",
        help="For a file whose reading or writing fails, or whose process dies.",
    )(function)
    function = click.option(
        "--scheduler",
        metavar="ADDRESS",
        help="Work on the Dask cluster of this scheduler, tcp://host:8786 for example.",
    )(function)
    return click.option(
        "--jobs",
        type=click.IntRange(0, 1024),
        metavar="N",
        help="Processes, of one thread each; as many as there are cores without it, and with 0"
        " none but this one.",
    )(function)


def workforce_for(
    jobs: int | None, scheduler: str | None, attempts: int, batch: int, places: Iterable[str]
) -> Workforce:
    """Who does the work; what lies in this process's memory is for this process.

    Raises:
        click.UsageError: --jobs and --scheduler.
    """
    from xraycodec.archive.run import Workforce, cores

    if jobs is not None and scheduler is not None:
        raise click.UsageError("--jobs goes with this machine, not with --scheduler")
    if any(place.startswith(_MEMORY) for place in places):
        jobs, scheduler = 0, None
    return Workforce(cores() if jobs is None else jobs, scheduler, attempts, batch)
