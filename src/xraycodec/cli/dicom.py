"""``xrc dicom``: DICOM files whose frames are ``.xrc`` streams."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from xraycodec.cli import options
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import Source, Targets, Wanted, find_sources, for_each
from xraycodec.codecs.base import Codec, Progress
from xraycodec.codecs.lattice.codec import PROFILES
from xraycodec.codecs.registry import NAMES, codec_by_name
from xraycodec.errors import OptionError
from xraycodec.files.dicom_lossy import UID_POLICIES, UidPolicy

_SETTINGS = ("max_error", "profile", "ratio", "iterations")


def _is_dicom(path: Path, *, wrapped: bool) -> bool:
    from xraycodec.dicom.encapsulation import is_wrapped
    from xraycodec.errors import ImageError
    from xraycodec.files.signatures import HEAD_BYTES, sniff

    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
        return sniff(head) == "dicom" and is_wrapped(head) == wrapped
    except (OSError, ImageError):
        return True  # reading it fails once more, and is reported then


_NATIVE = Wanted("DICOM file to wrap", partial(_is_dicom, wrapped=False))
_WRAPPED = Wanted("wrapped DICOM file", partial(_is_dicom, wrapped=True))


@click.group()
def dicom() -> None:
    """Wrap DICOM files in the private transfer syntax, and unwrap them.

    A wrapped file is a DICOM file that any DICOM tool reads and stores, except for its pixels:
    these take xraycodec, or pydicom with "import xraycodec.plugins.pydicom".
    """


_input = click.argument("source", metavar="INPUT")
_output = click.argument("output", metavar="OUTPUT")


@dicom.command()
@_input
@_output
@options.force
@options.recursive
@click.option(
    "--codec",
    type=click.Choice(NAMES),
    default="lattice",
    show_default=True,
    help="As for xrc compress; a lossy one makes a derived image, which the file then says.",
)
@click.option(
    "--max-error",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="D",
    help="lattice: no pixel differs from the original by more than D grey levels; 0 is lossless.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="best",
    show_default=True,
    help="lattice: best gives the smallest files, fast takes less time.",
)
@options.ratio
@options.iterations
@click.option(
    "--uid-policy",
    type=click.Choice(UID_POLICIES),
    default="standard",
    show_default=True,
    help="SOP Instance UID: the source's, or a new one as the standard asks for lossy images;"
    " always the source's; always a new one.",
)
@click.option(
    "--extended-offset-table",
    "extended",
    is_flag=True,
    help="Write one even where a basic offset table would do.",
)
@click.option("--no-verify", is_flag=True, help="Do not check each output by unwrapping it.")
@options.threads
@options.reporting
def wrap(
    source: str,
    output: str,
    force: bool,
    recursive: bool,
    codec: str,
    max_error: int,
    profile: str,
    ratio: float,
    iterations: int,
    uid_policy: UidPolicy,
    extended: bool,
    no_verify: bool,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Give DICOM files the private transfer syntax.

    INPUT is a grayscale DICOM file, - for standard input, or with -r a folder, below which OUTPUT
    repeats every DICOM file. The data set is kept, UIDs included, unless the codec is lossy. Each
    output is unwrapped and compared with its input before it gets its name.
    """
    from xraycodec.dicom import encapsulation

    chosen = _codec(codec, threads)

    def convert(data: bytes, progress: Progress) -> bytes:
        wrapped = encapsulation.wrap(
            data, chosen, extended=extended, uid_policy=uid_policy, progress=progress
        )
        if not no_verify:
            encapsulation.verify(wrapped, data, same_instance=uid_policy != "new", threads=threads)
        return wrapped

    report = Report(as_json, quiet, verbose)
    return _convert(source, output, _NATIVE, convert, report, recursive=recursive, force=force)


@dicom.command()
@_input
@_output
@options.force
@options.recursive
@options.threads
@options.reporting
def unwrap(
    source: str,
    output: str,
    force: bool,
    recursive: bool,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Give wrapped DICOM files back as Explicit VR Little Endian.

    INPUT is a file of the private transfer syntax, - for standard input, or with -r a folder, below
    which OUTPUT repeats every such file.
    """
    from xraycodec.dicom import encapsulation

    def convert(data: bytes, progress: Progress) -> bytes:
        return encapsulation.unwrap(data, threads=threads, progress=progress)

    report = Report(as_json, quiet, verbose)
    return _convert(source, output, _WRAPPED, convert, report, recursive=recursive, force=force)


def _convert(
    name: str,
    output: str,
    wanted: Wanted,
    function: Callable[[bytes, Progress], bytes],
    report: Report,
    *,
    recursive: bool,
    force: bool,
) -> int:
    """Convert a file, or all ``wanted`` ones below a folder; return the exit code."""
    sources = find_sources([name], wanted, report, recursive=recursive)
    targets = Targets(output, sources, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output

    def work(source: Source) -> None:
        target = targets.path_for(source, lambda path: path)
        data = source.read()
        with report.progress(source.name) as progress:
            converted = function(data, progress)
        targets.write(target, converted)
        place = "-" if target is None else str(target)
        values = {"output": place, "input_bytes": len(data), "size_bytes": len(converted)}
        text = f"{human_size(len(data))} -> {human_size(len(converted))} -> {place}"
        report.result(source.name, text, values)

    return for_each(report, sources, work)


def _codec(name: str, threads: int) -> Codec:
    """The codec called ``name`` with the settings that the command line gives.

    Raises:
        click.UsageError: a setting of another codec, or one that this codec cannot do.
    """
    context = click.get_current_context()
    codec = codec_by_name(name)
    takes = {field.name for field in dataclasses.fields(codec)}  # type: ignore[arg-type]
    settings: dict[str, Any] = {}
    for setting in _SETTINGS:
        if context.get_parameter_source(setting) is not ParameterSource.DEFAULT:
            if setting not in takes:
                option = setting.replace("_", "-")
                raise click.UsageError(f"--{option} does not go with --codec {name}")
            settings[setting] = context.params[setting]
    if "threads" in takes:
        settings["threads"] = threads
    try:
        return codec(**settings)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
