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
from typing import Any

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
        with contextlib.suppress(OSError):  # what it says is done again
            for line in path.read_bytes().splitlines():
                if outcome := _outcome(line):
                    yield outcome


def _outcome(line: bytes) -> Outcome | None:
    try:
        match json.loads(line):
            case [int(number), int(attempts), int() | float() as seconds, dict(values)]:
                return Outcome(number, attempts, float(seconds), _compressed(**values))
    except (ValueError, TypeError, RecursionError):
        pass
    return None


def _compressed(**values: Any) -> Compressed:
    """Take what a line says, if it is of the types that workers write.

    Raises:
        TypeError: it is not.
    """
    result = Compressed(**values)
    numbers = (result.size_bytes, result.output_bytes, result.pixel_bytes)
    texts = (result.content_hash, result.pixel_hash, result.output_hash)
    if not (
        all(isinstance(each, int | float) and each > 0 for each in numbers)
        and all(isinstance(each, str) for each in texts)
        and isinstance(result.mtime_ns, int | None)
        and isinstance(result.verified, bool)
    ):
        raise TypeError("no outcome")
    return result


def clear(folder: Path) -> None:
    """Forget every journal."""
    shutil.rmtree(folder, ignore_errors=True)
