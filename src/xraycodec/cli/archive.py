"""``xrc archive``: archives of many files."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

from xraycodec.cli import archive_options, codec_options, options
from xraycodec.cli.archive_reading import extract, report, verify
from xraycodec.cli.archive_running import OutcomePrinter, Stopper
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import STANDARD
from xraycodec.errors import OptionError, XrayCodecError

if TYPE_CHECKING:
    from xraycodec.archive.build import Built
    from xraycodec.archive.estimate import Estimate
    from xraycodec.archive.run import Workforce
    from xraycodec.archive.scanning import Request
    from xraycodec.archive.tasks import Compressing

_DEFAULT_SAMPLE = 200


@click.group()
def archive() -> None:
    """Compress trees, lists and buckets of radiographs, and get them back.

    A manifest beside the archive says of every file what became of it. A build that was stopped or
    killed goes on where it was when it is started again.
    """


archive.add_command(verify)
archive.add_command(extract)
archive.add_command(report)


@archive.command()
@click.argument("inputs", nargs=-1, metavar="[INPUT]...")
@click.option(
    "--from-list",
    "list_files",
    multiple=True,
    metavar="FILE",
    help="Take names of files and URLs from FILE, one a line; - is standard input. May be given"
    " several times.",
)
@click.option("-0", "--null", is_flag=True, help="Names of lists end in zero bytes, not in lines.")
@click.option(
    "--base",
    metavar="PATH",
    help="Folder or URL below which the archive repeats folders of listed files; without it, all"
    " of a name is repeated.",
)
@click.option("-o", "--output", metavar="PATH", help="Folder or URL of the archive.")
@archive_options.manifest
@options.force
@codec_options.codec("As for xrc compress. The manifest keeps the choice.")
@codec_options.max_error
@codec_options.profile
@codec_options.ratio
@codec_options.wavelet
@codec_options.iterations
@codec_options.tile
@codec_options.model
@click.option(
    "--verify/--no-verify",
    default=True,
    show_default=True,
    help="Restore each output and compare it with its original before it gets its name.",
)
@click.option(
    "--retry-failed",
    is_flag=True,
    help="Try files again that failed for their own fault. Those that failed for the machine's or"
    " the network's are tried again in any case.",
)
@click.option(
    "--dry-run", is_flag=True, help="Write nothing; estimate from a sample what would be saved."
)
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    default=_DEFAULT_SAMPLE,
    show_default=True,
    metavar="N",
    help="Files to compress for --dry-run: the same ones every time.",
)
@archive_options.workforce
@options.limits
@options.reporting
def build(
    inputs: tuple[str, ...],
    list_files: tuple[str, ...],
    null: bool,
    base: str | None,
    output: str | None,
    manifest: str | None,
    force: bool,
    codec: str,
    max_error: int,
    profile: str,
    ratio: float,
    iterations: int,
    tile: int | None,
    verify: bool,
    retry_failed: bool,
    dry_run: bool,
    sample: int,
    jobs: int | None,
    scheduler: str | None,
    attempts: int,
    batch: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compress many files into an archive.

    An INPUT is a folder, a file, or a URL that fsspec knows, such as s3://bucket/prefix. Below
    folders and prefixes, files that are not images are passed over, unless their names say that
    they are: an empty or overwritten chest.dcm fails, as does a link to nothing. a/chest.dcm below
    an INPUT becomes a/chest.dcm.xrc below the folder of -o, with the permissions and the time of
    its original.

    Run it again to go on after it was stopped or killed, and to add what is new: files that are
    done are not read again unless their size or time changed. --force goes on with another codec
    or other settings, and overwrites files that the archive did not write.
    """
    from xraycodec.archive.build import Building, Watching, build, manifest_path
    from xraycodec.archive.scanning import Request
    from xraycodec.archive.tasks import CodecChoice, Compressing

    chosen = CodecChoice.of(codec_options.codec_asked_for(codec, threads=1))
    limits = options.limits_asked_for()
    if not inputs and not list_files:
        raise click.UsageError("name an INPUT or a list (--from-list)")
    if output is None and not dry_run:
        raise click.UsageError("name the archive's folder with -o")
    printer = Report(as_json, quiet, verbose)
    with ExitStack() as stack:
        lists = [_open_list(name, stack, null=null) for name in list_files]
        request = Request(inputs, lists, base, output or "")
        try:
            force_of = archive_options.workforce_for(
                jobs, scheduler, attempts, batch, (*inputs, output or "")
            )
            if dry_run:
                task = Compressing(chosen, None, verify, limits=limits)
                return _dry_run(request, task, force_of, sample, printer)
            path = manifest_path(request.target, manifest)
            with Stopper() as stopper, printer.progress("archive") as progress:
                outcomes = OutcomePrinter(printer, progress)
                built = build(
                    Building(
                        *(request, path, chosen, force_of, verify, force, retry_failed, limits)
                    ),
                    Watching(printer.error, outcomes, outcomes.progress, stopper),
                )
        except (OptionError, XrayCodecError, OSError, sqlite3.Error) as error:
            raise click.ClickException(str(error)) from error
    _say(built, str(path), printer)
    return stopper.exit_code or printer.exit_code


def _open_list(name: str, stack: ExitStack, *, null: bool) -> Iterator[str]:
    from xraycodec.archive.scanning import lines, zero_ended

    stream: BinaryIO = sys.stdin.buffer
    if name != STANDARD:
        try:
            stream = stack.enter_context(Path(name).open("rb"))  # noqa: SIM115 - it is
        except OSError as error:
            raise click.ClickException(f"{name}: {error.strerror}") from error
    return zero_ended(stream.read) if null else lines(stream)


def _say(built: Built, path: str, printer: Report) -> None:
    counts = {state.value: count for state, count in built.counts.items()}
    said = printer.failed
    if built.stopped is not None:
        printer.error(path, f"stopped: {built.stopped.message}")
    elif counts["failed"] > said:
        printer.error(path, f"{counts['failed']} files failed, earlier runs' included")
    text = ", ".join(f"{count} {state}" for state, count in counts.items() if count) or "no files"
    printer.result(path, text, {"files": counts})


def _dry_run(
    request: Request, task: Compressing, workforce: Workforce, count: int, printer: Report
) -> int:
    from xraycodec.archive.estimate import estimate, pick
    from xraycodec.archive.reading import work_through
    from xraycodec.archive.scanning import scan

    picked = pick(scan(request, printer.error), count)
    with Stopper() as stopper, printer.progress("sample") as progress:
        outcomes = OutcomePrinter(printer, progress, keep=True)
        outcomes.total = len(picked.items)
        work_through(picked.items, len(picked.items), task, workforce, outcomes, stopper)
    found = estimate(picked, outcomes.kept)
    printer.result("estimate", _estimate_text(found), _estimate_values(found))
    return stopper.exit_code or printer.exit_code


def _estimate_text(found: Estimate) -> str:
    if not found.images:
        return f"none of {found.sampled} files sampled is an image; {found.files} files in all"
    margin = "" if found.margin_bytes is None else f" (± {human_size(found.margin_bytes)})"
    return (
        f"{found.files} files of {human_size(found.size_bytes)}, of which images"
        f" {human_size(found.image_bytes)} -> about {human_size(found.output_bytes)}{margin},"
        f" {human_size(found.saved_bytes)} saved, {found.core_seconds / 3600:.2f} core hours;"
        f" from {found.images} images of {found.sampled} files sampled"
    )


def _estimate_values(found: Estimate) -> dict[str, float | None]:
    return {
        "files": found.files,
        "size_bytes": found.size_bytes,
        "sampled": found.sampled,
        "images": found.images,
        "failed": found.failed,
        "image_bytes": round(found.image_bytes),
        "output_bytes": round(found.output_bytes),
        "margin_bytes": None if found.margin_bytes is None else round(found.margin_bytes),
        "saved_bytes": round(found.saved_bytes),
        "core_seconds": round(found.core_seconds, 3),
    }
