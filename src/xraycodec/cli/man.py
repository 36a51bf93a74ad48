"""``xrc man``: manual pages, in roff, from the commands themselves."""

from __future__ import annotations

import re
from collections.abc import Iterator
from inspect import cleandoc
from pathlib import Path

import click

from xraycodec.cli import options

SECTION = "1"

_EXIT_STATUS = (
    ("0", "All done."),
    ("1", "Some input failed; the others were done."),
    ("2", "Wrong usage; nothing was done."),
    ("130", "Interrupted; no partial output was left."),
)
_OPTION = re.compile(r"(?<![\w/-])(--?[a-z][a-z-]*)(?![\w.-])")


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False),
    metavar="DIR",
    help="Write every page into this folder, made if it is not there: xrc.1, xrc-compress.1, ...",
)
@options.force
@click.argument("command", nargs=-1, metavar="[COMMAND]...")
def man(command: tuple[str, ...], output: str | None, force: bool) -> int:
    """Print the manual page of xrc, or of a COMMAND, in roff; or write all of them.

    xrc man compress | man -l - shows one. With --output, man finds them in a folder such as
    ~/.local/share/man/man1.
    """
    from xraycodec.cli import xrc

    pages = dict(_pages(xrc, None))
    if output is None:
        name = "-".join(("xrc", *command))
        if name not in pages:
            raise click.UsageError(f"No such command {' '.join(command)!r}.")
        click.echo(pages[name], nl=False)
        return 0
    if command:
        raise click.UsageError("--output writes the pages of all commands; leave out COMMAND")
    return _write(pages, Path(output), overwrite=force)


def _write(pages: dict[str, str], folder: Path, *, overwrite: bool) -> int:
    from xraycodec.errors import OptionError
    from xraycodec.files import write_atomically

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, page in pages.items():
            path = folder / f"{name}.{SECTION}"
            write_atomically(path, page.encode(), overwrite=overwrite)
    except (OSError, OptionError) as error:
        click.echo(f"xrc: {error}", err=True)
        return 1
    return 0


def _pages(
    command: click.Command, parent: click.Context | None, name: str = "xrc"
) -> Iterator[tuple[str, str]]:
    """Names and texts of the pages of a command and of those below it."""
    # As click itself makes one: with the settings that give every command its -h.
    context = click.Context(command, info_name=name, parent=parent, **command.context_settings)
    with context:  # help texts may ask for the command that they belong to
        yield _page_name(context.command_path), _page(command, context)
    for below, each in _below(command, context):
        yield from _pages(each, context, below)


def _below(command: click.Command, context: click.Context) -> list[tuple[str, click.Command]]:
    if not isinstance(command, click.Group):
        return []
    found = ((name, command.get_command(context, name)) for name in command.list_commands(context))
    return [(name, each) for name, each in found if each is not None and not each.hidden]


def _page(command: click.Command, context: click.Context) -> str:
    from xraycodec import __version__

    page_name = _page_name(context.command_path)
    paragraphs = _paragraphs(command.help or "")
    lines = [
        f'.TH {_quoted(page_name.upper())} {SECTION} "" {_quoted(f"xrc {__version__}")}'
        ' "xraycodec manual"',
        ".SH NAME",
        f"{_escaped(page_name)} \\- {_escaped(_summary(paragraphs))}",
        ".SH SYNOPSIS",
        f"\\fB{_escaped(context.command_path)}\\fR"
        f" {_escaped(' '.join(command.collect_usage_pieces(context)))}",
        ".SH DESCRIPTION",
    ]
    for number, (text, verbatim) in enumerate(paragraphs):
        lines += [".PP"] if number else []
        lines += [".nf", *map(_text, text.split("\n")), ".fi"] if verbatim else [_text(text)]
    options_found = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and (record := parameter.get_help_record(context)) is not None
    ]
    if options_found:
        lines.append(".SH OPTIONS")
        for flags, text in options_found:
            lines += [".TP", f"\\fB{_escaped(flags)}\\fR", _text(_one_line(text))]
    below = _below(command, context)
    if below:
        lines.append(".SH COMMANDS")
        for name, each in below:
            page = _page_name(f"{context.command_path} {name}")
            short = _summary(_paragraphs(each.help or ""))
            lines += [".TP", f".BR {_escaped(page)} ({SECTION})", _text(short)]
    lines.append(".SH EXIT STATUS")
    for code, text in _EXIT_STATUS:
        lines += [".TP", f".B {code}", text]
    if context.parent is not None:
        above = _page_name(context.parent.command_path)
        lines += [".SH SEE ALSO", f".BR {_escaped(above)} ({SECTION})"]
    return "\n".join(lines) + "\n"


def _page_name(command_path: str) -> str:
    return command_path.replace(" ", "-")


def _paragraphs(text: str) -> list[tuple[str, bool]]:
    """Paragraphs of a help text, and whether their lines stay as they are, as click marks them."""
    found = []
    for block in re.split(r"\n\s*\n", cleandoc(text).split("\f")[0].strip()):
        verbatim = block.startswith("\b")
        found.append((block[1:].strip("\n") if verbatim else _one_line(block), verbatim))
    return found


def _summary(paragraphs: list[tuple[str, bool]]) -> str:
    """The first sentence, without its full stop."""
    return re.split(r"\.(?:\s|$)", paragraphs[0][0], maxsplit=1)[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _text(text: str) -> str:
    """A line of running text, with options in bold."""
    pieces = _OPTION.split(text)
    pieces[::2] = map(_escaped, pieces[::2])
    pieces[1::2] = (rf"\fB{_escaped(option)}\fR" for option in pieces[1::2])
    line = "".join(pieces)
    return rf"\&{line}" if line[:1] in (".", "'") else line  # or it were a request


def _escaped(text: str) -> str:
    """Text that roff takes as it stands: backslashes, and hyphens that are minus signs."""
    return text.replace("\\", r"\e").replace("-", r"\-")


def _quoted(text: str) -> str:
    """One argument of a request."""
    return '"' + _escaped(text).replace('"', r"\(dq") + '"'
