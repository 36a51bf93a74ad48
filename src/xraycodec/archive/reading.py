"""Reading an archive: check its files, extract images from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from xraycodec.archive.failures import Task
from xraycodec.archive.manifest import DEFAULT_NAME, Manifest
from xraycodec.archive.naming import original_name
from xraycodec.archive.records import Failure, Item, Outcome, State
from xraycodec.archive.run import Stopping, Workforce, claims, drive


def manifest_of(archive: str) -> Path:
    """Path of the manifest of an archive that is named by it or by its folder."""
    path = Path(archive)
    return path / DEFAULT_NAME if path.is_dir() else path


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
