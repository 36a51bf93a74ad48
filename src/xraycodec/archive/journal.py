"""What workers have finished, in case the run is killed before the manifest has it.

One file for each batch, a JSON object a line, written after the output has its name; it goes when
the manifest has all of the batch.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from xraycodec.archive.records import Compressed, Outcome


class Journal:
    """The journal of a batch, for the worker that does it."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def note(self, outcome: Outcome) -> None:
        """Write down an output; failures are found again at no cost."""
        if isinstance(outcome.result, Compressed):
            values = (outcome.id, outcome.attempts, outcome.seconds, asdict(outcome.result))
            self._file.write(json.dumps(values).encode() + b"\n")

    def close(self) -> None:
        self._file.close()


def folder_of(manifest: Path) -> Path:
    """Folder of a manifest's journals."""
    return manifest.with_name(manifest.name + ".running")


def read_journals(folder: Path) -> Iterator[Outcome]:
    """Outcomes of a run that was killed; a line that it did not come to finish is no outcome."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            with contextlib.suppress(ValueError, TypeError):
                number, attempts, seconds, values = json.loads(line)
                yield Outcome(number, attempts, seconds, Compressed(**values))


def clear(folder: Path) -> None:
    """Forget every journal."""
    shutil.rmtree(folder, ignore_errors=True)
