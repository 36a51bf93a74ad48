"""The manifest's schema, which docs/archive.md describes, and its longer queries."""

from __future__ import annotations

import os

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
    output_bytes FROM file"""

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
FAILURES = """SELECT error_class, count(*), min(path), error FROM file WHERE state = 'failed'
    GROUP BY error_class ORDER BY count(*) DESC, error_class"""


def path_to_sql(path: str) -> str | bytes:
    """A path as SQLite holds it: names that are not UTF-8 as their bytes."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def path_from_sql(value: str | bytes) -> str:
    """A path as the system has it."""
    return os.fsdecode(value) if isinstance(value, bytes) else value
