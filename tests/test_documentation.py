"""README, docs, spec and cards name what is there: commands, options, links, sections, files."""

from __future__ import annotations

import hashlib
import re
import shlex
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from xraycodec.cli import xrc

ROOT = Path(__file__).parents[1]
CARDS = sorted([*ROOT.glob("src/xraycodec/models/*.md"), *ROOT.glob("weights/*.md")])
# CHANGELOG.md tells of what was; a command in it may be gone.
PAGES = sorted(
    [
        *(ROOT / "README.md", ROOT / "CONTRIBUTING.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("spec/**/*.md"),
        *CARDS,
    ]
)
_FENCED = re.compile(r"^```\w*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MADE = {"FOLDER/results.jsonl"}  # files that commands write


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def every_page(function):
    return pytest.mark.parametrize("page", PAGES, ids=named)(function)


@cache
def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return _FENCED.sub("", page.read_text())


@cache
def inline_code(page: Path) -> tuple[str, ...]:
    return tuple(" ".join(code.split()) for code in re.findall(r"`([^`]+)`", prose(page)))


def command_lines(page: Path) -> Iterator[str]:
    """Every ``xrc ...`` of blocks and of inline code, up to a pipe, a comment or a redirection."""
    blocks = "\n".join(_FENCED.findall(page.read_text())).replace("\\\n", " ")
    indented = re.findall(r"^    (xrc .*)$", prose(page), re.MULTILINE)
    for line in (*blocks.splitlines(), *indented, *inline_code(page)):
        for part in re.split(r"\s[|&;>#]", line.removeprefix("$ ")):
            if re.match(r"\s*xrc\s+\S", part):
                yield part.strip()


def parse(words: list[str]) -> None:
    """Have click parse a command line as ``xrc`` would, without running it.

    Raises:
        click.ClickException: it is wrong, otherwise than by arguments that are not there.
    """
    command: click.Command = xrc
    context = click.Context(xrc, info_name="xrc")
    while isinstance(command, click.Group) and words:
        _, found, words = command.resolve_command(context, words)
        assert found is not None
        command = found
        context = click.Context(command, parent=context, info_name=command.name)
    # Missing values are those of text that names an option alone.
    taken, rest, _ = command.make_parser(context).parse_args(_completed(command, words))
    assert not (rest and not any(isinstance(each, click.Argument) for each in command.params))
    for parameter in command.params:
        value = taken.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            assert set(value.split("|")) <= set(parameter.type.choices), value


def _completed(command: click.Command, words: list[str]) -> list[str]:
    """A command line whose last option gets a value if it lacks one."""
    options = {name: each for each in command.params for name in (*each.opts, *each.secondary_opts)}
    last = options.get(words[-1]) if words else None
    flag = isinstance(last, click.Option) and (last.is_flag or last.count)
    return [*words, "1"] if last is not None and not flag else words


@every_page
def test_commands_are_as_xrc_takes_them(page):
    for line in command_lines(page):
        words = shlex.split(line)[1:]
        if "COMMAND" in words:
            words = words[: words.index("COMMAND")]
        try:
            parse(words)
        except click.ClickException as error:
            pytest.fail(f"{line}: {error.format_message()}")


def test_command_lines_are_found():
    assert sum(len(list(command_lines(page))) for page in PAGES) > 100
    with pytest.raises(click.NoSuchOption):
        parse(["compress", "--no-such-option", "x"])
    with pytest.raises(click.UsageError):
        parse(["comprss", "x"])
    with pytest.raises(AssertionError):
        parse(["transcode", "a", "b", "--syntax", "gif"])


def commands(
    command: click.Command = xrc, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from commands(found, (*path, name))


def options_of(command: click.Command) -> set[str]:
    options = [each for each in command.params if isinstance(each, click.Option)]
    return {name for each in options for name in (*each.opts, *each.secondary_opts)} | {"--help"}


EVERY_OPTION = {name for _, command in commands() for name in options_of(command)}


@every_page
def test_options_are_there(page):
    for code in inline_code(page):
        if not re.match(r"(--|xrc )", code):
            continue  # options of other programs come with their names
        for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", code):
            assert name in EVERY_OPTION, code


def test_help_texts_name_options_that_are_there():
    for path, command in commands():
        texts = [command.help or "", *(getattr(each, "help", "") or "" for each in command.params)]
        for name in re.findall(r"(?<![\w-])--[a-z][a-z-]*", "\n".join(texts)):
            assert name in EVERY_OPTION, path


# What `xrc COMMAND --help` alone describes, for there is no more to say: files, output, logs.
HELP_ALONE = {
    *(
        "--help",
        "--version",
        "--verbose",
        "--quiet",
        "--threads",
        "--output",
        "--force",
        "--format",
    ),
    *("--recursive", "--currency", "--null"),
}


@pytest.mark.parametrize(
    ("path", "command"),
    [each for each in commands() if each[0][:1] != ("train",)],  # the cards show their use
    ids=lambda each: " ".join(each) if isinstance(each, tuple) else "",
)
def test_docs_tell_of_every_option(path, command):
    told = "\n".join(page.read_text() for page in PAGES if page.parent.name == "docs")
    told += (ROOT / "README.md").read_text()
    missing = {
        name
        for name in options_of(command) - HELP_ALONE
        if name.startswith("--") and not re.search(rf"{name}(?![\w-])", told)
    }
    assert not missing, f"xrc {' '.join(path)}"


@cache
def anchors(page: Path) -> set[str]:
    """Names that GitHub gives to headings."""
    headings = re.findall(r"^#+ +(.*)$", prose(page), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings
    }


@every_page
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), target
        if anchor:
            assert anchor in anchors(to), target


@every_page
def test_modules_that_are_named_are_there(page):
    for name in inline_code(page):
        if re.fullmatch(r"[\w/-]+\.(?:py|safetensors|xrcpack|jsonl?)", name) and "/" in name:
            places = (ROOT, ROOT / "src" / "xraycodec", page.parent)
            assert any((place / name).exists() for place in places) or name in MADE, name
        elif re.fullmatch(r"\w+\.py", name):
            assert any(ROOT.glob(f"src/**/{name}")) or (page.parent / name).exists(), name


@cache
def sections(page: Path) -> set[str]:
    return set(re.findall(r"^#+ (\d+(?:\.\d+)*)\.? ", page.read_text(), re.MULTILINE))


def test_sections_of_the_spec_are_there():
    """``spec/format.md``, section 6.1: in pages, docstrings and comments."""
    reference = re.compile(r"spec/([\w-]+\.md)`*\)?,? (?:sections?\s)?(\d+(?:\.\d+)*)(?![\d%])")
    found = 0
    for path in [*PAGES, *ROOT.glob("src/**/*.py"), *ROOT.glob("tests/**/*.py")]:
        text = re.sub(r"\s*\n\s*(?:#\s*)?", " ", path.read_text())
        for name, number in reference.findall(text):
            found += 1
            assert number in sections(ROOT / "spec" / name), f"{named(path)}: {name} {number}"
    assert found > 50


@pytest.mark.parametrize("card", CARDS, ids=named)
def test_a_card_is_of_its_pack(card):
    claimed = re.search(r"File: ([\d,]+) bytes, SHA-256 `(\w{64})`", card.read_text())
    assert claimed is not None
    data = card.with_suffix(".xrcpack").read_bytes()
    assert int(claimed[1].replace(",", "")) == len(data)
    assert claimed[2] == hashlib.sha256(data).hexdigest()


def test_every_pack_has_a_card():
    for pack in ROOT.glob("src/xraycodec/models/*.xrcpack"):
        assert pack.with_suffix(".md").exists(), pack.name


def test_hints_name_packages_and_extras_that_are_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    found = 0
    for path in ROOT.glob("src/**/*.py"):
        calls = re.findall(
            r"missing_package\(\s*[^,]+,\s*['\"]([^'\"]+)['\"],\s*['\"](\w+)['\"]", path.read_text()
        )
        for package, extra in calls:
            found += 1
            names = {re.split(r"[=<>\[]", each)[0] for each in extras[extra]}
            assert re.split(r"[=<>]", package)[0] in names, f"{named(path)}: {package} in {extra}"
    assert found >= 6
    texts = [*PAGES, *ROOT.glob("src/**/*.py")]
    for path in texts:
        # Nothing is published: only a checkout has extras to install.
        assert "xraycodec[" not in path.read_text().replace("torch: xraycodec[", ""), named(path)
        for names in re.findall(r"pip install '?\.\[([\w,]+)\]", path.read_text()):
            assert set(names.split(",")) <= set(extras), named(path)
