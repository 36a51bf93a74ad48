"""The command ``xrc``."""

from __future__ import annotations

import os
import signal
import sys
import threading
from _thread import interrupt_main
from importlib import import_module
from types import FrameType
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

_COMMANDS = {
    "compress": "Compress radiographs to .xrc files.",
    "decompress": "Decompress .xrc files.",
    "info": "Show what .xrc files hold, without decoding them.",
    "verify": "Decode .xrc files and check their pixels.",
    "archive": "Compress trees, lists and buckets of radiographs, and get them back.",
    "dicom": "Wrap DICOM files in the private transfer syntax, and unwrap them.",
    "transcode": "Write DICOM files in another transfer syntax.",
    "gateway": "Receive, compress and forward DICOM objects.",
    "demo": "Compress, decompress and show one radiograph.",
    "train": "Train the networks of a codec.",
    "benchmark": "Reproduce the paper's evaluation, and compare with codecs in use.",
    "completion": "Print the script that completes commands in a shell.",
    "man": "Print manual pages, or write them to a folder.",
}
INTERRUPTED = 130


class _LazyGroup(click.Group):
    """Loads a command's module when it runs; ``xrc --help`` needs none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command = getattr(import_module(f"xraycodec.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        # click's own would import every command's module for the text beside its name.
        commands = [
            CompletionItem(name, help=text)
            for name, text in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


def _print_version(ctx: click.Context, _: click.Parameter, asked: bool) -> None:
    if asked:
        from xraycodec import __version__

        click.echo(f"xrc {__version__}")
        ctx.exit()


@click.group(cls=_LazyGroup, name="xrc", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_print_version,
    help="Show the version and exit.",
)
def xrc() -> None:
    """Compress X-ray images.

    Exit codes: 0 all done, 1 some input failed, 2 wrong usage, 130 interrupted.
    """


@xrc.result_callback()
def _exit(exit_code: int) -> None:
    # In click's standalone mode, too, what a command returns is the process's exit code.
    click.get_current_context().exit(exit_code)


def main() -> None:
    """Run ``xrc`` and exit; an interrupt leaves no partial file and no traceback."""
    seen: list[int] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        seen.append(number)
        raise KeyboardInterrupt

    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, interrupt)
        sys.unraisablehook = _interrupt_again
    try:
        exit_code = xrc.main(standalone_mode=False)
    except click.exceptions.Abort:
        _exit_interrupted()
    except click.ClickException as error:
        error.show()
        exit_code = error.exit_code
    except Exception:
        # An interrupt inside of an extension's import comes out as an ImportError, and others of
        # the sort; whatever it became, the user knows why.
        if not seen:
            raise
        _exit_interrupted()
    if seen:
        _exit_interrupted()
    sys.exit(exit_code)


def _interrupt_again(lost: sys.UnraisableHookArgs) -> None:
    """Repeat an interrupt that hit a callback of a library, where Python prints and drops it."""
    if issubclass(lost.exc_type, KeyboardInterrupt):
        threading.Timer(0.05, interrupt_main).start()
    else:
        sys.__unraisablehook__(lost)


def _exit_interrupted() -> NoReturn:
    click.echo("xrc: interrupted", err=True)
    sys.stdout.flush()
    # Not sys.exit: where the interrupt hit code that libraries run from strings, Python would at
    # its end still die of the signal. Files have been closed on the way here.
    os._exit(INTERRUPTED)
