"""What is known of every file of an archive: SQLite, one writer, constant memory.

::

    pending ──▶ running ──▶ done       ◀─┐
       ▲           │  ├───▶ skipped      │ pending again if size or time change
       └───────────┘  └───▶ failed     ──┘ (failed also in a later run, if the machine was to blame)
    (process died, run stopped or killed)
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from xraycodec.archive import manifest_sql as sql
from xraycodec.archive.manifest_file import connect
from xraycodec.archive.records import (
    Compressed,
    Failure,
    Found,
    Item,
    Outcome,
    Skipped,
    State,
    Unchanged,
)
from xraycodec.errors import CorruptError, OptionError

DEFAULT_NAME = "archive.sqlite3"
_ROWS_A_TIME = 1000


class Manifest:
    """A manifest that is open.

    Args:
        path: of the SQLite file.
        write: as the one process that changes it, under `lock.locked`, and made where it is not
            there; others may read at the same time.

    Raises:
        OptionError: there is none, or it is of another version.
        CorruptError: the file is not a manifest, is damaged, or has more in its schema.
    """

    def __init__(self, path: Path, *, write: bool = False) -> None:
        self.path = path
        self._connection = connect(path, write=write)
        try:
            with self._damage_as_corrupt():
                self._open(write=write)
        except BaseException:
            self._connection.close()
            raise

    def _open(self, *, write: bool) -> None:
        schema = self._rows(sql.READ_SCHEMA)
        if schema or not write:
            self._check(schema)
        if not write:
            return
        self._connection.execute("PRAGMA journal_mode = WAL")
        # A power cut may take the last transactions along: these files are done once more.
        self._connection.execute("PRAGMA synchronous = NORMAL")
        if not schema:
            with self._transaction():
                for statement in sql.SCHEMA.split(";"):
                    self._connection.execute(statement)
                self._connection.execute(f"PRAGMA application_id = {sql.APPLICATION_ID}")
                self._connection.execute(f"PRAGMA user_version = {sql.SCHEMA_VERSION}")

    def _check(self, schema: list[tuple[Any, ...]]) -> None:
        (version,) = self._one("PRAGMA user_version")
        (application,) = self._one("PRAGMA application_id")
        if application != sql.APPLICATION_ID:
            raise CorruptError(f"{self.path} is an SQLite file, but no manifest")
        if version != sql.SCHEMA_VERSION:
            raise OptionError(
                f"{self.path} has schema {version}; this version knows {sql.SCHEMA_VERSION}"
            )
        if schema != sql.schema_rows():
            raise CorruptError(
                f"{self.path} is not a manifest: its tables, views or triggers are not those of one"
            )

    def close(self) -> None:
        self._connection.close()

    def __enter__(self) -> Manifest:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def setting(self, key: str) -> Any:
        """A setting of the archive, ``None`` if it has none of this name."""
        for (value,) in self._rows("SELECT value FROM setting WHERE key = ?", key):
            try:
                return json.loads(value)
            except (TypeError, ValueError, RecursionError) as error:
                raise CorruptError(f"{self.path}: its setting {key!r} cannot be read") from error
        return None

    def codec(self) -> tuple[str, dict[str, Any]] | None:
        """Name and settings of the codec that files are compressed with, if any run has begun.

        Raises:
            CorruptError: the manifest holds something else.
        """
        match self.setting("codec"):
            case None:
                return None
            case {"name": str(name), "settings": dict(settings)}:
                return name, settings
        raise CorruptError(
            f"{self.path}: its setting 'codec' is not the name of a codec with settings"
        )

    def set(self, **settings: Any) -> None:
        rows = [(key, json.dumps(value, sort_keys=True)) for key, value in settings.items()]
        with self._transaction():
            self._connection.executemany("INSERT OR REPLACE INTO setting VALUES (?, ?)", rows)

    def add(self, found: Iterable[Found]) -> None:
        """Add files, in transactions of a thousand; those that are known and changed are pending.

        Names of outputs that two files would share go to the first of them.
        """
        iterator = iter(found)
        while batch := list(islice(iterator, _ROWS_A_TIME)):
            rows = [
                (
                    sql.path_to_sql(each.path),
                    sql.path_to_sql(each.output),
                    each.named,
                    each.size_bytes,
                    each.mtime_ns,
                )
                for each in batch
            ]
            with self._transaction():
                self._connection.executemany(sql.ADD, rows)
        with self._transaction():
            self._connection.execute("DROP TABLE IF EXISTS temp.shared")
            self._connection.execute(sql.SHARED_NAMES)
            (count,) = self._one("SELECT count(*) FROM shared")
            if count:
                self._connection.execute(sql.REFUSE_SHARED_NAMES)

    def recover(self, finished: Iterable[Outcome], *, retry_failed: bool = False) -> None:
        """Begin a run: take in what a run that was killed finished, and free what it left.

        Args:
            finished: outcomes that it did not come to record.
            retry_failed: try files again that were themselves to blame, too.
        """
        (most,) = self._one("SELECT coalesce(max(attempts), 0) + 1 FROM file")
        running = {row[0] for row in self._rows("SELECT id FROM file WHERE state = 'running'")}
        self.record([each for each in finished if each.id in running], most)
        self.release()
        with self._transaction():
            self._connection.execute(
                "UPDATE file SET state = 'pending', attempts = 0 WHERE state = 'failed'"
                " AND (transient OR ?)",
                (retry_failed,),
            )

    def release(self) -> None:
        """Give back what was claimed and not recorded."""
        with self._transaction():
            self._connection.execute("UPDATE file SET state = 'pending' WHERE state = 'running'")

    def claim(self, count: int) -> list[Item]:
        """Claim up to ``count`` pending files."""
        with self._transaction():
            rows = self._rows(f"{sql.ITEM} WHERE state = 'pending' ORDER BY id LIMIT ?", count)
            items = [sql.item_from_sql(row) for row in rows]
            self._connection.executemany(
                "UPDATE file SET state = 'running' WHERE id = ?", [(item.id,) for item in items]
            )
        return items

    def record(self, outcomes: Sequence[Outcome], most_attempts: int) -> None:
        """Write down what became of files, in one transaction."""
        with self._transaction():
            for outcome in outcomes:
                self._record(outcome, most_attempts)

    def _record(self, outcome: Outcome, most_attempts: int) -> None:
        did = (outcome.attempts, round(outcome.seconds, 6))
        values: tuple[Any, ...]
        execute = self._connection.execute
        match outcome.result:
            case Compressed() as file:
                values = (
                    *(file.size_bytes, file.mtime_ns, file.content_hash, file.pixel_hash),
                    *(file.output_bytes, file.output_hash, file.pixel_bytes),
                    *(round(file.ratio, 6), file.verified),
                )
                execute(sql.DONE, (*did, *values, outcome.id))
            case Unchanged(size_bytes, mtime_ns):
                execute(sql.UNCHANGED, (size_bytes, mtime_ns, outcome.id))
            case Skipped(why, size_bytes):
                execute(sql.SKIPPED, (*did, size_bytes, why, outcome.id))
            case Failure(name, message, "died"):
                values = (outcome.attempts, name, message, outcome.attempts, most_attempts)
                execute(sql.DIED, (*values, outcome.id))
            case Failure(kind="stop"):
                execute("UPDATE file SET state = 'pending' WHERE id = ?", (outcome.id,))
            case Failure(name, message, kind):
                message = message.encode(errors="replace").decode()
                values = (*did, name, message, kind == "transient")
                execute(sql.FAILED, (*values, outcome.id))
            case other:
                raise TypeError(f"the manifest does not keep {other!r}")

    def requeue(self, item_id: int, output_hash: str | None) -> None:
        """Have a file compressed again in the next run.

        Args:
            item_id: of its row.
            output_hash: of what lies under its name now, which may be replaced.
        """
        with self._transaction():
            self._connection.execute(
                "UPDATE file SET state = 'pending', attempts = 0, content_hash = NULL,"
                " output_hash = ? WHERE id = ?",
                (output_hash, item_id),
            )

    def counts(self) -> dict[State, int]:
        rows = dict(self._rows("SELECT state, count(*) FROM file GROUP BY state"))
        return {state: rows.get(state.value, 0) for state in State}

    def items(self, state: State) -> Iterator[Item]:
        """Files of a state, a thousand at a time; their rows may change meanwhile."""
        last = 0
        query = f"{sql.ITEM} WHERE state = ? AND id > ? ORDER BY id LIMIT ?"
        while rows := self._rows(query, state.value, last, _ROWS_A_TIME):
            yield from map(sql.item_from_sql, rows)
            if rows[-1][0] <= last:
                raise CorruptError(f"{self.path}: its index does not fit its table")
            last = rows[-1][0]

    def query(self, query: str, *values: Any) -> Iterator[tuple[Any, ...]]:
        """Rows of a query of the report's."""
        return iter(self._rows(query, *values))

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._damage_as_corrupt():
            return self._connection.execute(query, values).fetchall()

    def _one(self, query: str) -> tuple[Any, ...]:
        return self._rows(query)[0]

    @contextmanager
    def _damage_as_corrupt(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            # Of the subclasses, only DataError speaks of the file; others: locked, disk full.
            if type(error) not in (sqlite3.DatabaseError, sqlite3.DataError):
                raise
            raise CorruptError(f"{self.path} is not a manifest, or damaged: {error}") from error

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")
