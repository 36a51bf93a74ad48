"""Results of jobs, one JSON object a line, appended as they come in.

A run that is killed leaves whole lines and perhaps a torn last one; what is read back is every
whole line, so the next run does only what is missing. Failures are kept for the report, but
count as missing: what failed for lack of memory may pass the next time.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

Record = dict[str, Any]
"""``key``, ``job`` (its fields), then ``values`` of a job that passed or ``error`` of one that
failed; ``core_seconds``, the processor time that it took."""


class ResultStore:
    """The file ``results.jsonl`` of a folder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._records: dict[str, Record] = {}
        self._torn = False
        if path.exists():
            self._read()

    def _read(self) -> None:
        text = self._path.read_text(encoding="utf-8", errors="replace")
        self._torn = bool(text) and not text.endswith("\n")
        for line in text.splitlines():
            try:
                record = json.loads(line)
                self._records[record["key"]] = record
            except (ValueError, KeyError, TypeError):
                continue  # torn by a kill; the job counts as not done

    def get(self, key: str) -> Record | None:
        """Return the last record of a job, passed or failed."""
        return self._records.get(key)

    def done(self, key: str) -> bool:
        """Whether the job has passed."""
        return "values" in self._records.get(key, {})

    def add(self, record: Record) -> None:
        """Append a record; it is on its way to the disk when this returns."""
        line = json.dumps(finite(record), allow_nan=False)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(("\n" if self._torn else "") + line + "\n")
        self._torn = False
        self._records[record["key"]] = json.loads(line)


def finite(value: Any) -> Any:
    """Return ``value`` as strict JSON can hold it: infinities and NaN become ``None``."""
    if isinstance(value, dict):
        return {str(key): finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
