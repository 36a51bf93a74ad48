"""What a start finds in the spool: files and rows that do not belong together.

=====================================  ==========================================================
file that the gateway wrote            what becomes of it
=====================================  ==========================================================
instance, without a row                listed; its row is rebuilt (`recovery`)
instance, delivered to everybody       removed: a kill came in between
prepared, no row speaks of it          removed; its delivery is prepared again
being written                          removed: nobody was told Success
anything else                          stays: the gateway did not write it
=====================================  ==========================================================

A row whose file is missing is of no use: of an instance it is removed, so that the instance is
taken in when it comes again; a delivery is prepared again.

The identity of the ledger lies beside it, in ``ledger-id``. A ledger of another identity, or a new
one, says nothing about the files: then none is removed, and with instances there that it does not
know the spool is not opened.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xraycodec.errors import OptionError
from xraycodec.files.atomic import is_temporary, sync_folder, write_atomically
from xraycodec.gateway.ledger import Ledger
from xraycodec.gateway.ledger_sql import (
    FILES_OF_DELIVERIES,
    INSTANCES,
    MAKE_AGAIN,
)

LEDGER = "ledger.sqlite3"
IDENTITY = "ledger-id"
INCOMING, INSTANCES_OF_SPOOL, PREPARED = FOLDERS = ("incoming", "instances", "prepared")
QUARANTINE = "quarantine"
_BESIDE = ("-wal", "-shm")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NUMBER = re.compile(r"[1-9][0-9]{0,18}")
_TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Swept:
    """What a start found.

    Attributes:
        orphans: files of instances without a row.
        lost: SOP Instance UIDs of instances that were owed to somebody and whose file is missing.
        is_new: the ledger was not the one that was here before.
        foreign: how many files there are that the gateway did not write.
    """

    orphans: tuple[Path, ...]
    lost: tuple[str, ...]
    is_new: bool
    foreign: int


def open_ledger(folder: Path, clock: Callable[[], float], *, rebuild: bool) -> Ledger:
    """Open the ledger of a spool, or make one.

    Args:
        folder: of the spool.
        clock: seconds, monotonic.
        rebuild: put a ledger that is damaged into quarantine, and make a new one.

    Raises:
        OptionError: it is missing, empty or damaged, and there are instances.
        OSError, sqlite3.Error: it cannot be opened.
    """
    path = folder / LEDGER
    files = [name for name in os.listdir(folder / INSTANCES_OF_SPOOL) if _DIGEST.fullmatch(name)]  # noqa: PTH208 - names only
    if files and not (path.exists() and path.stat().st_size):
        # Not touched by SQLite before: what it has written ahead may still be put to use.
        if not rebuild:
            raise _not_of(path, "is missing or empty", len(files))
        _set_aside(path)
    try:
        return Ledger(path, clock)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError as error:
        if not rebuild:
            raise _not_of(path, f"cannot be used ({error})", len(files)) from error
        _set_aside(path)
        return Ledger(path, clock)


def sweep(folder: Path, ledger: Ledger, *, rebuild: bool) -> Swept:
    """Bring files and rows together, as far as they tell what to do.

    Args:
        folder: of the spool.
        ledger: of the spool, as far as is known.
        rebuild: go on with a ledger that is not the one that was here before.

    Raises:
        OptionError: it is not, and there are instances without a row.
        OSError, sqlite3.Error: the spool cannot be read or written.
    """
    marker = folder / IDENTITY
    is_ours = marker.exists() and marker.read_text("ascii", "replace") == ledger.identity
    orphans, done, lost = _instances(folder / INSTANCES_OF_SPOOL, ledger)
    if orphans and not is_ours and not rebuild:
        raise _not_of(folder / LEDGER, "is not the one that was here before", len(orphans))

    def remove(path: Path) -> None:
        if is_ours:
            path.unlink()
        else:
            quarantine(folder, path)

    for path in done:
        remove(path)
    _remove_rows(ledger, lost)
    for path in _useless_prepared(folder / PREPARED, ledger, are_ours=is_ours):
        remove(path)
    for place in (folder, *(folder / name for name in FOLDERS)):
        for path in _files(place):
            unfinished = place.name == INCOMING and _TOKEN.fullmatch(path.name)
            if unfinished or is_temporary(path.name):
                path.unlink()
    if not is_ours:
        write_atomically(marker, ledger.identity.encode(), overwrite=True, mode=0o600)
    return Swept(tuple(orphans), tuple(lost), not is_ours, _foreign(folder))


def quarantine(folder: Path, path: Path) -> None:
    """Move a file of the spool to where nothing touches it.

    Raises:
        OSError: it cannot be moved.
    """
    place = folder / QUARANTINE / path.name
    number = 0
    while os.path.lexists(place):
        number += 1
        place = place.with_name(f"{path.name}.{number}")
    path.rename(place)
    sync_folder(place.parent)


def _instances(folder: Path, ledger: Ledger) -> tuple[list[Path], list[Path], list[str]]:
    """Files without a row, files of instances that are done, and UIDs of rows without a file."""
    files = {path.name: path for path in _files(folder) if _DIGEST.fullmatch(path.name)}
    known: set[str] = set()
    done: list[Path] = []
    lost: list[str] = []
    with ledger.transaction() as sql:
        for uid, digest, is_waiting in sql.execute(INSTANCES):
            if digest in files:
                known.add(digest)
                if not is_waiting:
                    done.append(files[digest])
            elif is_waiting and not os.path.lexists(folder / digest):
                lost.append(uid)
    return [path for name, path in files.items() if name not in known], done, lost


def _remove_rows(ledger: Ledger, uids: list[str]) -> None:
    with ledger.transaction() as sql:
        sql.executemany("DELETE FROM instance WHERE uid = ?", [(uid,) for uid in uids])


def _useless_prepared(folder: Path, ledger: Ledger, *, are_ours: bool) -> list[Path]:
    """Files of deliveries that no row speaks of; those whose file is missing are made again."""
    files = {path.name: path for path in _files(folder) if _NUMBER.fullmatch(path.name)}
    with ledger.transaction() as sql:
        used = {str(number) for (number,) in sql.execute(FILES_OF_DELIVERIES)}
        # To another ledger, the same numbers are other deliveries.
        there = used & files.keys() if are_ours else set()
        sql.executemany(MAKE_AGAIN, [(name,) for name in used - there])
    return [path for name, path in files.items() if name not in there]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.is_file() and not path.is_symlink()]


def _foreign(folder: Path) -> int:
    forms = ((INCOMING, _TOKEN), (INSTANCES_OF_SPOOL, _DIGEST), (PREPARED, _NUMBER))
    return sum(
        not form.fullmatch(path.name) for name, form in forms for path in (folder / name).iterdir()
    )


def _set_aside(path: Path) -> None:
    for each in (path, *(path.with_name(path.name + ending) for ending in _BESIDE)):
        if each.exists():
            quarantine(path.parent, each)


def _not_of(path: Path, what: str, count: int) -> OptionError:
    return OptionError(
        f"{path} {what}; {count} instances in {path.parent / INSTANCES_OF_SPOOL} have no row."
        " Nothing was changed. Put the ledger back with its -wal file, or start once with"
        " --rebuild-ledger, which queues these instances again"
    )
