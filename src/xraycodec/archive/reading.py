"""Reading an archive: check its files, extract images from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from xraycodec.archive.failures import Task
from xraycodec.archive.manifest import DEFAULT_NAME, Manifest
from xraycodec.archive.naming import original_name
from xraycodec.archive.places import Place, is_url, place_for, without_scheme
from xraycodec.archive.records import Failure, Item, Outcome, State
from xraycodec.archive.run import Stopping, Workforce, claims, drive
from xraycodec.errors import OptionError

_READER = "reader"


def manifest_of(archive: str, manifest: str | None = None) -> Path:
    """Path of an archive's manifest.

    Args:
        archive: its folder, or its manifest, as a user named it.
        manifest: what the user said of the manifest beside that.

    Raises:
        OptionError: an archive in an object store, of which the manifest was not named.
    """
    if manifest is not None:
        return Path(manifest)
    if is_url(archive):
        raise OptionError(f"{archive} is not a folder on a disk; say --manifest")
    path = Path(without_scheme(archive))
    return path / DEFAULT_NAME if path.is_dir() else path


def source_of(manifest: Manifest, archive: str | None = None) -> Place:
    """The place that an archive's files are read from.

    It is named by the user: what the manifest says could send a reader of somebody else's archive
    to any folder or host.

    Args:
        manifest: of the archive.
        archive: its folder or URL; ``None`` where its manifest lies in it.

    Raises:
        OptionError: the manifest is of an archive elsewhere, and ``archive`` is ``None``; or a URL
            that cannot be used.
    """
    if archive is not None:
        return place_for(archive, _READER)
    target = manifest.setting("target")
    if target is None:
        raise OptionError(f"{manifest.path}: no run has got as far as to name the archive")
    if target != ".":
        raise OptionError(
            f"{manifest.path} is the manifest of {target}, which is not its folder; to read from"
            f" there, name that as the archive, with --manifest {manifest.path}"
        )
    return place_for(str(manifest.path.parent), _READER)


def selected(manifest: Manifest, patterns: Sequence[str]) -> Iterator[Item]:
    """Files of an archive whose originals' names match any of the patterns; all without."""
    for item in manifest.items(State.DONE):
        name = original_name(item.output)
        if not patterns or any(fnmatchcase(name, pattern) for pattern in patterns):
            yield item


def work_through(
    items: Iterable[Item],
    files: int,
    task: Task,
    workforce: Workforce,
    on_outcome: Callable[[Item, Outcome], None],
    stopping: Stopping,
) -> Failure | None:
    """Do a task to each item, in any order.

    Args:
        items: taken as there are workers for them.
        files: how many they are, or more.
        task: what to do.
        workforce: who does it.
        on_outcome: told of each item and its outcome.
        stopping: asked whether to end after the files at hand.

    Returns:
        What kept the run from going on; ``None`` if nothing did.
    """
    handed_out: dict[int, Item] = {}
    take = claims(items)

    def claim(size: int) -> list[Item]:
        taken = take(size)
        handed_out.update((item.id, item) for item in taken)
        return taken

    def record(outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            on_outcome(handed_out.pop(outcome.id), outcome)

    with workforce.pool(task, files) as pool:
        return drive(pool, claim, record, files, workforce.batch, stopping)
