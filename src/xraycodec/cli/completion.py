"""``xrc completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> int:
    """Print the script that completes xrc's commands and options in a shell.

    \b
    bash (4.4 or later):  xrc completion bash > ~/.local/share/bash-completion/completions/xrc
    zsh:                  xrc completion zsh > DIR/_xrc, where DIR is one of $fpath
    fish:                 xrc completion fish > ~/.config/fish/completions/xrc.fish

    The script asks xrc itself, which must be on the PATH, so that it need not be written again for
    a new version.
    """  # noqa: D301 -- \b is click's
    from xraycodec.cli import xrc

    found = get_completion_class(shell)
    assert found is not None  # click has all of SHELLS
    # Not source() of bash, which starts a bash to find its version: the script may be for another.
    script = found(xrc, {}, "xrc", "_XRC_COMPLETE")
    click.echo(script.source_template % script.source_vars(), nl=False)
    return 0
