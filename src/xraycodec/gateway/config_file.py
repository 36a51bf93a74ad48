"""The configuration as a TOML file, checked whole before anything starts.

``docs/gateway.md`` documents every key. Defaults are here and nowhere else.
"""

from __future__ import annotations

import ipaddress
import tomllib
from pathlib import Path
from typing import Literal, cast

from xraycodec.gateway.config import (
    ANY_TITLE,
    AS_RECEIVED,
    LAYERED_CODEC,
    PRIVATE,
    SYNTAXES,
    ClientTls,
    Compression,
    Config,
    Destination,
    DicomTarget,
    FolderTarget,
    Limits,
    Listen,
    Network,
    Peer,
    Preview,
    Retry,
    ServerTls,
    StatusPage,
)
from xraycodec.gateway.settings import ConfigError, Table

_MAX_PORT = 65535
_MEBIBYTE = 1 << 20
_DAY_SECONDS = 86400
# Permissions of files and folders, by who may read them.
_MODES = {"owner": (0o600, 0o700), "group": (0o640, 0o750), "all": (0o644, 0o755)}


def load(path: Path) -> Config:
    """Read and check a configuration file.

    Relative paths in it are relative to its folder.

    Raises:
        ConfigError: it is no TOML, or a key is missing, unknown or wrong.
        OSError: it cannot be read.
    """
    try:
        values = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(str(path), f"is no TOML: {error}") from error
    return parse(Table(values), path.parent)


def parse(root: Table, folder: Path) -> Config:
    """Check what a file holds; relative paths are relative to ``folder``.

    Raises:
        ConfigError: a key is missing, unknown or wrong.
    """
    gateway = root.required_table("gateway")
    status = root.table("status")
    config = Config(
        ae_title=_ae_title(gateway),
        spool=folder / gateway.text("spool"),
        remember_days=gateway.number("remember_days", 0, 36500, 90),
        log_level=gateway.choice("log_level", ("debug", "info", "warning", "error"), "info"),
        listen=_listen(root.required_table("listen"), folder),
        peers=tuple(_peer(table) for table in root.tables("peer")),
        limits=_limits(root.table("limits") or Table({}, "limits")),
        compression=_compression(root.table("compression") or Table({}, "compression")),
        destinations=tuple(_destination(table, folder) for table in root.tables("destination")),
        status=_status(status) if status else None,
    )
    gateway.finish()
    root.finish()
    if not config.peers:
        raise ConfigError("peer", "is missing; allowed is one [[peer]] or more")
    if not config.destinations:
        raise ConfigError("destination", "is missing; allowed is one [[destination]] or more")
    names = [destination.name for destination in config.destinations]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ConfigError(f"destination[{number}].name", f"{name!r} is there twice")
    return config


def _ae_title(table: Table, *, any_title: bool = False) -> str:
    title = table.text("ae_title")
    if any_title and title == ANY_TITLE:
        return title
    # PS3.5 6.2, AE: no backslash, no control characters; spaces at the ends are not significant.
    sound = title.isascii() and title.isprintable() and "\\" not in title and title == title.strip()
    if not sound or len(title) > 16:
        raise table.error(
            "ae_title",
            f"{title!r}; allowed are 1 to 16 printable ASCII characters, none of them \\",
        )
    return title


def _own_address(table: Table) -> str:
    text = table.text("address", "127.0.0.1")
    try:
        ipaddress.ip_address(text)
    except ValueError:
        raise table.error("address", f"{text!r}; allowed is an IP address") from None
    return text


def _listen(table: Table, folder: Path) -> Listen:
    tls = table.table("tls")
    listen = Listen(
        address=_own_address(table),
        port=table.whole("port", 0, _MAX_PORT),
        associations=table.whole("associations", 1, 256, 16),
        associations_per_host=table.whole("associations_per_host", 1, 256, 8),
        idle_seconds=table.number("idle_seconds", 1, _DAY_SECONDS, 60),
        least_bytes_per_second=table.number("least_bytes_per_second", 1, 1e9, 500),
        any_called_title=table.flag("any_called_title", False),
        tls=_server_tls(tls, folder) if tls else None,
    )
    table.finish()
    return listen


def _server_tls(table: Table, folder: Path) -> ServerTls:
    tls = ServerTls(
        certificate=table.file("certificate", folder),
        key=table.file("key", folder),
        authorities=table.optional_file("authorities", folder),
    )
    table.finish()
    return tls


def _client_tls(table: Table, folder: Path, address: str) -> ClientTls:
    tls = ClientTls(
        authorities=table.optional_file("authorities", folder),
        certificate=table.optional_file("certificate", folder),
        key=table.optional_file("key", folder),
        server_name=table.text("server_name", address),
    )
    if (tls.certificate is None) != (tls.key is None):
        raise table.error("key", "certificate and key go together; one is missing")
    table.finish()
    return tls


def _peer(table: Table) -> Peer:
    networks: list[Network] = []
    for text in table.texts("addresses"):
        try:
            networks.append(ipaddress.ip_network(text))
        except ValueError as error:
            raise table.error(
                "addresses", f"{error}; allowed are 10.1.2.3 and 10.1.0.0/16"
            ) from None
    if not networks:
        raise table.error("addresses", "is empty; allowed is one address or network or more")
    peer = Peer(_ae_title(table, any_title=True), tuple(networks))
    table.finish()
    return peer


def _limits(table: Table) -> Limits:
    limits = Limits(
        instance_bytes=int(table.number("instance_mib", 0.001, 4095, 512) * _MEBIBYTE),
        queue_instances=table.whole("queue_instances", 1, 10**9, 100_000),
        free_bytes=int(table.number("free_mib", 0, 1e9, 1024) * _MEBIBYTE),
        base_days=table.number("base_days", 0, 36500, 7),
    )
    table.finish()
    return limits


def _compression(table: Table) -> Compression:
    profile = table.choice("profile", ("best", "fast"), "best")
    compression = Compression(
        processes=table.whole("processes", 1, 256, 2),
        codec=table.choice("codec", ("lattice", "stored"), "lattice"),
        profile=cast('Literal["best", "fast"]', profile),
        timeout_seconds=table.number("timeout_seconds", 1, 7 * _DAY_SECONDS, 14400),
    )
    table.finish()
    return compression


def _destination(table: Table, folder: Path) -> Destination:
    name = table.text("name")
    if len(name) > 64 or not name.replace("-", "").replace("_", "").isalnum() or not name.isascii():
        raise table.error("name", f"{name!r}; allowed are 1 to 64 of A-Z a-z 0-9 - and _")
    kind = table.choice("kind", ("dicom", "folder"), "dicom")
    retry = table.table("retry") or Table({}, table.key("retry"))
    preview = table.table("preview")
    target: DicomTarget | FolderTarget
    if kind == "folder":
        modes = _MODES[table.choice("access", tuple(_MODES), "owner")]
        target = FolderTarget(folder / table.text("folder"), *modes)
    else:
        target = _dicom_target(table, folder)
    syntax = table.choice("syntax", SYNTAXES, AS_RECEIVED if kind == "dicom" else "explicit")
    fallback = table.choice("fallback", ("", *SYNTAXES), "") if kind == "dicom" else ""
    destination = Destination(
        name=name,
        target=target,
        syntax=syntax,
        fallback=fallback or None,
        preview=_preview(preview) if preview else None,
        forward_previews=table.flag("forward_previews", kind == "folder"),
        modalities=table.texts("modalities", ()),
        senders=table.texts("senders", ()),
        retry=_retry(retry),
    )
    table.finish()
    if destination.preview and destination.syntax != PRIVATE:
        raise table.error("preview", f"syntax is {syntax}; previews go with {PRIVATE} only")
    return destination


def _dicom_target(table: Table, folder: Path) -> DicomTarget:
    tls = table.table("tls")
    address = table.text("address")
    return DicomTarget(
        ae_title=_ae_title(table),
        address=address,
        port=table.whole("port", 1, _MAX_PORT),
        associations=table.whole("associations", 1, 32, 1),
        timeout_seconds=table.number("timeout_seconds", 1, 3600, 60),
        idle_seconds=table.number("idle_seconds", 0, 3600, 10),
        tls=_client_tls(tls, folder, address) if tls else None,
    )


def _preview(table: Table) -> Preview:
    codec = table.choice("codec", ("rnn-conv", "lattice", LAYERED_CODEC), "rnn-conv")
    preview = Preview(
        codec=codec,
        # A base is worth more than a preview that is thrown away; docs/wavelet.md has 30:1.
        ratio=table.number("ratio", 2, 256, 30 if codec == LAYERED_CODEC else 64),
        max_error=table.whole("max_error", 1, 65535, 15),
    )
    table.finish()
    return preview


def _retry(table: Table) -> Retry:
    retry = Retry(
        first_seconds=table.number("first_seconds", 0.01, 3600, 5),
        longest_seconds=table.number("longest_seconds", 0.01, 7 * _DAY_SECONDS, 900),
        refusals=table.whole("refusals", 1, 1000, 8),
    )
    table.finish()
    return retry


def _status(table: Table) -> StatusPage:
    status = StatusPage(_own_address(table), table.whole("port", 0, _MAX_PORT))
    table.finish()
    return status
