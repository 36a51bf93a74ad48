"""The ledger's file: SQLite, its schema, its identity and its clock."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from xraycodec.gateway.ledger_sql import LAST_TIME, SCHEMA, SCHEMA_OF_SPOOL, SCHEMA_VERSION


class LedgerFile:
    """An open ledger; any thread may call, one at a time gets in.

    The clock of a ledger counts the seconds during which a gateway had it open. It is monotonic:
    nobody can set it, and it stands still while no gateway runs. All times in the ledger are its.

    Args:
        path: of the file, which is made where it is not there, for its owner only.
        clock: seconds, monotonic.

    Attributes:
        identity: a random name that the file has for good.

    Raises:
        sqlite3.OperationalError, OSError: the file cannot be opened.
        sqlite3.DatabaseError: it is damaged, or of another version.
    """

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._lock = threading.RLock()
        self._clock = clock
        # SQLite gives the files beside it the same permissions.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            self._open(path)
            with self.transaction() as sql:
                self.identity, saved = sql.execute("SELECT identity, seconds FROM spool").fetchone()
                (last,) = sql.execute(LAST_TIME).fetchone()
                # Of another process, whose clock had nothing to do with this one's.
                sql.execute("UPDATE delivery SET due_at = 0 WHERE due_at != 0")
            self._began_at: float = max(saved, last) - clock()
        except BaseException:
            self._connection.close()
            raise

    def _open(self, path: Path) -> None:
        # FULL: a transaction is on the disk when it returns; that is what Success is answered on.
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")
        (verdict,) = self._connection.execute("PRAGMA quick_check(1)").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError("its pages contradict each other")
        with self.transaction() as sql:
            (version,) = sql.execute("PRAGMA user_version").fetchone()
            if version == 0:
                for statement in SCHEMA.split(";"):
                    sql.execute(statement)
                sql.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            elif version != SCHEMA_VERSION:
                raise sqlite3.DatabaseError(
                    f"it has schema {version}; this gateway knows {SCHEMA_VERSION}"
                )
            sql.execute(SCHEMA_OF_SPOOL)
            sql.execute(
                "INSERT INTO spool SELECT ?, 0 WHERE NOT EXISTS (SELECT 1 FROM spool)",
                (secrets.token_hex(16),),
            )
        # What is only in the write-ahead file is lost with it.
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        with self._lock:
            with suppress(sqlite3.Error):
                self.save_clock()
            self._connection.close()

    def now(self) -> float:
        """Seconds on the ledger's clock."""
        return self._began_at + self._clock()

    def save_clock(self) -> None:
        """Write down the time, which goes on from there at the next start."""
        with self.transaction() as sql:
            sql.execute("UPDATE spool SET seconds = ?", (self.now(),))

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Keep other threads out over several calls."""
        with self._lock:
            yield

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Everything that is done in it, or nothing, on the disk at the end."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
