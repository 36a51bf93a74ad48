"""The queue on the disk: files that are whole, and a ledger of what they are.

::

    incoming/   being written, nobody has been told anything; emptied at the start
    instances/  as received, PS3.10, named by digest; in use while their row is not done
    prepared/   as they will be sent, named by the number of the delivery
    quarantine/ files that the gateway wrote and cannot use; it never touches them again
    ledger.sqlite3, ledger-id, lock, log-key

A file gets its name before the row that speaks of it is committed, and loses it after the row
that lets go of it is. Killed in between, a file is left that no row speaks of: `sweep` and
`recovery` see to it at the next start. While the ledger is whole, there is no moment at which a
row speaks of a file that is not there. Files are for their owner only, whatever the umask.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from xraycodec.errors import OptionError
from xraycodec.files.atomic import sync_folder, write_atomically
from xraycodec.gateway.folders import make_folder
from xraycodec.gateway.records import Arrival, Delivery, Ended, Received, Rendition, Route
from xraycodec.gateway.sweep import FOLDERS, QUARANTINE, open_ledger, quarantine, sweep

_DAY_SECONDS = 86400
_BINARY = getattr(os, "O_BINARY", 0)


class Spool:
    """The queue; one process at a time owns it.

    Args:
        folder: of the queue; made where it is not there.
        clock: seconds, monotonic; tests have their own.
        rebuild_ledger: make a new ledger where it is missing, empty, damaged or not this spool's.

    Attributes:
        found: what the start found.

    Raises:
        OptionError: another process owns the spool; or the ledger is missing, empty, damaged or
            not this spool's, and there are instances.
        OSError, sqlite3.Error: the folder cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        clock: Callable[[], float] = time.monotonic,
        *,
        rebuild_ledger: bool = False,
    ) -> None:
        self.folder = folder
        self._incoming, self._instances, self._prepared = (folder / name for name in FOLDERS)
        for needed in (folder, *(folder / name for name in (*FOLDERS, QUARANTINE))):
            make_folder(needed)
        self._lock_file = _lock(folder / "lock")
        try:
            self.ledger = open_ledger(folder, clock, rebuild=rebuild_ledger)
            sync_folder(folder)
            try:
                self.found = sweep(folder, self.ledger, rebuild=rebuild_ledger)
            except BaseException:
                self.ledger.close()
                raise
        except BaseException:
            os.close(self._lock_file)
            raise

    def close(self) -> None:
        self.ledger.close()
        os.close(self._lock_file)

    def store(
        self, received: Received, routes: tuple[Route, ...], content: Iterable[bytes | memoryview]
    ) -> Arrival:
        """Take in an instance; when this returns, it is on the disk for good.

        Args:
            received: what it is.
            routes: the deliveries that it owes.
            content: the PS3.10 file, in pieces.

        Raises:
            OSError, sqlite3.Error: the disk is full or broken; nothing was taken in.
        """
        arrival = self.ledger.look_up(received)
        if arrival is Arrival.OVERTAKEN:
            return self._add(received, ())
        if arrival is not Arrival.NEW:
            return arrival
        temporary = self._incoming / secrets.token_hex(16)
        try:
            created = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, 0o600)
            with open(created, "wb") as file:  # noqa: PTH123 - a descriptor
                temporary.chmod(0o600)
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            return self._add(received, routes, temporary)
        finally:
            temporary.unlink(missing_ok=True)

    def adopt(self, received: Received, routes: tuple[Route, ...]) -> Arrival:
        """Take in an instance whose file is in its place already, but has no row.

        Raises:
            OSError, sqlite3.Error: the disk is full or broken.
        """
        return self._add(received, routes)

    def quarantine(self, path: Path) -> None:
        """Move one of the spool's files to where nothing touches it.

        Raises:
            OSError: it cannot be moved.
        """
        quarantine(self.folder, path)

    def quarantined(self) -> int:
        """How many files are in quarantine."""
        return len(os.listdir(self.folder / QUARANTINE))  # noqa: PTH208 - names only

    def source(self, delivery: Delivery) -> Path:
        """The instance as it was received."""
        return self._instances / delivery.digest

    def prepared(self, delivery: Delivery) -> Path:
        """Where the delivery's own file is, or is to be."""
        return self._prepared / str(delivery.id)

    def base(self, delivery: Delivery) -> Path | None:
        """The file of an image's preview, if its destination has it."""
        number = self.ledger.base_of(delivery)
        return None if number is None else self._prepared / str(number)

    def read_base(self, digest: str, image_uid: str) -> bytes | None:
        """The file of a preview that was received, for the remainder of its image.

        Raises:
            OSError: the disk is broken.
        """
        if not self.ledger.holds_base(digest, image_uid):
            return None
        try:
            return (self._instances / digest).read_bytes()
        except FileNotFoundError:
            # Its image came in between, or its days are over.
            return None

    def file_to_send(self, delivery: Delivery) -> Path:
        own = delivery.rendition.own_file
        return self.prepared(delivery) if own else self.source(delivery)

    def claim_to_prepare(self, destinations: tuple[str, ...]) -> Delivery | None:
        """Claim the most urgent delivery to any of the destinations that is not prepared yet."""
        return self.ledger.claim_to_prepare(destinations)

    def claim_to_send(self, destination: str) -> Delivery | None:
        return self.ledger.claim_to_send(destination)

    def set_prepared(self, delivery: Delivery, rendition: Rendition) -> None:
        """Make a delivery ready; a file of its own is at `prepared`, whole and synced."""
        self.ledger.set_prepared(delivery, rendition)

    def set_delivered(self, delivery: Delivery) -> None:
        self._clear(self.ledger.set_delivered(delivery))

    def set_dropped(self, delivery: Delivery, reason: str) -> None:
        self._clear(self.ledger.set_dropped(delivery, reason))

    def set_refused(
        self, delivery: Delivery, reason: str, *, wait_seconds: float, limit: int
    ) -> bool:
        """Count a refusal; return whether that was the last one allowed."""
        failed, ended = self.ledger.set_refused(delivery, reason, wait_seconds, limit)
        self._clear(ended)
        return failed

    def defer(self, delivery: Delivery, wait_seconds: float) -> None:
        """Give a claim back for later; nothing is held against the delivery."""
        self.ledger.defer(delivery, wait_seconds)

    def set_syntax(self, delivery: Delivery, syntax: str) -> None:
        """Have a delivery prepared again, in another syntax."""
        self._clear(self.ledger.set_syntax(delivery, syntax))

    def forget(self, days: float) -> int:
        """Forget instances that were done with more than so many days of running ago."""
        self.ledger.save_clock()
        return self.ledger.forget(days * _DAY_SECONDS)

    def drop_bases(self, days: float) -> None:
        """Keep no previews whose images have not come in so many days of running."""
        self._clear(self.ledger.drop_bases(days * _DAY_SECONDS))

    def free_bytes(self) -> int:
        """Space left on the file system."""
        return shutil.disk_usage(self.folder).free

    def secret(self, name: str) -> bytes:
        """A random key of this spool, made at the first call."""
        path = self.folder / name
        if not path.exists():
            write_atomically(path, secrets.token_bytes(32), mode=0o600)
        return path.read_bytes()

    def _add(
        self, received: Received, routes: tuple[Route, ...], file: Path | None = None
    ) -> Arrival:
        # One at a time: between the name and the row nobody else may end the same instance.
        with self.ledger.exclusive():
            arrival = self.ledger.look_up(received)
            if arrival not in (Arrival.NEW, Arrival.OVERTAKEN):
                return arrival
            if file is not None and arrival is Arrival.NEW:
                file.replace(self._instances / received.digest)
                sync_folder(self._instances)
            ended = self.ledger.add(received, routes)
        self._clear(ended)
        return arrival

    def _clear(self, ended: Ended) -> None:
        # What cannot be removed now is removed at the next start; the row is what counts.
        with suppress(OSError):
            for digest in ended.digests:
                (self._instances / digest).unlink(missing_ok=True)
            for number in ended.deliveries:
                (self._prepared / str(number)).unlink(missing_ok=True)


def _lock(path: Path) -> int:
    """Lock a file for as long as this process lives, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    path.chmod(0o600)
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        raise OptionError(f"{path.parent} is in use by another gateway") from error
    return descriptor
