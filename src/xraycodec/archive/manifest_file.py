"""Opening a manifest's SQLite file, which may come from anyone."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from xraycodec.errors import CorruptError, OptionError

_LONGEST_VALUE = 1 << 20
"""Bytes of a value that is read; paths and messages are shorter by far."""


def connect(path: Path, *, write: bool) -> sqlite3.Connection:
    """Connect to a manifest, so that neither its schema nor files beside it do anything.

    Args:
        path: of the file; it is made for its owner alone, because names of files may be patients'.
        write: and make it if it is not there.

    Raises:
        OptionError: there is none to read.
        CorruptError: a rollback journal lies beside one that is only read.
    """
    if write:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    elif not path.is_file():
        raise OptionError(f"{path}: there is no manifest")
    query = "mode=rw" if write else _reading(path)
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?{query}", isolation_level=None, uri=True
    )
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if not write:
        connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    connection.text_factory = lambda value: value.decode(errors="surrogateescape")
    return connection


def _reading(path: Path) -> str:
    journal, log = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))
    if os.path.lexists(journal):
        # Manifests have none, and SQLite removes files that one names.
        raise CorruptError(f"{path} is no manifest: {journal.name} lies beside it")
    if os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        return "mode=rw"  # for what lies beside it while it is open
    return "mode=ro" if log.exists() else "mode=ro&immutable=1"
