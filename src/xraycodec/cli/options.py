"""Arguments and options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import click

from xraycodec.limits import DEFAULT_LIMITS, Limits

F = TypeVar("F", bound=Callable[..., Any])

MAX_THREADS = 1024
OTHERS = ("copy", "skip", "fail")


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
        help="Descend into folders and pass over files of other kinds there; an image that is empty"
        " or broken is a failure.",
    )(function)


def threads(function: F) -> F:
    return click.option(
        "--threads",
        type=click.IntRange(0, MAX_THREADS),
        default=0,
        show_default=True,
        help="Threads to compute with; 0 uses every core.",
    )(function)


def jobs(function: F) -> F:
    return click.option(
        "--jobs",
        type=click.IntRange(0, MAX_THREADS),
        default=1,
        show_default=True,
        metavar="N",
        help="Files to work on at a time; 0 is as many as there are cores. --threads are divided"
        " among them; memory is needed for each.",
    )(function)


def others(function: F) -> F:
    """Add --others and --skip-existing."""
    function = click.option(
        "--skip-existing",
        is_flag=True,
        help="Pass over inputs whose output exists and is whole; a damaged one, or one older than"
        " its input, is a failure, and with -f overwritten.",
    )(function)
    return click.option(
        "--others",
        type=click.Choice(OTHERS),
        help="What becomes of files that this command does not serve, such as colour images,"
        " reports, PDFs: copy them to the folder that -o names, skip and name them, or fail."
        " Without it, files below folders that are not images are passed over, and images that are"
        " not served are failures.",
    )(function)


def _add_models(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> None:
    from xraycodec.errors import ModelError
    from xraycodec.exact.pack import add_model

    for path in value:
        try:
            add_model(path)
        except ModelError as error:
            raise click.BadParameter(str(error), ctx, param) from error


def models(function: F) -> F:
    """Add --model of commands that decode, which need nothing of it: packs are found by digest."""
    return click.option(
        "--model",
        multiple=True,
        expose_value=False,
        callback=_add_models,
        metavar="FILE",
        help="A model pack that the files were made with, where neither the package nor"
        " XRAYCODEC_MODELS has it. As often as needed.",
    )(function)


_LIMITS = {
    "max_frame_pixels": "Refuse frames of more pixels",
    "max_pixels": "Refuse images of more pixels in all frames",
    "max_expansion": "Refuse images of more than 2^25 pixels with more than this for each byte of"
    " the file",
    "max_elements": "Refuse DICOM data sets of more elements",
}


def limits(function: F) -> F:
    """Add options that raise and lower limits; `limits_asked_for` gives them."""
    for name, text in reversed(_LIMITS.items()):
        function = click.option(
            f"--{name.replace('_', '-')}",
            type=click.IntRange(min=1),
            default=getattr(DEFAULT_LIMITS, name),
            show_default=True,
            metavar="N",
            expose_value=False,
            callback=_note_limit,
            help=f"{text}.",
        )(function)
    return function


def _note_limit(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.meta.setdefault(__name__, {})[param.name] = value


def limits_asked_for() -> Limits:
    """Limits that the options of the current command set."""
    return replace(DEFAULT_LIMITS, **click.get_current_context().meta.get(__name__, {}))


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
