"""The queue on the disk: files that are whole, and a ledger of what they are.

::

    incoming/   being written, nobody has been told anything; emptied at the start
    instances/  as received, PS3.10, named by digest; in use while their row is not done
    prepared/   as they will be sent, named by the number of the delivery
    ledger.sqlite3, lock, log-key

A file gets its name before the row that speaks of it is committed, and loses it after the row
that lets go of it is. Killed in between, a file is left that no row speaks of: the next start
removes it. There is no moment at which a row speaks of a file that is not there.
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
from xraycodec.gateway.ledger import Ledger
from xraycodec.gateway.records import Arrival, Delivery, Ended, Received, Rendition, Route


class Spool:
    """The queue; one process at a time owns it.

    Args:
        folder: of the queue; made where it is not there.
        clock: seconds since 1970; tests have their own.

    Raises:
        OptionError: another process owns the spool.
        OSError, sqlite3.Error: the folder cannot be used.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self.folder = folder
        self._clock = clock
        self._incoming = folder / "incoming"
        self._instances = folder / "instances"
        self._prepared = folder / "prepared"
        for needed in (folder, self._incoming, self._instances, self._prepared):
            needed.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock_file = _lock(folder / "lock")
        try:
            self.ledger = Ledger(folder / "ledger.sqlite3")
            sync_folder(folder)
            self._sweep()
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
            with temporary.open("xb") as file:
                file.writelines(content)
                file.flush()
                os.fsync(file.fileno())
            return self._add(received, routes, temporary)
        finally:
            temporary.unlink(missing_ok=True)

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
        return self.ledger.claim_to_prepare(destinations, self._clock())

    def claim_to_send(self, destination: str) -> Delivery | None:
        return self.ledger.claim_to_send(destination, self._clock())

    def set_prepared(self, delivery: Delivery, rendition: Rendition) -> None:
        """Make a delivery ready; a file of its own is at `prepared`, whole and synced."""
        self.ledger.set_prepared(delivery, rendition)

    def set_delivered(self, delivery: Delivery) -> None:
        self._clear(self.ledger.set_delivered(delivery, self._clock()))

    def set_dropped(self, delivery: Delivery, reason: str) -> None:
        self._clear(self.ledger.set_dropped(delivery, reason, self._clock()))

    def set_refused(
        self, delivery: Delivery, reason: str, *, wait_seconds: float, limit: int
    ) -> bool:
        """Count a refusal; return whether that was the last one allowed."""
        now = self._clock()
        failed, ended = self.ledger.set_refused(delivery, reason, now + wait_seconds, limit, now)
        self._clear(ended)
        return failed

    def set_syntax(self, delivery: Delivery, syntax: str) -> None:
        """Have a delivery prepared again, in another syntax."""
        self._clear(self.ledger.set_syntax(delivery, syntax))

    def forget(self, days: float) -> int:
        """Forget instances that were done with more than so many days ago."""
        return self.ledger.forget(self._clock() - days * 86400)

    def drop_bases(self, days: float) -> None:
        """Keep no previews whose images have not come in so many days."""
        now = self._clock()
        self._clear(self.ledger.drop_bases(now - days * 86400, now))

    def free_bytes(self) -> int:
        """Space left on the file system."""
        return shutil.disk_usage(self.folder).free

    def secret(self, name: str) -> bytes:
        """A random key of this spool, made at the first call."""
        path = self.folder / name
        if not path.exists():
            write_atomically(path, secrets.token_bytes(32))
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
            ended = self.ledger.add(received, routes, self._clock())
        self._clear(ended)
        return arrival

    def _clear(self, ended: Ended) -> None:
        # What cannot be removed now is removed at the next start; the row is what counts.
        with suppress(OSError):
            for digest in ended.digests:
                (self._instances / digest).unlink(missing_ok=True)
            for number in ended.deliveries:
                (self._prepared / str(number)).unlink(missing_ok=True)

    def _sweep(self) -> None:
        """Remove the files that a kill left without a row."""
        digests, deliveries = self.ledger.files_in_use()
        names = {str(number) for number in deliveries}
        for folder, kept in (
            (self._incoming, set()),
            (self._instances, digests),
            (self._prepared, names),
        ):
            for path in folder.iterdir():
                if path.name not in kept:
                    path.unlink()


def _lock(path: Path) -> int:
    """Lock a file for as long as this process lives, however it ends."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
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
