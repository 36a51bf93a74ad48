"""``xrc gateway``."""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from pathlib import Path

import click

from xraycodec.errors import OptionError, missing_package


@click.command()
@click.option(
    "--config",
    "config_path",
    required=True,
    metavar="FILE.toml",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The configuration; docs/gateway.md describes every key.",
)
@click.option("--check", is_flag=True, help="Check the configuration and exit.")
@click.option("--retry-failed", is_flag=True, help="Queue again what was set aside as failed.")
@click.option(
    "--rebuild-ledger",
    is_flag=True,
    help="Make a new ledger where it was lost, and queue the instances in the spool again.",
)
@click.option(
    "--pseudonym",
    metavar="UID",
    help="Print what the log calls the instance with this SOP Instance UID, and exit.",
)
def gateway(
    config_path: Path,
    check: bool,
    retry_failed: bool,
    rebuild_ledger: bool,
    pseudonym: str | None,
) -> int:
    """Run a store-and-forward DICOM node.

    Receives by C-STORE, answers Success once an instance is on the disk, compresses, and forwards:
    to another gateway in the private syntax, to DICOM nodes in standard ones, to folders. Runs
    until it is interrupted or terminated; killed at any moment, it loses and doubles nothing.
    The log goes to standard error, a JSON object a line.
    """
    try:
        import pynetdicom  # noqa: F401
    except ImportError:
        raise click.ClickException(
            missing_package("the gateway needs", "pynetdicom", "gateway")
        ) from None
    from xraycodec.gateway.config_file import load
    from xraycodec.gateway.logs import Log, silence_libraries

    try:
        config = load(config_path)
        if pseudonym is not None:
            key = (config.spool / "log-key").read_bytes()
            click.echo(Log(sys.stderr, "error", key).pseudonym(pseudonym))
            return 0
        if check:
            click.echo("the configuration is sound")
            return 0
        from xraycodec.gateway.node import Gateway

        silence_libraries()
        node = Gateway(config, sys.stderr, rebuild_ledger=rebuild_ledger)
        if retry_failed:
            count = node.spool.ledger.retry_failed()
            node.log.info("failed_queued_again", deliveries=count)
        node.start()
    except (OptionError, OSError, sqlite3.Error) as error:
        raise click.ClickException(str(error)) from error
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    node.stop()
    return 0
