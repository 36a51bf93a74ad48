"""Outputs keep permissions and times of their inputs; what killed runs left behind goes."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cli_running import names_in, radiograph, run, write_image

OLD_NS = 981_173_106_123_456_789
STALE = f".{'0123456789abcdef' * 2}.tmp"


@pytest.fixture(autouse=True)
def usual_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Path]:
    """A file of each kind that a command takes."""
    chest = write_image(tmp_path / "chest.dcm", radiograph(), "dicom")
    archive, wrapped = tmp_path / "in.dcm.xrc", tmp_path / "wrapped.dcm"
    assert run("compress", "--codec", "stored", chest, "-o", archive).code == 0
    assert run("dicom", "wrap", "--codec", "stored", chest, wrapped).code == 0
    return {"dicom": chest, "xrc": archive, "wrapped": wrapped}


COMMANDS = [
    ("dicom", ("compress", "--codec", "stored"), ("-o",)),
    ("xrc", ("decompress",), ("-o",)),
    ("dicom", ("transcode", "--syntax", "rle"), ()),
    ("dicom", ("dicom", "wrap", "--codec", "stored"), ()),
    ("wrapped", ("dicom", "unwrap"), ()),
]


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("kind", "command", "output"), COMMANDS)
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o4755])
def test_outputs_have_mode_and_time_of_their_input(
    inputs: dict[str, Path],
    kind: str,
    command: tuple[str, ...],
    output: tuple[str, ...],
    mode: int,
) -> None:
    source, target = inputs[kind], inputs[kind].with_name("out.dcm")
    source.chmod(mode)
    os.utime(source, ns=(OLD_NS - 1, OLD_NS))
    assert run(*command, source, *output, target).code == 0
    assert _mode(target) == mode & 0o777
    assert target.stat().st_mtime_ns == OLD_NS
    assert target.stat().st_atime_ns == OLD_NS - 1


@pytest.mark.parametrize(("kind", "command", "output"), COMMANDS)
def test_force_never_widens(
    inputs: dict[str, Path], kind: str, command: tuple[str, ...], output: tuple[str, ...]
) -> None:
    source, target = inputs[kind], inputs[kind].with_name("out.dcm")
    target.write_bytes(b"old")
    for there, given in ((0o600, 0o644), (0o644, 0o600)):
        source.chmod(given)
        target.chmod(there)
        assert run(*command, "-f", source, *output, target).code == 0
        assert target.read_bytes() != b"old"
        assert _mode(target) == 0o600


def test_outputs_of_standard_input_are_new_files(inputs: dict[str, Path], tmp_path: Path) -> None:
    data = inputs["dicom"].read_bytes()
    os.umask(0o027)
    target = tmp_path / "x.xrc"
    assert run("compress", "--codec", "stored", "-", "-o", target, stdin=data).code == 0
    assert _mode(target) == 0o640
    target.chmod(0o600)
    assert run("compress", "-f", "--codec", "stored", "-", "-o", target, stdin=data).code == 0
    assert _mode(target) == 0o600


def test_copies_of_others_have_mode_and_time(tmp_path: Path) -> None:
    study = tmp_path / "study"
    study.mkdir()
    report = study / "report.pdf"
    report.write_bytes(b"%PDF")
    report.chmod(0o600)
    os.utime(report, ns=(OLD_NS, OLD_NS))
    out = tmp_path / "out"
    assert run("compress", "-r", study, "-o", out, "--others", "copy").code == 0
    assert (out / "report.pdf").read_bytes() == b"%PDF"
    assert _mode(out / "report.pdf") == 0o600
    assert (out / "report.pdf").stat().st_mtime_ns == OLD_NS


def test_temporary_files_of_killed_runs_go_where_outputs_are_written(
    inputs: dict[str, Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    for folder in (tmp_path, out):
        (folder / STALE).write_bytes(b"part")
        os.utime(folder / STALE, (10**9, 10**9))
    young, other = out / f".{'f' * 32}.tmp", out / "mine.tmp"
    young.write_bytes(b"part")
    other.write_bytes(b"mine")
    os.utime(other, (10**9, 10**9))
    assert run("compress", "--codec", "stored", inputs["dicom"], "-o", out).code == 0
    assert names_in(out) == [young.name, "chest.dcm.xrc", "mine.tmp"]
    assert (tmp_path / STALE).exists(), "nothing was written there"
