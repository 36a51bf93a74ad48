"""``xrc transcode``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import options
from xraycodec.cli.batch import Batch, Done, Others, Sizes
from xraycodec.cli.processing import for_each
from xraycodec.cli.progress import Progress
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import (
    DICOM_SUFFIXES,
    IMAGE_SUFFIXES,
    XRC_SUFFIX,
    Source,
    Wanted,
    find_sources,
    read_head,
)
from xraycodec.cli.targets import Targets
from xraycodec.errors import OptionError
from xraycodec.files.dicom_lossy import UID_POLICIES, UidPolicy

if TYPE_CHECKING:
    from xraycodec.dicom.transcode import Transcoded

_SYNTAXES = (
    *("explicit", "implicit", "deflated", "rle"),
    *("jpeg-ls", "jpeg2000", "htj2k", "jpegxl", "xrc"),
)


def _is_wanted(path: Path) -> bool:
    from xraycodec.container import SIGNATURE
    from xraycodec.files.dicomdir import is_dicomdir
    from xraycodec.files.signatures import sniff

    try:
        head = read_head(path)
        return head.startswith(SIGNATURE) or (sniff(head) == "dicom" and not is_dicomdir(path))
    except OSError:
        return True  # reading it fails once more, and is reported then


_WANTED = Wanted("a", "DICOM or .xrc file", _is_wanted, DICOM_SUFFIXES | {XRC_SUFFIX})


@click.command()
@click.argument("source", metavar="INPUT")
@click.argument("output", metavar="OUTPUT")
@options.force
@options.recursive
@click.option(
    "--syntax",
    type=click.Choice(_SYNTAXES),
    required=True,
    help="Transfer syntax of the outputs. All are lossless without --max-error and --ratio; xrc is"
    " the private one of xrc dicom wrap.",
)
@click.option(
    "--max-error",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="D",
    help="jpeg-ls, xrc: no pixel differs from the input's by more than D grey levels; 0 is"
    " lossless.",
)
@click.option(
    "--ratio",
    type=float,
    metavar="R",
    help="jpeg2000, htj2k, jpegxl: compress each frame, at its bits stored, to one Rth or less,"
    " with loss.",
)
@click.option(
    "--uid-policy",
    type=click.Choice(UID_POLICIES),
    default="standard",
    show_default=True,
    help="SOP Instance UID: the source's, or a new one as the standard asks for lossy images;"
    " always the source's; always a new one.",
)
@click.option("--no-verify", is_flag=True, help="Do not check each output by decoding it.")
@options.others
@options.jobs
@options.models
@options.limits
@options.threads
@options.reporting
def transcode(
    source: str,
    output: str,
    force: bool,
    recursive: bool,
    syntax: str,
    max_error: int,
    ratio: float | None,
    uid_policy: UidPolicy,
    no_verify: bool,
    others: Others | None,
    skip_existing: bool,
    jobs: int,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Write DICOM files in another transfer syntax.

    INPUT is a grayscale DICOM file in any syntax, an .xrc file, - for standard input, or with -r a
    folder, below which OUTPUT repeats every such file. It is kept.

    Without --max-error and --ratio, the pixels stay what they are, bit for bit, and the instance
    its UID. With loss, the output is a new, derived instance that says so. Each output is decoded
    and compared before it gets its name.
    """
    from xraycodec.dicom import transcode as transcoding
    from xraycodec.dicom.syntaxes import check_request

    try:
        check_request(syntax, max_error, ratio)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    batch = Batch(others, skip_existing, jobs)
    limits = options.limits_asked_for()
    report = Report(as_json, quiet, verbose)
    sort = others is not None
    sources = find_sources([source], _WANTED, report, recursive=recursive, sort=sort)
    targets = Targets(output, sources, _output_name, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output

    def make(source: Source, _: Path | None, progress: Progress) -> Done:
        image = transcoding.read(source.read(limits), source.name, limits=limits)
        done = transcoding.transcode(
            image,
            syntax,
            max_error=max_error,
            ratio=ratio,
            uid_policy=uid_policy,
            verify=not no_verify,
            threads=batch.threads_each(threads),
            progress=progress,
        )
        return _done(done, syntax, verified=not no_verify)

    sizes = Sizes("pixel_bytes", "payload_bytes", packing=True)
    return for_each(report, sources, make, targets=targets, batch=batch, sizes=sizes)


def _done(done: Transcoded, syntax: str, *, verified: bool) -> Done:
    ratio = done.pixel_bytes / done.payload_bytes
    values = {
        "syntax": syntax,
        "transfer_syntax": done.transfer_syntax,
        "pixel_bytes": done.pixel_bytes,
        "payload_bytes": done.payload_bytes,
        "size_bytes": len(done.data),
        "ratio": round(ratio, 4),
        "lossless": done.lossless,
        "largest_error": done.largest_error,
        "overlays_moved": done.overlays_moved,
        "verified": verified,
    }
    sizes = f"{human_size(done.pixel_bytes)} -> {human_size(done.payload_bytes)}, {ratio:.2f}:1"
    moved = f"{done.overlays_moved} embedded overlay(s) moved to Overlay Data"
    notes = (moved,) if done.overlays_moved else ()
    return Done(f"{syntax}, {sizes}{_loss(done)}", values, done.data, notes=notes)


def _loss(done: Transcoded) -> str:
    """What a result says of its pixels, where they are not all kept."""
    if done.lossless:
        return ""
    if done.largest_error is None:
        return ", with loss"
    return f", error at most {done.largest_error}"


def _output_name(path: Path, _: str) -> Path:
    """Name of an output in a folder: its input's, unless that is of a file that is no DICOM."""
    if path.suffix.lower() == XRC_SUFFIX:
        path = path.with_suffix("")
    return (
        path.with_suffix(".dcm") if path.suffix.lower() in IMAGE_SUFFIXES - DICOM_SUFFIXES else path
    )
