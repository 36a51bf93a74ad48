"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

MAX_THREADS = 1024


def inputs(function: F) -> F:
    return click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")(function)


def output(function: F) -> F:
    return click.option(
        "-o",
        "--output",
        metavar="PATH",
        help="Output file; folder for several inputs, or for -r, whose folders it repeats; - is"
        " standard output.",
    )(function)


def force(function: F) -> F:
    return click.option("-f", "--force", is_flag=True, help="Overwrite existing outputs.")(function)


def recursive(function: F) -> F:
    return click.option(
        "-r",
        "--recursive",
        is_flag=True,
        help="Descend into folders and pass over files of other kinds there.",
    )(function)


def threads(function: F) -> F:
    return click.option(
        "--threads",
        type=click.IntRange(0, MAX_THREADS),
        default=0,
        show_default=True,
        help="Threads to compute with; 0 uses every core.",
    )(function)


def reporting(function: F) -> F:
    """Add --json, -q and -v."""
    function = click.option(
        "-v", "--verbose", is_flag=True, help="Name skipped files, show tracebacks."
    )(function)
    function = click.option("-q", "--quiet", is_flag=True, help="Print errors and warnings only.")(
        function
    )
    return click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object per file, in one line."
    )(function)
