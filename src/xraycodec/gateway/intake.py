"""What becomes of an instance that was offered: refused, known, or in the spool for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from xraycodec.errors import CorruptError, ImageError, LimitError
from xraycodec.gateway import remainder
from xraycodec.gateway.config import Config
from xraycodec.gateway.conversion import private_syntax
from xraycodec.gateway.instance import (
    data_set_of,
    describe_received,
    file_pieces,
    identify,
    is_uid,
)
from xraycodec.gateway.logs import Log, describe
from xraycodec.gateway.metrics import Counters
from xraycodec.gateway.records import Arrival, Received
from xraycodec.gateway.routing import routes_of
from xraycodec.gateway.spool import Spool
from xraycodec.gateway.statuses import (
    CANNOT_UNDERSTAND,
    CONFLICT,
    DAMAGED_REMAINDER,
    INVALID_INSTANCE,
    NO_BASE,
    NO_DESTINATION,
    OUT_OF_RESOURCES,
    PUT_TOGETHER,
    SUCCESS,
    WRONG_DATA_SET,
)

_REMAINDER_ARRIVALS = {Arrival.KNOWN: PUT_TOGETHER, Arrival.CONFLICT: CONFLICT}


@dataclass(frozen=True)
class Offer:
    """An instance as C-STORE brings it.

    Attributes:
        sender: calling AE title.
        uid, sop_class: that the command names.
        data_set: encoded.
        transfer_syntax: of the data set.
    """

    sender: str
    uid: str
    sop_class: str
    data_set: bytes | memoryview
    transfer_syntax: str


Answer = tuple[int, str]
"""Status of the response, and the outcome for the metric."""


class Intake:
    """Takes instances into the spool.

    Args:
        config, spool, log, counters: of the gateway.
        on_received: called when there is something new to prepare.
    """

    def __init__(
        self,
        config: Config,
        spool: Spool,
        log: Log,
        counters: Counters,
        on_received: Callable[[], None],
    ) -> None:
        self._config = config
        self._spool = spool
        self._log = log
        self._counters = counters
        self._on_received = on_received

    def take_in(self, offer: Offer) -> Answer:
        """Take an instance in; where that is a success, it is on the disk for good."""
        if not is_uid(offer.uid):
            self._log.warning("store_refused", reason="invalid UID", peer=offer.sender)
            return INVALID_INSTANCE, "invalid UID"
        if len(offer.data_set) > self._config.limits.instance_bytes:
            return self._too_large(offer)
        if offer.transfer_syntax == remainder.REMAINDER_UID:
            return self._take_in_remainder(offer)
        return self._take_in_whole(offer)

    def _take_in_remainder(self, offer: Offer) -> Answer:
        """Put an image together and take it in as if it had come whole."""
        try:
            found = remainder.read(offer.data_set)
        except ImageError as error:
            return self._damaged(offer, error)
        if (offer.uid, offer.sop_class) != (found.uid, found.sop_class):
            return self._wrong_uids(offer)
        base = self._spool.read_base(found.base_digest, found.uid)
        # After the base was looked for: it goes when the image comes, perhaps by another way.
        image = Received(found.uid, found.digest, found.sop_class, private_syntax(), 0)
        arrival = self._spool.ledger.look_up(image)
        if arrival in _REMAINDER_ARRIVALS:
            self._tell(offer, arrival.value)
            return _REMAINDER_ARRIVALS[arrival], arrival.value
        if base is None:
            self._log.warning(
                "remainder_refused",
                instance=self._log.pseudonym(found.uid),
                peer=offer.sender,
                reason="no base",
            )
            return NO_BASE, "no base"
        try:
            data_set = found.whole_of(
                data_set_of(base), private_syntax(), self._config.limits.instance_bytes
            )
        except LimitError:
            return self._too_large(offer)
        except (CorruptError, ImageError) as error:
            return self._damaged(offer, error)
        status, outcome = self._take_in_whole(
            Offer(offer.sender, offer.uid, offer.sop_class, data_set, private_syntax())
        )
        return PUT_TOGETHER if status == SUCCESS else status, outcome

    def _take_in_whole(self, offer: Offer) -> Answer:
        if not self._has_room(len(offer.data_set)):
            self._log.error("store_refused", reason="out of resources", peer=offer.sender)
            return OUT_OF_RESOURCES, "out of resources"
        try:
            identity = identify(offer.data_set, offer.transfer_syntax)
        except ImageError as error:
            self._log.warning("store_refused", peer=offer.sender, error=describe(error))
            return CANNOT_UNDERSTAND, "cannot understand"
        if (offer.uid, offer.sop_class) != (identity.uid, identity.sop_class):
            return self._wrong_uids(offer)
        routes = routes_of(identity, offer.sender, self._config)
        name = self._log.pseudonym(identity.uid)
        if not routes and identity.preview_of is None:
            self._log.warning(
                "store_refused", instance=name, peer=offer.sender, reason="no destination"
            )
            return NO_DESTINATION, "no destination"
        received = describe_received(identity, offer.data_set, offer.transfer_syntax)
        pieces = file_pieces(received, offer.data_set, offer.sender)
        try:
            arrival = self._spool.store(received, routes, pieces)
        except (OSError, sqlite3.Error) as error:
            self._log.error(
                "store_refused", instance=name, peer=offer.sender, error=describe(error)
            )
            return OUT_OF_RESOURCES, "out of resources"
        if arrival is Arrival.NEW:
            self._counters.add("received_bytes_total", len(offer.data_set))
        self._on_received()
        self._tell(offer, arrival.value)
        return CONFLICT if arrival is Arrival.CONFLICT else SUCCESS, arrival.value

    def _tell(self, offer: Offer, outcome: str) -> None:
        level = self._log.warning if outcome == Arrival.CONFLICT.value else self._log.info
        level(
            "received",
            instance=self._log.pseudonym(offer.uid),
            peer=offer.sender,
            outcome=outcome,
            bytes=len(offer.data_set),
        )

    def _too_large(self, offer: Offer) -> Answer:
        self._log.warning("store_refused", reason="too large", peer=offer.sender)
        return OUT_OF_RESOURCES, "too large"

    def _wrong_uids(self, offer: Offer) -> Answer:
        self._log.warning(
            "store_refused", peer=offer.sender, reason="UIDs differ from the data set"
        )
        return WRONG_DATA_SET, "wrong data set"

    def _damaged(self, offer: Offer, error: Exception) -> Answer:
        self._log.warning(
            "remainder_refused",
            instance=self._log.pseudonym(offer.uid),
            peer=offer.sender,
            error=describe(error),
        )
        return DAMAGED_REMAINDER, "damaged remainder"

    def _has_room(self, size_bytes: int) -> bool:
        if self._fits(size_bytes):
            return True
        # What is kept for remainders only saves bytes on the wire; it goes first.
        self._spool.drop_bases(0)
        return self._fits(size_bytes)

    def _fits(self, size_bytes: int) -> bool:
        limits = self._config.limits
        # The instance and what is made of it.
        if self._spool.free_bytes() - 2 * size_bytes < limits.free_bytes:
            return False
        return self._spool.ledger.waiting() < limits.queue_instances
