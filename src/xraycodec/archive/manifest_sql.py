"""The manifest's schema, which docs/archive.md describes, and its longer queries."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from functools import cache
from typing import Any, TypeVar

from xraycodec.archive.records import Item

T = TypeVar("T")

APPLICATION_ID = 0x58524341  # "XRCA"
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE file (
    id INTEGER PRIMARY KEY,
    path TEXT NOT NULL UNIQUE,
    output TEXT NOT NULL,
    named INTEGER NOT NULL,
    size_bytes INTEGER,
    mtime_ns INTEGER,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    error_class TEXT,
    error TEXT,
    transient INTEGER NOT NULL DEFAULT 0,
    content_hash TEXT,
    pixel_hash TEXT,
    output_bytes INTEGER,
    output_hash TEXT,
    pixel_bytes REAL,
    ratio REAL,
    verified INTEGER NOT NULL DEFAULT 0,
    seconds REAL
);
CREATE INDEX file_by_state ON file (state, id)
"""

READ_SCHEMA = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"

# A file that is known is looked at again only if its size or time changed. One that cannot be
# found any more keeps its row, and what is archived of it.
ADD = """INSERT INTO file (path, output, named, size_bytes, mtime_ns, state)
    VALUES (?, ?, ?, ?, ?, 'pending')
    ON CONFLICT (path) DO UPDATE SET size_bytes = excluded.size_bytes,
        mtime_ns = excluded.mtime_ns, named = max(named, excluded.named), state = 'pending',
        attempts = 0, error_class = NULL, error = NULL, transient = 0
    WHERE excluded.size_bytes IS NOT NULL AND (size_bytes IS NOT excluded.size_bytes
        OR mtime_ns IS NOT excluded.mtime_ns OR (excluded.named AND state = 'skipped'))"""

SHARED_NAMES = """CREATE TEMP TABLE shared AS
    SELECT output, min(id) AS first FROM file GROUP BY output HAVING count(*) > 1"""
REFUSE_SHARED_NAMES = """UPDATE file SET state = 'failed', error_class = 'OptionError',
    transient = 0, error = output || ' is already the output of '
        || (SELECT f.path FROM shared JOIN file f ON f.id = first
            WHERE shared.output = file.output)
    WHERE output IN (SELECT output FROM shared) AND state = 'pending'
    AND id != (SELECT first FROM shared WHERE shared.output = file.output)"""

ITEM = """SELECT id, path, output, named, attempts, content_hash, pixel_hash, output_hash,
    output_bytes, mtime_ns FROM file"""

DONE = """UPDATE file SET state = 'done', attempts = attempts + ?, seconds = ?, size_bytes = ?,
    mtime_ns = ?, content_hash = ?, pixel_hash = ?, output_bytes = ?, output_hash = ?,
    pixel_bytes = ?, ratio = ?, verified = ?, error_class = NULL, error = NULL, transient = 0
    WHERE id = ?"""
UNCHANGED = """UPDATE file SET state = 'done', size_bytes = ?, mtime_ns = ? WHERE id = ?"""
SKIPPED = """UPDATE file SET state = 'skipped', error_class = NULL, attempts = attempts + ?,
    seconds = ?, size_bytes = ?, error = ? WHERE id = ?"""
FAILED = """UPDATE file SET state = 'failed', attempts = attempts + ?, seconds = ?,
    error_class = ?, error = ?, transient = ? WHERE id = ?"""
DIED = """UPDATE file SET attempts = attempts + ?, error_class = ?, error = ?, transient = 1,
    state = CASE WHEN attempts + ? < ? THEN 'pending' ELSE 'failed' END WHERE id = ?"""

TOTALS = """SELECT count(*), coalesce(sum(size_bytes), 0), coalesce(sum(output_bytes), 0),
    coalesce(sum(pixel_bytes), 0), coalesce(sum(seconds), 0), coalesce(sum(verified), 0),
    min(ratio), max(ratio) FROM file WHERE state = 'done'"""
# Figures that no build writes, by type or size.
IMPOSSIBLE = """SELECT id FROM file WHERE state = 'done' AND NOT coalesce(
    typeof(size_bytes) = 'integer' AND size_bytes BETWEEN 0 AND 1 << 45
    AND typeof(output_bytes) = 'integer' AND output_bytes BETWEEN 0 AND 1 << 45
    AND typeof(pixel_bytes) = 'real' AND pixel_bytes BETWEEN 0 AND 1e15
    AND typeof(ratio) = 'real' AND ratio BETWEEN 0 AND 1e12
    AND typeof(seconds) = 'real' AND seconds BETWEEN 0 AND 1e9
    AND verified IN (0, 1), 0) LIMIT 1"""
FAILURES = """SELECT error_class, count(*), min(path), error FROM file WHERE state = 'failed'
    GROUP BY error_class ORDER BY count(*) DESC, error_class"""


@cache
def schema_rows() -> list[tuple[str, ...]]:
    """What `READ_SCHEMA` gives of a manifest."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return connection.execute(READ_SCHEMA).fetchall()


def path_to_sql(path: str) -> str | bytes:
    """A path as SQLite holds it: names that are not UTF-8 as their bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def text_from_sql(value: object) -> str:
    """Text, or a path as the system has it; an empty string for any other value."""
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return value if isinstance(value, str) else ""


def item_from_sql(row: tuple[Any, ...]) -> Item:
    """An item of a row of `ITEM`.

    A value of another type than it must have becomes one that is refused or absent, so that one
    row that was tampered with costs no other.
    """
    number, path, output, named, attempts, content, pixels, output_hash, size_bytes, mtime_ns = row
    return Item(
        number,
        text_from_sql(path),
        text_from_sql(output),
        bool(named),
        _of_type(attempts, int) or 0,
        _of_type(content, str),
        _of_type(pixels, str),
        _of_type(output_hash, str),
        _of_type(size_bytes, int),
        _of_type(mtime_ns, int),
    )


def _of_type(value: object, kind: type[T]) -> T | None:
    return value if isinstance(value, kind) else None
