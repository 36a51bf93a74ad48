"""An association to a DICOM node that is kept open over many instances."""

from __future__ import annotations

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom import AE, _config
from pynetdicom.presentation import build_context

from xraycodec.gateway.config import ClientTls, DicomTarget
from xraycodec.gateway.faults import NotReached, read_prepared
from xraycodec.gateway.listener import MAX_PDU_BYTES
from xraycodec.gateway.remainder import REMAINDER_UID
from xraycodec.gateway.statuses import CONFLICT, PUT_TOGETHER, is_out_of_resources, is_stored

# PS3.8 9.3.2.2: identifiers are the odd numbers from 1 to 255.
_MAX_CONTEXTS = 128


@dataclass(frozen=True)
class Refusal:
    """The node has an instance and does not take it.

    Attributes:
        reason: for the log; no word of the node's.
        of_syntax: it does not accept the transfer syntax for this SOP class.
        of_remainder: what was sent is a remainder, and the image may be taken whole.
    """

    reason: str
    of_syntax: bool = False
    of_remainder: bool = False


def tls_context(tls: ClientTls) -> ssl.SSLContext:
    """TLS 1.2 or later; the node's certificate and name are always checked.

    Raises:
        ssl.SSLError, OSError: a certificate or key cannot be used.
    """
    context = ssl.create_default_context(cafile=tls.authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.certificate is not None:
        context.load_cert_chain(tls.certificate, tls.key)
    return context


class Association:
    """C-STORE user for one node; not for several threads at a time.

    Args:
        ae_title: ours.
        target: the node.
    """

    def __init__(self, ae_title: str, target: DicomTarget) -> None:
        # Files go over the wire as they lie on the disk, and are not decoded on the way.
        _config.STORE_SEND_CHUNKED_DATASET = True
        self._target = target
        self._tls = (
            (tls_context(target.tls), target.tls.server_name) if target.tls is not None else None
        )
        self._ae = AE(ae_title)
        self._ae.acse_timeout = target.timeout_seconds
        self._ae.dimse_timeout = target.timeout_seconds
        self._ae.connection_timeout = target.timeout_seconds
        self._ae.network_timeout = target.timeout_seconds + target.idle_seconds
        self._association: Any = None
        self._proposed: set[tuple[str, str]] = set()
        self._used_at = 0.0
        self._message = 0

    def send(
        self, file: Path, context: tuple[str, str], upcoming: list[tuple[str, str]]
    ) -> Refusal | None:
        """Send one PS3.10 file.

        Args:
            file: what to send.
            context: its SOP class and transfer syntax.
            upcoming: those of what will follow, to be agreed on in the same association.

        Returns:
            ``None`` when the node has it.

        Raises:
            NotReached: see there; the association is closed.
            Unreadable: the file is not there, or cannot be read; nothing was sent.
        """
        # pynetdicom reads while it sends, and an error of the file would pass for one of the node.
        read_prepared(file, 1)
        established = self._association is not None and self._association.is_established
        if not established or context not in self._proposed:
            self.close()
            self._open([context, *(each for each in upcoming if each != context)])
        self._used_at = time.monotonic()
        accepted = {
            (str(each.abstract_syntax), str(each.transfer_syntax[0]))
            for each in self._association.accepted_contexts
        }
        is_remainder = context[1] == REMAINDER_UID
        if context not in accepted:
            reason = "presentation context not accepted"
            return Refusal(reason, of_syntax=True, of_remainder=is_remainder)
        self._message = self._message % 0xFFFF + 1
        try:
            answer = self._association.send_c_store(file, msg_id=self._message)
        except (RuntimeError, OSError) as error:
            self.close()
            raise NotReached("association lost") from error
        status = answer.get("Status")
        if status is None:
            self.close()
            raise NotReached("no answer")
        if status == PUT_TOGETHER if is_remainder else is_stored(status):
            return None
        later = status == CONFLICT or is_out_of_resources(status)
        return Refusal(f"status {status:04X}", of_remainder=is_remainder and not later)

    def close_if_idle(self) -> None:
        """Release an association that was not used for a while."""
        if time.monotonic() - self._used_at >= self._target.idle_seconds:
            self.close()

    def close(self) -> None:
        association, self._association = self._association, None
        if association is not None and association.is_established:
            association.release()

    def _open(self, contexts: list[tuple[str, str]]) -> None:
        contexts = contexts[:_MAX_CONTEXTS]
        try:
            association = self._ae.associate(
                self._target.address,
                self._target.port,
                contexts=[build_context(sop_class, syntax) for sop_class, syntax in contexts],
                ae_title=self._target.ae_title,
                max_pdu=MAX_PDU_BYTES,
                tls_args=self._tls,
            )
        except (OSError, RuntimeError) as error:
            raise NotReached("address not found") from error
        if association.is_established:
            self._association = association
            self._proposed = set(contexts)
            return
        drop_connection(association)
        if association.is_rejected:
            raise NotReached("association rejected")
        # No context accepted: pynetdicom aborts, but the node is there and has answered.
        if association.rejected_contexts:
            self._association = _Closed()
            self._proposed = set(contexts)
            return
        raise NotReached("no connection")


def drop_connection(association: Any) -> None:
    """Close the socket of an association that was not established; pynetdicom leaves it open."""
    association.dul.join(5)
    wrapped = association.dul.socket
    if wrapped is not None and wrapped.socket is not None:
        wrapped.socket.close()


class _Closed:
    """Stands for an association that was ended because none of its contexts was accepted."""

    is_established = False
    accepted_contexts: tuple[Any, ...] = ()
