"""What the gateway knows of every instance: SQLite, one transaction a step.

An instance is a row from its arrival until it is forgotten, long after its files are gone: that
is how it is known when it comes again. A delivery is what one destination is owed of it.

::

    received ──▶ prepared ──▶ delivered
        │  ▲         │ └────▶ failed      refused too often; kept until it is asked for again
        │  └─────────┘ (in another syntax)
        └──────────────────▶ dropped      a preview whose image has overtaken it

A preview that its image may follow as a remainder is kept by a delivery to `OURSELVES`, which
nobody makes: it stays received until the image comes and is then dropped like any other, or is
dropped for its age.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from xraycodec.gateway.ledger_file import LedgerFile
from xraycodec.gateway.ledger_sql import (
    BASE_OF,
    BEGIN_PREVIEW,
    HELD_BASE,
    IS_BASE_IN_USE,
    NEXT_TO_PREPARE,
    NEXT_TO_SEND,
    OLD_BASES,
    OLDEST,
    OPEN_PREVIEWS,
)
from xraycodec.gateway.records import (
    Arrival,
    Delivery,
    Ended,
    Part,
    Received,
    Rendition,
    Route,
)


class Ledger(LedgerFile):
    """The state; any thread may call, one at a time gets in.

    Args:
        path, clock: as `LedgerFile` has them.

    Raises:
        OSError, sqlite3.Error: as `LedgerFile`.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(path, clock)
        self._claimed: set[int] = set()

    def look_up(self, received: Received) -> Arrival:
        """Tell what would become of an instance, without taking it in."""
        with self.transaction() as sql:
            return self._look_up(sql, received)

    def add(self, received: Received, routes: tuple[Route, ...]) -> Ended:
        """Take in an instance that `look_up` called new or overtaken.

        Previews of it that are not on their way yet are dropped.
        """
        with self.transaction() as sql:
            overtaken = self._look_up(sql, received) is Arrival.OVERTAKEN
            row = sql.execute(
                "INSERT INTO instance (uid, digest, sop_class, transfer_syntax, size_bytes,"
                " preview_of, received_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (
                    *(received.uid, received.digest, received.sop_class),
                    *(received.transfer_syntax, received.size_bytes, received.preview_of),
                    self.now(),
                ),
            )
            instance = row.lastrowid
            assert instance is not None
            for route in () if overtaken else routes:
                sql.execute(
                    "INSERT INTO delivery (instance, destination, part, syntax, state)"
                    " VALUES (?, ?, ?, ?, 'received')",
                    (instance, route.destination, int(route.part), route.syntax),
                )
            ended = self._drop_previews(sql, received.uid)
            return ended + self._end_if_done(sql, instance)

    def claim_to_prepare(self, destinations: tuple[str, ...]) -> Delivery | None:
        """Claim the most urgent delivery to any of the destinations that is not prepared yet."""
        return self._claim(NEXT_TO_PREPARE, json.dumps(destinations))

    def claim_to_send(self, destination: str) -> Delivery | None:
        """Claim the most urgent delivery to a destination that is prepared and due.

        Of a preview it is noted that sending has begun: whatever comes of it, the destination may
        have it from then on.
        """
        return self._claim(NEXT_TO_SEND, destination, begins=True)

    def contexts(self, destination: str) -> list[tuple[str, str]]:
        """SOP class and transfer syntax of what waits for a destination, the next ones first."""
        with self.transaction() as sql:
            rows = sql.execute(
                "SELECT sop_class, transfer_syntax FROM delivery WHERE destination = ?"
                " AND state = 'prepared' GROUP BY 1, 2 ORDER BY min(part), min(id)",
                (destination,),
            )
            return [(sop_class, syntax) for sop_class, syntax in rows]

    def previews_at(self, uid: str, destination: str) -> list[tuple[str, str]]:
        """SOP class and instance UID of the previews of an image that a destination may have."""
        with self.transaction() as sql:
            return list(
                sql.execute(
                    "SELECT coalesce(p.sop_class, q.sop_class), coalesce(p.uid, q.uid)"
                    " FROM instance q JOIN delivery p ON p.instance = q.id WHERE q.preview_of = ?"
                    " AND p.destination = ? AND p.begun ORDER BY q.id",
                    (uid, destination),
                )
            )

    def base_of(self, delivery: Delivery) -> int | None:
        """Number of the delivery that sent an image's preview, if its destination has it."""
        with self.transaction() as sql:
            row = sql.execute(BASE_OF, (delivery.id,)).fetchone()
            return int(row[0]) if row else None

    def holds_base(self, digest: str, image_uid: str) -> bool:
        """Whether a preview of an image is here that its remainder may need."""
        with self.transaction() as sql:
            return sql.execute(HELD_BASE, (digest, image_uid)).fetchone() is not None

    def drop_bases(self, seconds: float) -> Ended:
        """Keep no previews whose images have not come in so many seconds."""
        with self.transaction() as sql:
            ended = Ended()
            for delivery, instance in sql.execute(OLD_BASES, (self.now() - seconds,)).fetchall():
                self._end(sql, delivery, "dropped", "its image has not come")
                ended = ended + self._end_if_done(sql, instance)
            return ended

    def release(self, delivery: Delivery) -> None:
        """Give a claim back; nothing happened."""
        with self._lock:
            self._claimed.discard(delivery.id)

    def defer(self, delivery: Delivery, wait_seconds: float) -> None:
        """Give a claim back for later; nothing is held against the delivery."""
        with self.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET due_at = ? WHERE id = ?",
                (self.now() + wait_seconds, delivery.id),
            )
            self._claimed.discard(delivery.id)

    def set_prepared(self, delivery: Delivery, rendition: Rendition) -> None:
        with self.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET state = 'prepared', uid = ?, sop_class = ?,"
                " transfer_syntax = ?, size_bytes = ?, own_file = ?"
                " WHERE id = ? AND state = 'received'",
                (
                    *(rendition.uid, rendition.sop_class, rendition.transfer_syntax),
                    *(rendition.size_bytes, rendition.own_file, delivery.id),
                ),
            )
            self._claimed.discard(delivery.id)

    def set_delivered(self, delivery: Delivery) -> Ended:
        """End a delivery; with an image's, the withdrawal of its previews begins."""
        with self.transaction() as sql:
            files = [delivery.id]
            if delivery.part is Part.IMAGE:
                files += [base for (base,) in sql.execute(BASE_OF, (delivery.id,))]
            self._end(sql, delivery.id, "delivered")
            if sql.execute(IS_BASE_IN_USE, (delivery.id,)).fetchone():
                files = []
            if delivery.part is Part.IMAGE:
                sql.execute(
                    "INSERT OR IGNORE INTO delivery (instance, destination, part, syntax, state)"
                    " SELECT ?, ?, ?, 'explicit', 'received' WHERE EXISTS (SELECT 1 FROM instance q"
                    " JOIN delivery p ON p.instance = q.id WHERE q.preview_of = ?"
                    " AND p.destination = ? AND p.begun)",
                    (
                        *(delivery.instance, delivery.destination, int(Part.WITHDRAWAL)),
                        *(delivery.instance_uid, delivery.destination),
                    ),
                )
            self._claimed.discard(delivery.id)
            return self._end_if_done(sql, delivery.instance, *files)

    def set_dropped(self, delivery: Delivery, reason: str) -> Ended:
        """Give a delivery up for good: a preview that cannot be made, a withdrawal of nothing."""
        with self.transaction() as sql:
            self._end(sql, delivery.id, "dropped", reason)
            self._claimed.discard(delivery.id)
            return self._end_if_done(sql, delivery.instance, delivery.id)

    def set_refused(
        self, delivery: Delivery, reason: str, wait_seconds: float, limit: int
    ) -> tuple[bool, Ended]:
        """Count a refusal; try again after so many seconds, or never after ``limit`` of them.

        Returns:
            Whether the delivery has failed for good, and what is of no use any more.
        """
        with self.transaction() as sql:
            self._claimed.discard(delivery.id)
            (overtaken,) = sql.execute(
                "SELECT EXISTS (SELECT 1 FROM instance p JOIN instance i ON i.uid = p.preview_of"
                " WHERE p.id = ?)",
                (delivery.instance,),
            ).fetchone()
            final = delivery.attempts + 1 >= limit
            if overtaken or (final and delivery.part is Part.PREVIEW):
                self._end(sql, delivery.id, "dropped", reason)
                return False, self._end_if_done(sql, delivery.instance, delivery.id)
            sql.execute(
                "UPDATE delivery SET attempts = attempts + 1, due_at = ?, reason = ?,"
                " state = CASE WHEN ? THEN 'failed' ELSE state END WHERE id = ?",
                (self.now() + wait_seconds, reason, final, delivery.id),
            )
            return final, Ended()

    def set_syntax(self, delivery: Delivery, syntax: str) -> Ended:
        """Have a delivery prepared again, in another syntax."""
        with self.transaction() as sql:
            sql.execute(
                "UPDATE delivery SET state = 'received', syntax = ?, uid = NULL, sop_class = NULL,"
                " transfer_syntax = NULL, size_bytes = NULL, own_file = 0 WHERE id = ?",
                (syntax, delivery.id),
            )
            self._claimed.discard(delivery.id)
            return Ended(deliveries=(delivery.id,))

    def retry_failed(self) -> int:
        """Queue everything that failed; return how many deliveries that are."""
        with self.transaction() as sql:
            return sql.execute(
                "UPDATE delivery SET state = CASE WHEN uid IS NULL THEN 'received' ELSE 'prepared'"
                " END, attempts = 0, due_at = 0 WHERE state = 'failed'"
            ).rowcount

    def forget(self, seconds: float) -> int:
        """Forget instances whose last delivery ended so many seconds ago; return how many."""
        before = self.now() - seconds
        with self.transaction() as sql:
            return sql.execute("DELETE FROM instance WHERE done_at < ?", (before,)).rowcount

    def counts(self) -> dict[tuple[str, str], int]:
        """Deliveries by destination and state, those that are not over."""
        with self.transaction() as sql:
            rows = sql.execute(
                "SELECT destination, state, count(*) FROM delivery"
                " WHERE state IN ('received', 'prepared', 'failed') GROUP BY 1, 2"
            )
            return {(destination, state): count for destination, state, count in rows}

    def longest_waits(self) -> dict[str, float]:
        """Seconds since the instance arrived that waits longest for each destination."""
        with self.transaction() as sql:
            return {name: self.now() - arrived for name, arrived in sql.execute(OLDEST)}

    def waiting(self) -> int:
        """Instances whose files are still held."""
        with self.transaction() as sql:
            (count,) = sql.execute("SELECT count(*) FROM instance WHERE done_at IS NULL").fetchone()
            return int(count)

    def _claim(self, query: str, whose: str, *, begins: bool = False) -> Delivery | None:
        with self.transaction() as sql:
            rows = sql.execute(query, (self.now(), whose, len(self._claimed) + 1)).fetchall()
            row = next((row for row in rows if row[0] not in self._claimed), None)
            if row is None:
                return None
            if begins:
                sql.execute(BEGIN_PREVIEW, (row[0],))
            self._claimed.add(row[0])
            return _delivery(row)

    @staticmethod
    def _look_up(sql: sqlite3.Connection, received: Received) -> Arrival:
        found = sql.execute("SELECT digest FROM instance WHERE uid = ?", (received.uid,)).fetchone()
        if found is not None:
            return Arrival.KNOWN if found[0] == received.digest else Arrival.CONFLICT
        image = sql.execute("SELECT 1 FROM instance WHERE uid = ?", (received.preview_of,))
        return Arrival.OVERTAKEN if image.fetchone() else Arrival.NEW

    def _drop_previews(self, sql: sqlite3.Connection, uid: str) -> Ended:
        rows = sql.execute(OPEN_PREVIEWS, (uid,)).fetchall()
        ended = Ended()
        for delivery, instance in rows:
            if delivery not in self._claimed:
                self._end(sql, delivery, "dropped", "overtaken by its image")
                ended = ended + self._end_if_done(sql, instance, delivery)
        return ended

    @staticmethod
    def _end(sql: sqlite3.Connection, delivery: int, state: str, reason: str | None = None) -> None:
        sql.execute(
            "UPDATE delivery SET state = ?, reason = ? WHERE id = ?", (state, reason, delivery)
        )

    def _end_if_done(self, sql: sqlite3.Connection, instance: int, *deliveries: int) -> Ended:
        """End an instance whose deliveries are all over."""
        done = sql.execute(
            "UPDATE instance SET done_at = ? WHERE id = ? AND NOT EXISTS (SELECT 1 FROM delivery"
            " WHERE instance = ? AND state IN ('received', 'prepared', 'failed'))"
            " RETURNING digest",
            (self.now(), instance, instance),
        ).fetchall()
        return Ended(tuple(digest for (digest,) in done), deliveries)


def _delivery(row: tuple[Any, ...]) -> Delivery:
    number, instance, instance_uid, digest, destination, part, syntax, attempts = row[:8]
    uid, sop_class, transfer_syntax, size_bytes, own_file = row[8:]
    return Delivery(
        id=number,
        instance=instance,
        instance_uid=instance_uid,
        digest=digest,
        destination=destination,
        part=Part(part),
        syntax=syntax,
        attempts=attempts,
        rendition=Rendition(uid, sop_class, transfer_syntax, size_bytes, bool(own_file)),
    )
