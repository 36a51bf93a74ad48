"""``xrc dicom``: DICOM files whose frames are ``.xrc`` streams."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from xraycodec.cli import codec_options, options
from xraycodec.cli.batch import Batch, Done, Others, Sizes
from xraycodec.cli.processing import for_each
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import (
    DICOM_SUFFIXES,
    FORMAT_NAMES,
    Source,
    Wanted,
    find_sources,
    read_head,
)
from xraycodec.cli.targets import Targets
from xraycodec.codecs.base import Progress
from xraycodec.errors import OptionError
from xraycodec.files.dicom_lossy import UID_POLICIES, UidPolicy


def _is_dicom(path: Path, *, wrapped: bool) -> bool:
    from xraycodec.dicom.encapsulation import is_wrapped
    from xraycodec.errors import ImageError
    from xraycodec.files.dicomdir import is_dicomdir
    from xraycodec.files.signatures import sniff

    try:
        head = read_head(path)
        if sniff(head) != "dicom" or is_dicomdir(path):
            return False
        return is_wrapped(head) == wrapped
    except (OSError, ImageError):
        return True  # reading it fails once more, and is reported then


_NATIVE = Wanted("a", "DICOM file to wrap", partial(_is_dicom, wrapped=False), DICOM_SUFFIXES)
_WRAPPED = Wanted("a", "wrapped DICOM file", partial(_is_dicom, wrapped=True), DICOM_SUFFIXES)


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
@codec_options.codec("As for xrc compress; a lossy one makes a derived image, which the file says.")
@codec_options.max_error
@codec_options.profile
@codec_options.ratio
@codec_options.iterations
@codec_options.model
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
@options.others
@options.jobs
@options.limits
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
    others: Others | None,
    skip_existing: bool,
    jobs: int,
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

    batch = Batch(others, skip_existing, jobs)
    threads = batch.threads_each(threads)
    chosen = codec_options.codec_asked_for(codec, threads)
    limits = options.limits_asked_for()

    def convert(data: bytes, progress: Progress) -> bytes:
        wrapped = encapsulation.wrap(
            data,
            chosen,
            extended=extended,
            uid_policy=uid_policy,
            limits=limits,
            progress=progress,
        )
        if not no_verify:
            encapsulation.verify(
                wrapped,
                data,
                same_instance=uid_policy != "new",
                limits=replace(limits, free_pixels=limits.max_pixels),
                threads=threads,
            )
        return wrapped

    report = Report(as_json, quiet, verbose)
    return _convert(
        source, output, _NATIVE, convert, report, batch, recursive=recursive, force=force
    )


@dicom.command()
@_input
@_output
@options.force
@options.recursive
@options.others
@options.jobs
@options.models
@options.limits
@options.threads
@options.reporting
def unwrap(
    source: str,
    output: str,
    force: bool,
    recursive: bool,
    others: Others | None,
    skip_existing: bool,
    jobs: int,
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

    batch = Batch(others, skip_existing, jobs)
    threads = batch.threads_each(threads)
    limits = options.limits_asked_for()

    def convert(data: bytes, progress: Progress) -> bytes:
        return encapsulation.unwrap(data, limits=limits, threads=threads, progress=progress)

    report = Report(as_json, quiet, verbose)
    return _convert(
        source, output, _WRAPPED, convert, report, batch, recursive=recursive, force=force
    )


def _convert(
    name: str,
    output: str,
    wanted: Wanted,
    function: Callable[[bytes, Progress], bytes],
    report: Report,
    batch: Batch,
    *,
    recursive: bool,
    force: bool,
) -> int:
    """Convert a file, or all ``wanted`` ones below a folder; return the exit code."""
    sort = batch.others is not None
    sources = find_sources([name], wanted, report, recursive=recursive, sort=sort)
    targets = Targets(output, sources, lambda path, _: path, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output
    limits = options.limits_asked_for()

    def make(source: Source, _: Path | None, progress: Progress) -> Done:
        data = source.read(limits)
        _check_is_dicom(data)
        converted = function(data, progress)
        values = {"input_bytes": len(data), "size_bytes": len(converted)}
        text = f"{human_size(len(data))} -> {human_size(len(converted))}"
        return Done(text, values, converted)

    sizes = Sizes("input_bytes", "size_bytes", packing=wanted is _NATIVE)
    return for_each(report, sources, make, targets=targets, batch=batch, sizes=sizes)


def _check_is_dicom(data: bytes) -> None:
    """Tell a file of another format, and what to do with it.

    Raises:
        OptionError: it is one.
    """
    from xraycodec.container import SIGNATURE
    from xraycodec.files.signatures import sniff

    found = "xrc" if data.startswith(SIGNATURE) else sniff(data)
    if found not in ("dicom", None):
        raise OptionError(
            f"it is {FORMAT_NAMES[found]} file, not a DICOM file; xrc transcode makes one of it"
        )
