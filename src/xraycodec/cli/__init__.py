"""The command ``xrc``."""

from __future__ import annotations

import sys
from importlib import import_module

import click

_COMMANDS = {
    "compress": "Compress radiographs to .xrc files.",
    "decompress": "Decompress .xrc files.",
    "info": "Show what .xrc files hold, without decoding them.",
    "verify": "Decode .xrc files and check their pixels.",
    "demo": "Compress, decompress and show one radiograph.",
    "train": "Train the networks of a codec.",
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
    try:
        exit_code = xrc.main(standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("xrc: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    sys.exit(exit_code)
