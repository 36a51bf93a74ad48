"""The options that choose a codec and its settings, and the codec that they ask for."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from xraycodec.codecs.base import Codec
from xraycodec.codecs.lattice.codec import DEFAULT_TILE, PROFILES
from xraycodec.codecs.registry import NAMES, codec_by_name
from xraycodec.codecs.rnn_conv.model import CONFIGURATIONS
from xraycodec.codecs.wavelet.codec import DEFAULT_QUALITY, MOST_EFFORT
from xraycodec.codecs.wavelet.target import PRESETS
from xraycodec.errors import ModelError, OptionError

F = TypeVar("F", bound=Callable[..., Any])

_TAKES = {
    "lattice": ("max_error", "profile", "tile", "threads", "model"),
    "wavelet": (
        *("quality", "psnr", "ratio", "size", "step", "preset", "effort", "threads"),
        *("max_error", "profile", "model", "completion_model"),
    ),
    "rnn-conv": ("ratio", "tile", "configuration", "effort", "threads", "model"),
    "toderici": ("iterations", "tile", "threads", "model"),
    "stored": (),
}


def codec(text: str) -> Callable[[F], F]:
    """Add --codec; ``text`` says what the choice means to the command."""
    return click.option(
        "--codec",
        type=click.Choice(NAMES),
        default="lattice",
        show_default=True,
        help=text,
    )


def max_error(function: F) -> F:
    return click.option(
        "--max-error",
        type=click.IntRange(min=0),
        default=0,
        show_default="lattice 0",
        metavar="D",
        help="No pixel of the decompressed image differs from the original by more than D grey"
        " levels; 0 is lossless. wavelet: by a completion on top of the lossy base, which"
        " decompress --layers 4 and a file that was cut off give; --quality and its like are of the"
        " base.",
    )(function)


def profile(function: F) -> F:
    return click.option(
        "--profile",
        type=click.Choice(PROFILES),
        default="best",
        show_default=True,
        help="lattice, and completions of wavelet: best gives the smallest files, fast takes less"
        " time.",
    )(function)


class _Number(click.FloatRange):
    """A range that NaN, which compares as neither too low nor too high, is not in."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number.", param, ctx)
        return number


def ratio(function: F) -> F:
    return click.option(
        "--ratio",
        type=_Number(1, 1e6),
        default=8.0,
        show_default="rnn-conv 8",
        metavar="R",
        help="wavelet: the pixels, at their bits stored, are at least R times the size of the file,"
        " and at most 2 % more. rnn-conv: pixels per code kept, 2 to 256, the paper's compression"
        " ratio; entropy coding then makes files smaller still.",
    )(function)


def paper_ratio(function: F) -> F:
    """Add --ratio where rnn-conv alone takes it."""
    return click.option(
        "--ratio",
        type=_Number(2, 256),
        default=8.0,
        show_default=True,
        help="rnn-conv: pixels per code kept, the paper's compression ratio; entropy coding then"
        " makes files smaller still.",
    )(function)


_WAVELET_OPTIONS = (
    click.option(
        "--quality",
        type=_Number(0, 100),
        metavar="Q",
        show_default=f"{DEFAULT_QUALITY:g}",
        help="wavelet: 0 to 100, relative to the image's range of values; at 50, a radiograph of"
        " 8 bits is quantised in steps of about 5 grey levels.",
    ),
    click.option(
        "--psnr",
        type=_Number(1, 150),
        metavar="DB",
        help="wavelet: the smallest file of at least so many decibels, by the peak of the bits"
        " stored.",
    ),
    click.option(
        "--size",
        type=click.IntRange(1),
        metavar="BYTES",
        help="wavelet: the best file that is not larger.",
    ),
    click.option(
        "--step",
        type=_Number(1 / 256, 65536),
        metavar="LEVELS",
        help="wavelet: quantise in steps of so many grey levels.",
    ),
    click.option(
        "--preset",
        type=click.Choice(sorted(PRESETS)),
        help="wavelet: the ratio up to which a guideline goes: "
        + ", ".join(f"{name} {ratio:g}:1" for name, ratio in PRESETS.items())
        + ". It is no substitute for a radiologist's judgement.",
    ),
    click.option(
        "--effort",
        type=click.IntRange(0, MOST_EFFORT),
        default=1,
        show_default=True,
        help="wavelet, rnn-conv: more takes longer, for smaller files of the same quality or better"
        " ones of the same size.",
    ),
)


def wavelet(function: F) -> F:
    """Add what only wavelet takes; `codec_asked_for` reads it, the command need not."""

    @wraps(function)
    def command(
        *arguments: Any,
        quality: float | None,
        psnr: float | None,
        size: int | None,
        step: float | None,
        preset: str | None,
        effort: int,
        **others: Any,
    ) -> Any:
        return function(*arguments, **others)

    decorated: Any = command
    for option in reversed(_WAVELET_OPTIONS):
        decorated = option(decorated)
    result: F = decorated
    return result


def iterations(function: F) -> F:
    return click.option(
        "--iterations",
        type=click.IntRange(1, 32),
        default=8,
        show_default=True,
        help="toderici: steps of refinement; each adds 1/8 bit a pixel before entropy coding.",
    )(function)


def tile(function: F) -> F:
    return click.option(
        "--tile",
        type=int,
        metavar="PIXELS",
        show_default=f"lattice {DEFAULT_TILE}, rnn-conv 256, toderici 256",
        help="Side of the tiles. lattice: a multiple of 8 from 64 to 4096; with small ones,"
        " decompress --region reads and computes less, but files are larger. rnn-conv: 128 or 256."
        " toderici: a multiple of 16 from 16 to 512.",
    )(function)


def configuration(function: F) -> F:
    return click.option(
        "--configuration",
        type=click.Choice(CONFIGURATIONS),
        default="compact",
        show_default=True,
        help="rnn-conv: widths of the network. paper has the paper's, 62 million parameters, for"
        " --tile 128; its model is not part of the package: set XRAYCODEC_MODELS to the folder that"
        " holds rnn-conv-paper-128.xrcpack, to decompress as well.",
    )(function)


def _selected(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A model pack that is there; files by their absolute paths."""
    from xraycodec.exact.pack import is_pack_file, select_pack

    if value is None:
        return None
    try:
        select_pack(value)
    except ModelError as error:
        raise click.BadParameter(str(error), ctx, param) from error
    return str(Path(value).absolute()) if is_pack_file(value) else value


_MODEL_OPTIONS = (
    click.option(
        "--model",
        callback=_selected,
        metavar="NAME|FILE",
        help="lattice, wavelet, rnn-conv, toderici: encode with this model pack in place of the"
        " package's: an .xrcpack file, as xrc train writes them, or the name of one in a folder of"
        " XRAYCODEC_MODELS. Names of the package's own packs always mean these. Whoever"
        " decompresses needs the same pack.",
    ),
    click.option(
        "--completion-model",
        callback=_selected,
        metavar="NAME|FILE",
        help="wavelet with --max-error: a model pack of lattice for the completion, as above.",
    ),
)


def model(function: F) -> F:
    """Add --model and --completion-model; `codec_asked_for` reads them, the command need not."""

    @wraps(function)
    def command(
        *arguments: Any, model: str | None, completion_model: str | None, **others: Any
    ) -> Any:
        return function(*arguments, **others)

    decorated: Any = command
    for option in reversed(_MODEL_OPTIONS):
        decorated = option(decorated)
    result: F = decorated
    return result


def codec_asked_for(name: str, threads: int) -> Codec:
    """The codec called ``name`` with the settings that the command line gives.

    Args:
        name: what --codec says.
        threads: for the networks, 0 for every core.

    Raises:
        click.UsageError: a setting of another codec, or one that this codec cannot do.
    """
    context = click.get_current_context()
    settings: dict[str, Any] = {"threads": threads} if "threads" in _TAKES[name] else {}
    for setting in sorted({each for takes in _TAKES.values() for each in takes} - {"threads"}):
        # None of an option that the command does not have.
        if context.get_parameter_source(setting) in (None, ParameterSource.DEFAULT):
            continue
        if setting not in _TAKES[name]:
            takers = _listed([codec for codec, takes in _TAKES.items() if setting in takes])
            told = context.get_parameter_source("codec") is not ParameterSource.DEFAULT
            raise click.UsageError(
                f"--{setting.replace('_', '-')} goes with --codec {takers}, not with "
                + (name if told else f"the default, {name}; add --codec {takers}")
            )
        settings[setting] = context.params[setting]
    try:
        return codec_by_name(name)(**settings)
    except OptionError as error:
        raise click.UsageError(str(error)) from error


def _listed(names: list[str]) -> str:
    """Names as a sentence has them: "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))
