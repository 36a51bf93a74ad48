"""Rows that are rebuilt from the files of instances.

A file without a row is what a kill leaves between the two, and what remains of every instance when
the ledger is lost. Its sender may have been told Success, so it is taken in again, for the
destinations of today's configuration. At worst they get it twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xraycodec.errors import CorruptImageError, XrayCodecError
from xraycodec.files.checks import damage_as_corrupt
from xraycodec.gateway.config import Config
from xraycodec.gateway.faults import Unreadable, read_prepared
from xraycodec.gateway.instance import data_set_of, describe_received, identify
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.records import Arrival, Received, Route
from xraycodec.gateway.routing import routes_of
from xraycodec.gateway.spool import Spool


@dataclass(frozen=True)
class Recovered:
    """What became of the files without a row, and of the rows without a file.

    Attributes:
        queued: instances that were taken in again.
        missing: instances that were owed to a destination and have no file.
    """

    queued: int
    missing: int


def recover(spool: Spool, config: Config, log: Log) -> Recovered:
    """Take in every instance without a row, or put its file into quarantine; log all of it.

    Raises:
        OSError, sqlite3.Error: the spool cannot be read or written.
    """
    found = spool.found
    if found.is_new and found.orphans:
        log.error("ledger_rebuilt", instances=len(found.orphans))
    if found.foreign:
        log.warning("foreign_files", files=found.foreign)
    for uid in found.lost:
        log.error("instance_missing", instance=log.pseudonym(uid))
    queued = sum(_take_in(path, spool, config, log) for path in found.orphans)
    return Recovered(queued, len(found.lost))


def _take_in(path: Path, spool: Spool, config: Config, log: Log) -> bool:
    try:
        received, routes = _read(path, config)
    except (XrayCodecError, Unreadable) as error:
        return _set_aside(path, spool, log, describe(error))
    if not routes and received.preview_of is None:
        return _set_aside(path, spool, log, "no destination")
    arrival = spool.adopt(received, routes)
    if arrival in (Arrival.CONFLICT, Arrival.KNOWN):
        return _set_aside(path, spool, log, arrival.value)
    log.warning("queued_again", instance=log.pseudonym(received.uid), outcome=arrival.value)
    return arrival is Arrival.NEW


def _set_aside(path: Path, spool: Spool, log: Log, reason: str) -> bool:
    spool.quarantine(path)
    log.error("quarantined", file=path.name, reason=reason)
    return False


def _read(path: Path, config: Config) -> tuple[Received, tuple[Route, ...]]:
    """What an instance is and owes, as far as its file tells.

    Raises:
        Unreadable, CorruptImageError: it cannot be read, or is not the file that its name says.
    """
    from pydicom.filereader import read_file_meta_info

    file = read_prepared(path)
    data_set = data_set_of(file)
    with damage_as_corrupt("file meta information"):
        meta: Any = read_file_meta_info(path)
        syntax = str(meta.TransferSyntaxUID)
        sender = str(meta.get("SourceApplicationEntityTitle", "")).strip()
    identity = identify(data_set, syntax)
    received = describe_received(identity, data_set, syntax)
    if received.digest != path.name:
        raise CorruptImageError("the file does not have the digest that is its name")
    return received, routes_of(identity, sender, config)
