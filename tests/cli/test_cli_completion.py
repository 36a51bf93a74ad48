"""Shell completion and manual pages, which both come from the commands."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from cli_running import names_in, run
from click.shell_completion import BashComplete

import xraycodec
from xraycodec.cli import xrc
from xraycodec.cli.completion import SHELLS
from xraycodec.codecs.registry import NAMES


def commands(group: click.Group = xrc, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every command, by its name and those above it."""
    found = [path]
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append((*path, name))
    return found


class TestCompletion:
    @pytest.mark.parametrize("shell", SHELLS)
    def test_scripts(self, shell):
        outcome = run("completion", shell)
        assert outcome.code == 0
        assert f"_XRC_COMPLETE={shell}_complete" in outcome.out
        program = shutil.which(shell)
        if program is not None:
            done = subprocess.run(
                [program, "-n"], input=outcome.data, capture_output=True, timeout=600, check=False
            )
            assert (done.returncode, done.stderr) == (0, b"")

    def test_other_shells(self):
        outcome = run("completion", "csh")
        assert outcome.code == 2
        assert "'csh' is not one of 'bash', 'zsh', 'fish'" in outcome.err

    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            ("xrc comp", {"compress", "completion"}),
            ("xrc dicom ", {"wrap", "unwrap"}),
            ("xrc compress --codec ", set(NAMES)),
            ("xrc compress --max-e", {"--max-error", "--max-elements", "--max-expansion"}),
            ("xrc completion z", {"zsh"}),
            ("xrc --vers", {"--version"}),
            ("xrc compress --nothing", set()),
        ],
    )
    def test_of_a_line(self, monkeypatch, line, expected):
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", str(line.count(" ")))
        found = BashComplete(xrc, {}, "xrc", "_XRC_COMPLETE").complete()
        assert set(found.split()) == {f"plain,{word}" for word in expected}

    def test_names_of_commands_need_none_of_their_modules(self):
        script = (
            "from click import Context\n"
            "from xraycodec.cli import xrc\n"
            "import sys\n"
            "print(len(xrc.shell_complete(Context(xrc), '')), 'numpy' in sys.modules)"
        )
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=True
        )
        assert done.stdout == f"{len(xrc.list_commands(click.Context(xrc)))} False\n"

    @pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
    def test_in_bash(self, program_folder):
        script = (
            f'PATH="{program_folder}:$PATH"; source <(xrc completion bash)\n'
            "COMP_WORDS=(xrc decompress --scale '') COMP_CWORD=3 COMPREPLY=()\n"
            '_xrc_completion xrc; echo "${COMPREPLY[@]}"; complete -p xrc'
        )
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=600, check=True
        )
        values, registered = done.stdout.splitlines()
        assert values == "1 2 4 8"
        assert registered == "complete -o nosort -F _xrc_completion xrc"

    @pytest.mark.skipif(shutil.which("fish") is None, reason="there is no fish")
    def test_in_fish(self, program_folder):
        script = (
            f'set -x PATH "{program_folder}" $PATH; xrc completion fish | source\n'
            'complete -C "xrc decompress --scale "'
        )
        done = subprocess.run(
            ["fish", "--no-config", "-c", script],
            capture_output=True, text=True, timeout=600, check=True,
        )  # fmt: skip
        assert done.stdout.split() == ["1", "2", "4", "8"]


@pytest.fixture
def program_folder(tmp_path) -> Path:
    """Folder of an ``xrc`` that a shell can start."""
    program = tmp_path / "xrc"
    program.write_text(f"#!{sys.executable}\nimport sys\nfrom xraycodec.cli import main\nmain()\n")
    program.chmod(0o755)
    return tmp_path


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("man") / "man1"
    assert run("man", "--output", folder).code == 0
    return folder


class TestManualPages:
    def test_there_is_one_of_every_command(self, pages):
        expected = ["-".join(("xrc", *path)) + ".1" for path in commands()]
        assert names_in(pages) == sorted(expected)

    def test_each_tells_of_every_option_and_of_its_help(self, pages):
        for path in commands():
            command: click.Command = xrc
            for name in path:
                assert isinstance(command, click.Group)
                found = command.get_command(click.Context(command), name)
                assert found is not None
                command = found
            page = (pages / ("-".join(("xrc", *path)) + ".1")).read_text()
            plain = page.replace("\\fB", "").replace("\\fR", "").replace("\\-", "-")
            for parameter in command.params:
                if isinstance(parameter, click.Option) and not parameter.hidden:
                    assert parameter.opts[-1] in plain
                    assert parameter.help
                    assert " ".join(parameter.help.split()) in plain
            assert f'"xrc {xraycodec.__version__}"' in page
            if isinstance(command, click.Group):
                for name in command.list_commands(click.Context(command)):
                    assert f".BR {'-'.join(('xrc', *path, name))} (1)" in plain

    @pytest.mark.skipif(shutil.which("groff") is None, reason="there is no groff")
    def test_groff_has_nothing_to_warn_of(self, pages):
        for page in sorted(pages.iterdir()):
            done = subprocess.run(
                ["groff", "-man", "-Tutf8", "-ww", "-b", "-P-cbu", page],
                capture_output=True,
                text=True,
                timeout=600,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"):
                assert section in done.stdout

    def test_what_begins_like_a_request_is_text(self):
        from xraycodec.cli.man import _text

        assert _text(".xrc files, 'and --codec a\\b") == (
            "\\&.xrc files, 'and \\fB\\-\\-codec\\fR a\\eb"
        )

    def test_one_page(self, pages):
        assert run("man").out == (pages / "xrc.1").read_text()
        assert run("man", "dicom", "wrap").out == (pages / "xrc-dicom-wrap.1").read_text()

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("shrink",), "No such command 'shrink'"),
            (("dicom", "shrink"), "No such command 'dicom shrink'"),
            (("compress", "--output", "x"), "leave out COMMAND"),
        ],
    )
    def test_wrong_usage(self, arguments, message):
        outcome = run("man", *arguments)
        assert (outcome.code, outcome.data) == (2, b"")
        assert message in outcome.err

    def test_pages_that_are_there_are_kept(self, tmp_path):
        (tmp_path / "xrc-info.1").write_text("precious")
        outcome = run("man", "--output", tmp_path)
        assert outcome.code == 1
        assert "xrc-info.1 exists; -f overwrites it" in outcome.err
        assert (tmp_path / "xrc-info.1").read_text() == "precious"
        assert run("man", "-f", "--output", tmp_path).code == 0
        assert (tmp_path / "xrc-info.1").read_text().startswith('.TH "XRC\\-INFO" 1 ')
