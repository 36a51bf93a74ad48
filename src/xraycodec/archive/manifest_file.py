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
        CorruptError: a rollback journal lies beside it.
    """
    journal, log = (path.with_name(path.name + suffix) for suffix in ("-journal", "-wal"))
    if os.path.lexists(journal) and path.exists() and path.stat().st_size:
        # No build leaves one there, and SQLite removes files that one names.
        raise CorruptError(f"{path} is not a manifest: {journal.name} lies beside it")
    if write:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        mode = "rw"
    elif not path.is_file():
        raise OptionError(f"{path}: there is not a manifest")
    elif os.access(path, os.W_OK) and os.access(path.parent, os.W_OK):
        mode = "rw"  # for what lies beside it while it is open
    else:
        mode = "ro" if log.exists() else "ro&immutable=1"
    uri = f"{path.absolute().as_uri()}?mode={mode}"
    connection = sqlite3.connect(uri, isolation_level=None, uri=True)
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    if not write:
        connection.execute("PRAGMA query_only = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)
    connection.text_factory = lambda value: value.decode(errors="surrogateescape")
    return connection
