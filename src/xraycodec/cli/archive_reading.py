"""``xrc archive verify``, ``extract`` and ``report``."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import click

from xraycodec.archive.naming import SUFFIXES
from xraycodec.archive.report import DEFAULT_CURRENCY, DEFAULT_PRICE
from xraycodec.cli import archive_options, options
from xraycodec.cli.archive_running import OutcomePrinter, Stopper
from xraycodec.cli.report import Report, human_size
from xraycodec.errors import XrayCodecError
from xraycodec.files.dicom_lossy import UID_POLICIES, UidPolicy

_HTML, _JSON = "archive-report.html", "archive-report.json"


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (XrayCodecError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error


@click.command()
@archive_options.archive
@archive_options.patterns
@archive_options.elsewhere
@click.option("--quick", is_flag=True, help="Compare the bytes of files only; decode nothing.")
@click.option(
    "--requeue",
    is_flag=True,
    help="Have the next build make files again that are damaged or missing.",
)
@archive_options.workforce
@options.limits
@options.reporting
def verify(
    archive: str,
    patterns: tuple[str, ...],
    manifest: str | None,
    quick: bool,
    requeue: bool,
    jobs: int | None,
    scheduler: str | None,
    attempts: int,
    batch: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compare the files of an archive with its manifest.

    ARCHIVE is its folder or the manifest in it. Every file that was finished, or whose original's
    name matches a PATTERN ("a/*.dcm"), is read: its SHA-256 must be the one that was written, it
    must decode, its pixels must have the hash that the manifest keeps, and a DICOM original must
    come out as a file that xrc archive extract can write.
    """
    from xraycodec.archive.lock import locked
    from xraycodec.archive.manifest import Manifest
    from xraycodec.archive.places import digest
    from xraycodec.archive.reading import manifest_of, selected, source_of, work_through
    from xraycodec.archive.records import Failure, Item, Outcome, State
    from xraycodec.archive.tasks import Checking

    printer = Report(as_json, quiet, verbose)
    checked = 0
    with _errors(), ExitStack() as stack:
        path = manifest_of(archive, manifest)
        writes = requeue and path.is_file()
        if writes:
            stack.enter_context(locked(path))
        opened = stack.enter_context(Manifest(path, write=writes))
        source = source_of(opened, manifest and archive)
        files = opened.counts()[State.DONE]
        stopper = stack.enter_context(Stopper())
        show = OutcomePrinter(printer, stack.enter_context(printer.progress("verify")))
        show.total = files

        def on_outcome(item: Item, outcome: Outcome) -> None:
            nonlocal checked
            checked += 1
            show(item, outcome)
            failure = outcome.result
            if requeue and isinstance(failure, Failure) and failure.kind == "final":
                try:
                    there = source.size_bytes(item.output) is not None
                    found = digest(source.read(item.output)) if there else None
                except (XrayCodecError, OSError) as error:
                    printer.note(item.path, f"not queued again: {error}")
                else:
                    opened.requeue(item.id, found)

        force = archive_options.workforce_for(jobs, scheduler, attempts, batch, (source.root,))
        task = Checking(source, not quick, options.limits_asked_for())
        work_through(selected(opened, patterns), files, task, force, on_outcome, stopper)
    values = {"checked": checked, "failed": printer.failed}
    printer.result(str(path), f"{checked} files checked, {printer.failed} failed", values)
    return stopper.exit_code or printer.exit_code


@click.command()
@archive_options.archive
@archive_options.patterns
@archive_options.elsewhere
@click.option(
    "-o", "--output", required=True, metavar="PATH", help="Folder or URL that gets the images."
)
@options.force
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(SUFFIXES)),
    help="Format of the outputs; without it that of the original's name.",
)
@click.option(
    "--uid-policy",
    type=click.Choice(UID_POLICIES),
    default="standard",
    show_default=True,
    help="SOP Instance UID of DICOM outputs, as for xrc decompress.",
)
@archive_options.workforce
@options.limits
@options.reporting
def extract(
    archive: str,
    patterns: tuple[str, ...],
    manifest: str | None,
    output: str,
    force: bool,
    file_format: str | None,
    uid_policy: UidPolicy,
    jobs: int | None,
    scheduler: str | None,
    attempts: int,
    batch: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Restore images from an archive.

    ARCHIVE is its folder or the manifest in it. Every image, or those whose original's name matches
    a PATTERN ("a/*.dcm"), is written below the folder of -o as xrc decompress would write it, with
    the permissions and the time of its original. Files that are there with the same content are
    left; of other content, they are errors without -f.
    """
    from xraycodec.archive.manifest import Manifest
    from xraycodec.archive.modes import mode_of_root
    from xraycodec.archive.places import is_url, place_for
    from xraycodec.archive.reading import manifest_of, selected, source_of, work_through
    from xraycodec.archive.records import State
    from xraycodec.archive.tasks import Extracting
    from xraycodec.archive.temporaries import new_owner

    printer = Report(as_json, quiet, verbose)
    with _errors(), ExitStack() as stack:
        path = manifest_of(archive, manifest)
        opened = stack.enter_context(Manifest(path))
        source = source_of(opened, manifest and archive)
        target = place_for(output, new_owner())
        local = () if is_url(source.root) else (Path(source.root),)
        stack.enter_context(target.writing(mode_of_root(local)))
        files = opened.counts()[State.DONE]
        stopper = stack.enter_context(Stopper())
        show = OutcomePrinter(printer, stack.enter_context(printer.progress("extract")))
        show.total = files
        places = (source.root, target.root)
        workers = archive_options.workforce_for(jobs, scheduler, attempts, batch, places)
        limits = options.limits_asked_for()
        task = Extracting(source, target, file_format, uid_policy, force, limits)
        stopped = work_through(selected(opened, patterns), files, task, workers, show, stopper)
    if stopped:
        printer.error(output, f"stopped: {stopped.message}")
    done = show.done - printer.failed
    values = {"extracted": done, "failed": printer.failed}
    printer.result(output, f"{done} images extracted, {printer.failed} failed", values)
    return stopper.exit_code or printer.exit_code


@click.command()
@archive_options.archive
@click.option("-o", "--output", metavar="FOLDER", help=f"Folder for {_HTML} and {_JSON}.")
@options.force
@click.option(
    "--price",
    type=click.FloatRange(min=0),
    default=DEFAULT_PRICE,
    show_default=True,
    metavar="AMOUNT",
    help="Of storage, for a terabyte (10^12 bytes) and month. The default is an example, that of"
    " 0.023 a gigabyte, about what object stores list; put your own.",
)
@click.option(
    "--currency", default=DEFAULT_CURRENCY, show_default=True, help="That the price is in."
)
@options.reporting
def report(
    archive: str,
    output: str | None,
    force: bool,
    price: float,
    currency: str,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Say how an archive stands: totals, ratios, failures, cost of storage.

    ARCHIVE is its folder or its manifest. A build may be at work on it. With -o, the report is
    written as one HTML file that loads nothing from anywhere, and as JSON.
    """
    from xraycodec.archive.manifest import Manifest
    from xraycodec.archive.reading import manifest_of
    from xraycodec.archive.report import Price, summarise
    from xraycodec.archive.report_html import to_html
    from xraycodec.files import write_atomically

    printer = Report(as_json, quiet, verbose)
    with _errors():
        path = manifest_of(archive)
        with Manifest(path) as manifest:
            found = summarise(manifest, Price(price, currency))
        written = []
        if output is not None:
            folder = Path(output)
            folder.mkdir(parents=True, exist_ok=True)
            pages = {_HTML: to_html(found), _JSON: json.dumps(found, indent=1) + "\n"}
            for name, text in pages.items():
                write_atomically(folder / name, text.encode(), overwrite=force)
                written.append(str(folder / name))
    storage = found["storage"]
    files = ", ".join(f"{count} {state}" for state, count in found["files"].items() if count)
    text = (
        f"{files or 'no files'}; {human_size(found['size_bytes'])} ->"
        f" {human_size(found['output_bytes'])}, {storage['saved_per_year']:.2f}"
        f" {storage['currency']} a year saved at {price:g} for a terabyte and month"
    )
    printer.result(str(path), "".join((text, *(f"\nwrote {name}" for name in written))), found)
    return 0
