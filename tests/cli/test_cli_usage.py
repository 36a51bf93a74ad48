"""Usage, help and version; values out of range; the other commands' first steps."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from cli_running import names_in, radiograph, read_image, run, write_image

import xraycodec
from xraycodec.cli import xrc
from xraycodec.cli.report import human_size

RNN_CONV = ("--codec", "rnn-conv")
COMMANDS = ("compress", "decompress", "info", "verify", "demo", "train")


def _command(path: str) -> click.Command:
    command: click.Command = xrc
    for name in path.split():
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


def test_version() -> None:
    outcome = run("--version")
    assert (outcome.code, outcome.out) == (0, f"xrc {xraycodec.__version__}\n")


def test_help_names_every_command_and_the_exit_codes() -> None:
    outcome = run("--help")
    assert outcome.code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in outcome.out
        short = run(name, "-h")
        assert short.out == run(name, "--help").out, short
    assert "0 all done, 1 some input failed, 2 wrong usage, 130 interrupted" in outcome.out


@pytest.mark.parametrize("path", [*COMMANDS[:-1], "train rnn-conv"])
def test_help_explains_every_option(path: str) -> None:
    outcome = run(*path.split(), "--help")
    assert outcome.code == 0
    for parameter in _command(path).params:
        if isinstance(parameter, click.Option):
            assert parameter.opts[-1] in outcome.out
            assert parameter.help, f"{parameter.opts[-1]} says nothing of itself"
        else:
            assert parameter.make_metavar(click.Context(_command(path))) in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Usage: xrc"),
        (("shrink",), "No such command 'shrink'"),
        (("compress",), "Missing argument 'INPUT...'"),
        (("compress", "x.png", "--shrink"), "No such option"),
        (
            ("compress", "x.png", "--codec", "rnn-conv", "--ratio", "1.9"),
            "rnn-conv serves 2 to 256",
        ),
        (
            ("compress", "x.png", "--codec", "rnn-conv", "--ratio", "257"),
            "rnn-conv serves 2 to 256",
        ),
        (("compress", "x.png", "--ratio", "nan"), "nan is not a number"),
        (("compress", "x.png", "--ratio", "inf"), "inf is not in the range"),
        (("compress", "x.png", "--codec", "wavelet", "--ratio", "0.5"), "0.5 is not in the range"),
        (
            ("compress", "x.png", "--codec", "wavelet", "--ratio", "9", "--psnr", "40"),
            "psnr and ratio were given; wavelet takes one of them",
        ),
        (("compress", "x.png", "--codec", "wavelet", "--quality", "101"), "101.0 is not in the"),
        (("compress", "x.png", "--codec", "wavelet", "--preset", "chest"), "'chest' is not one of"),
        (("compress", "x.png", "--quality", "50"), "--quality goes with --codec wavelet, not with"),
        (("compress", "x.png", "--ratio", "much"), "'much' is not a valid float"),
        (("compress", "x.png", "--ratio", "8"), "not with the default, lattice; add --codec wav"),
        (("compress", "x.png", "--codec", "lattice", "--ratio", "8"), "rnn-conv, not with lattice"),
        (("compress", "x.png", "--codec", "stored", "--ratio", "8"), "rnn-conv, not with stored"),
        (("compress", "x.png", "--effort", "0"), "--codec wavelet or rnn-conv, not with the"),
        (("compress", "x.png", *RNN_CONV, "--max-error", "0"), "--max-error goes with --codec lat"),
        (("compress", "x.png", *RNN_CONV, "--profile", "best"), "--profile goes with --codec lat"),
        (
            ("compress", "x.png", "--configuration", "paper"),
            "--configuration goes with --codec rnn-conv, not with the default, lattice",
        ),
        (
            ("compress", "x.png", *RNN_CONV, "--configuration", "wide"),
            "'wide' is not one of 'compact', 'paper'",
        ),
        (
            ("compress", "x.png", "--codec", "stored", "--tile", "64"),
            "lattice, rnn-conv or toderici, not",
        ),
        (("compress", "x.png", "--tile", "100"), "tile 100; lattice takes multiples of 8 from 64"),
        (("compress", "x.png", "--tile", "56"), "tile 56; lattice takes multiples of 8 from 64"),
        (("compress", "x.png", "--tile", "4104"), "tile 4104; lattice takes"),
        (
            ("compress", "x.png", *RNN_CONV, "--tile", "64"),
            "tile 64; rnn-conv has networks for",
        ),
        (("compress", "x.png", "--tile", "wide"), "'wide' is not a valid integer"),
        (("compress", "x.png", "--max-error", "-1"), "-1 is not in the range"),
        (("compress", "x.png", "--max-error", "65536"), "lattice takes 0 to 65535"),
        (("compress", "x.png", "--max-error", "0.5"), "'0.5' is not a valid integer"),
        (("compress", "x.png", "--profile", "slow"), "'slow' is not"),
        (("compress", "x.png", "--codec", "jpeg"), "'jpeg' is not one of 'lattice', 'rnn-conv', "),
        (("compress", "x.png", "--threads", "-1"), "-1 is not in the range"),
        (("compress", "x.png", "--threads", "1000000"), "is not in the range"),
        (("compress", "-", "-"), "standard input (-) can be read only once"),
        (("compress", "x.png", "y.png", "-o", "-"), "several inputs cannot share standard output"),
        (("decompress", "x.xrc", "--format", "gif"), "'gif' is not one of"),
        (("decompress", "x.xrc", "--scale", "3"), "'3' is not one of '1', '2', '4', '8'"),
        (("decompress", "x.xrc", "--region", "1,2,3"), "not of the form ROW,COLUMN,ROWS,COLUMNS"),
        (("decompress", "x.xrc", "--region", "1,2,3,4,5"), "not of the form ROW,COLUMN"),
        (("decompress", "x.xrc", "--region", "a,2,3,4"), "not of the form ROW,COLUMN"),
        (("decompress", "x.xrc", "--region", "1,2,3.5,4"), "not of the form ROW,COLUMN"),
        (("decompress", "x.xrc", "--region=-1,2,3,4"), "begins before pixel 0 or has no pixel"),
        (("decompress", "x.xrc", "--region", "1,2,3,0"), "begins before pixel 0 or has no pixel"),
        (("demo", "--ratio", "1"), "1.0 is not in the range"),
        (("train", "rnn-conv"), "Missing option"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert message in outcome.err.replace("\n", " ").replace("  ", " ")
    assert outcome.data == b""


def test_several_inputs_cannot_go_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "x.xrc"
    target.write_bytes(b"precious")
    outcome = run("compress", "-f", "x.png", "y.png", "-o", target)
    assert outcome.code == 2
    assert f"{target} is a file; several inputs need a folder" in outcome.err
    assert target.read_bytes() == b"precious"


def test_a_name_that_no_file_can_have_is_reported_like_any_other() -> None:
    outcome = run("info", "x" * 5000)
    assert outcome.code == 1
    assert outcome.err.endswith(": File name too long\n")


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 << 20, "3.0 MiB"), (5 << 30, "5.0 GiB")],
)
def test_sizes_as_people_read_them(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text


def test_demo_of_a_file(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.png", radiograph(shape=(64, 64)), "png")
    outcome = run("demo", path, "-o", tmp_path / "out", "--json")
    assert outcome.code == 0, outcome.err
    (values,) = outcome.json_lines
    assert values["nominal_ratio"] == 8
    assert len(values["files"]) == len(names_in(tmp_path / "out"))
    assert "Infinity" not in outcome.out


def test_demo_does_not_write_beside_its_input(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.dcm", radiograph(), "dicom")
    before = path.read_bytes()
    outcome = run("demo", path, "-o", tmp_path)
    assert outcome.code == 1
    assert "where results could replace it" in outcome.err
    assert path.read_bytes() == before
    assert read_image(path).bits_stored == 12
    assert names_in(tmp_path) == ["chest.dcm"]


def test_demo_of_what_is_no_image(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("nothing")
    outcome = run("demo", path, "-o", tmp_path / "out")
    assert outcome.code == 1
    assert "no known image format" in outcome.err
    assert names_in(tmp_path) == ["x.txt"]
