"""The gateway's configuration, checked: what the rest of the package reads."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

AS_RECEIVED = "as-received"
PRIVATE = "xrc"
SYNTAXES = (
    AS_RECEIVED,
    PRIVATE,
    "explicit",
    "implicit",
    "jpeg-ls",
    "jpeg2000",
    "htj2k",
    "jpegxl",
    "rle",
)
ANY_TITLE = "*"
LAYERED_CODEC = "wavelet"
"""Of previews: the image follows as a remainder."""
REMAINDER = "xrc-remainder"
"""No syntax of a configuration: the private one, less what the preview has already."""
LAYERED = "xrc-layered"
"""Likewise: the same image, whole."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class ServerTls:
    """Certificates of the listener.

    Attributes:
        certificate: PEM file, the chain from the leaf on.
        key: PEM file, unencrypted.
        authorities: PEM file of the authorities whose clients are let in; ``None`` asks clients
            for no certificate.
    """

    certificate: Path
    key: Path
    authorities: Path | None


@dataclass(frozen=True)
class ClientTls:
    """Certificates towards a destination.

    Attributes:
        authorities: PEM file; ``None`` for the system's.
        certificate, key: our own, where the destination asks for one.
        server_name: the name that the destination's certificate must hold.
    """

    authorities: Path | None
    certificate: Path | None
    key: Path | None
    server_name: str


@dataclass(frozen=True)
class Listen:
    """Where the gateway receives.

    Attributes:
        address, port: of the socket; port 0 takes a free one.
        associations: how many at a time.
        associations_per_host: how many at a time from one IP address.
        idle_seconds: after which an association without a message, or one that stalls within a
            message, is closed.
        least_bytes_per_second: what a sender must keep up while it sends a message.
        any_called_title: accept associations that call another AE title than ours.
        tls: ``None`` for plain TCP.
    """

    address: str
    port: int
    associations: int
    associations_per_host: int
    idle_seconds: float
    least_bytes_per_second: float
    any_called_title: bool
    tls: ServerTls | None


@dataclass(frozen=True)
class Peer:
    """Who may send.

    Attributes:
        ae_title: calling AE title, or `ANY_TITLE`.
        networks: from which it may call.
    """

    ae_title: str
    networks: tuple[Network, ...]

    def admits_address(self, address: str) -> bool:
        host = ipaddress.ip_address(address.split("%")[0])
        if isinstance(host, ipaddress.IPv6Address) and host.ipv4_mapped:
            host = host.ipv4_mapped
        return any(host in network for network in self.networks)

    def admits(self, ae_title: str, address: str) -> bool:
        return self.ae_title in (ANY_TITLE, ae_title) and self.admits_address(address)


@dataclass(frozen=True)
class Limits:
    """What is refused as out of resources (C-STORE status A700), or ends the association.

    Attributes:
        instance_bytes: largest data set.
        queue_instances: instances that are not yet delivered.
        free_bytes: space that must stay free on the spool's file system.
        base_days: how long a preview is kept for the remainder of its image, at most; with 0,
            no remainders are taken.
    """

    instance_bytes: int
    queue_instances: int
    free_bytes: int
    base_days: float


@dataclass(frozen=True)
class Compression:
    """How instances are prepared.

    Attributes:
        processes: of the pool.
        codec: of the private syntax, lattice or stored; both are lossless.
        profile: of lattice, and of completions by it.
        timeout_seconds: after which a preparation has failed.
    """

    processes: int
    codec: str
    profile: Literal["best", "fast"]
    timeout_seconds: float


@dataclass(frozen=True)
class Preview:
    """What goes ahead of an image, lossy.

    Attributes:
        codec: rnn-conv, lattice or `LAYERED_CODEC`.
        ratio: of rnn-conv and `LAYERED_CODEC`.
        max_error: of lattice, in grey levels.
    """

    codec: str
    ratio: float
    max_error: int


@dataclass(frozen=True)
class Retry:
    """When to try again.

    Attributes:
        first_seconds: after the first failure; it doubles with each further one.
        longest_seconds: what it grows to.
        refusals: after how many failures of one instance it is set aside as failed. Failures of
            the destination, such as no connection or a full disk, never count.
    """

    first_seconds: float
    longest_seconds: float
    refusals: int


@dataclass(frozen=True)
class DicomTarget:
    """A DICOM node to send to."""

    ae_title: str
    address: str
    port: int
    associations: int
    timeout_seconds: float
    idle_seconds: float
    tls: ClientTls | None


@dataclass(frozen=True)
class FolderTarget:
    """A folder to file instances in: ``STUDY/SERIES/INSTANCE.dcm``.

    Attributes:
        file_mode, folder_mode: permissions of what is made there, whatever the umask.
    """

    folder: Path
    file_mode: int = 0o600
    folder_mode: int = 0o700


@dataclass(frozen=True)
class Destination:
    """Where instances go, which ones, and in what form.

    Attributes:
        name: in logs, metrics and the spool's state.
        target: a node or a folder.
        syntax: one of `SYNTAXES`.
        fallback: the syntax to try where the node does not accept ``syntax``, or ``None``.
        preview: what goes ahead of each image, or ``None``.
        forward_previews: whether previews that were received are passed on.
        modalities, senders: only these; empty for all.
        retry: when to try again.
    """

    name: str
    target: DicomTarget | FolderTarget
    syntax: str
    fallback: str | None
    preview: Preview | None
    forward_previews: bool
    modalities: tuple[str, ...]
    senders: tuple[str, ...]
    retry: Retry


@dataclass(frozen=True)
class StatusPage:
    """Where the status page, the metrics and the health check are served."""

    address: str
    port: int


@dataclass(frozen=True)
class Config:
    """Everything that the file says.

    Attributes:
        remember_days: how long the identity of a delivered instance is kept, so that it is known
            when it comes again.
    """

    ae_title: str
    spool: Path
    remember_days: float
    log_level: str
    listen: Listen
    peers: tuple[Peer, ...]
    limits: Limits
    compression: Compression
    destinations: tuple[Destination, ...]
    status: StatusPage | None
