"""Building an archive: scan, compress what is not in it yet, whatever happened before."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from xraycodec.archive import journal
from xraycodec.archive.lock import locked
from xraycodec.archive.manifest import DEFAULT_NAME, Manifest
from xraycodec.archive.modes import make_folder, mode_of_root
from xraycodec.archive.places import Place, is_url, place_for, without_scheme
from xraycodec.archive.records import Failure, Item, Outcome, State
from xraycodec.archive.run import Stopping, Workforce, drive
from xraycodec.archive.scanning import Problem, Request, scan
from xraycodec.archive.tasks import CodecChoice, Compressing
from xraycodec.archive.temporaries import new_owner
from xraycodec.errors import OptionError
from xraycodec.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True)
class Building:
    """What is to be built, and how.

    Attributes:
        request: the originals.
        manifest: path of the manifest.
        choice: codec and settings.
        workforce: who does it.
        verify: restore each output and compare it with its original before it gets its name.
        force: replace files of others, and go on with other settings than the manifest's.
        retry_failed: try files again that were themselves to blame.
        limits: sizes of originals to accept.
    """

    request: Request
    manifest: Path
    choice: CodecChoice
    workforce: Workforce
    verify: bool = True
    force: bool = False
    retry_failed: bool = False
    limits: Limits = DEFAULT_LIMITS


@dataclass(frozen=True)
class Built:
    """How the archive stands after a run.

    Attributes:
        counts: files by state, all runs together.
        stopped: what kept the run from going on; ``None`` if nothing did.
    """

    counts: dict[State, int]
    stopped: Failure | None


@dataclass(frozen=True)
class Watching:
    """Who is told of a run.

    Attributes:
        on_problem: of names below which nothing was found.
        on_outcomes: of each item that was handed out and its outcome.
        progress: of files done and files in all, in this run.
        stopping: asked whether to end after the files at hand.
    """

    on_problem: Problem
    on_outcome: Callable[[Item, Outcome], None]
    progress: Callable[[int, int], None]
    stopping: Stopping


def manifest_path(target: str, manifest: str | None) -> Path:
    """Where an archive's manifest is.

    Raises:
        OptionError: the archive is in an object store, and no path was given.
    """
    if manifest is not None:
        return Path(manifest)
    if is_url(target):
        raise OptionError(f"{target} is not a folder on a disk; say --manifest")
    return Path(without_scheme(target), DEFAULT_NAME)


def build(building: Building, watching: Watching) -> Built:
    """Bring an archive up to date with its originals.

    Raises:
        OptionError: the manifest is in use, or of another archive or other settings; a URL that
            cannot be used; a cluster that cannot be reached.
        OSError, sqlite3.Error: the manifest cannot be written.
    """
    path = building.manifest
    inputs = (Path(without_scheme(name)) for name in building.request.inputs if not is_url(name))
    mode = mode_of_root(inputs)
    make_folder(path.parent, mode)
    with ExitStack() as stack:
        stack.enter_context(locked(path))
        manifest = stack.enter_context(Manifest(path, write=True))
        target = _adopt(manifest, building)
        stack.enter_context(target.writing(mode))
        journals = journal.folder_of(path)
        manifest.recover(journal.read_journals(journals), retry_failed=building.retry_failed)
        journal.clear(journals)
        request = replace(building.request, manifest=str(path))
        manifest.add(scan(request, watching.on_problem))
        task = Compressing(
            building.choice, target, building.verify, building.force, building.limits
        )
        try:
            stopped = _compress(manifest, task, building.workforce, watching, journals)
        finally:
            manifest.release()
        journal.clear(journals)
        return Built(manifest.counts(), stopped)


def _adopt(manifest: Manifest, building: Building) -> Place:
    """Settle whose manifest this is, and return the archive's place."""
    from xraycodec import __version__

    number = manifest.setting("id") or secrets.token_hex(8)
    target = place_for(building.request.target, new_owner())
    root = _relative(target.root, building.manifest)
    earlier = manifest.setting("target")
    if earlier not in (None, root):
        raise OptionError(
            f"{building.manifest} is the manifest of {earlier}, not of {root}; name another with"
            " --manifest"
        )
    codec = manifest.codec()
    kept = building.choice if codec is None else CodecChoice(*codec)
    if not building.choice.same_as(kept) and not building.force:
        raise OptionError(
            f"{building.manifest} was begun with {kept}, and this run asks for {building.choice};"
            " --force goes on with the new settings, and leaves finished files as they are"
        )
    manifest.set(id=number, target=root, codec=asdict(building.choice), xraycodec=__version__)
    return target


def _relative(root: str, manifest: Path) -> str:
    """An archive that its manifest lies in can be moved."""
    if not is_url(root) and Path(root).resolve() == manifest.parent.resolve():
        return "."
    return root


def _compress(
    manifest: Manifest,
    task: Compressing,
    workforce: Workforce,
    watching: Watching,
    journals: Path,
) -> Failure | None:
    files = manifest.counts()[State.PENDING]
    watching.progress(0, files)
    if not files:
        return None
    handed_out: dict[int, Item] = {}
    done = 0

    def claim(size: int) -> list[Item]:
        items = manifest.claim(size)
        handed_out.update((item.id, item) for item in items)
        return items

    def record(outcomes: Sequence[Outcome]) -> None:
        nonlocal done
        manifest.record(outcomes, workforce.most_attempts)
        for outcome in outcomes:
            item = handed_out.pop(outcome.id)
            again = isinstance(outcome.result, Failure) and (
                outcome.result.kind == "stop"
                or (
                    outcome.result.kind == "died"
                    and item.attempts + outcome.attempts < workforce.most_attempts
                )
            )
            if not again:
                done += 1
                watching.on_outcome(item, outcome)
        watching.progress(done, files)

    with workforce.pool(task, files, journals) as pool:
        return drive(pool, claim, record, files, workforce.batch, watching.stopping)
