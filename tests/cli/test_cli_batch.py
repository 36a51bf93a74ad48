"""Many inputs: what is broken, what is other, what is there already, the summary, --jobs."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from cli_running import command, names_in, radiograph, read_image, run, same, write_image
from rich.console import Console
from rich.progress import Progress

from xraycodec.cli.progress import Bar
from xraycodec.container import ends_whole

STORED = ("--codec", "stored")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Two images of 300 and 2880 bytes, a colour image, a report and a text."""
    study = tmp_path / "study"
    write_image(study / "IM0001", radiograph(12, shape=(20, 10)), "dicom")
    write_image(study / "b" / "hand.png", radiograph(), "png")
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[..., 1] = 9
    (study / "colour.png").write_bytes(imagecodecs.png_encode(colour))
    (study / "report.pdf").write_bytes(b"%PDF-1.4")
    (study / "b" / "README").write_text("read me")
    return study


COLOUR = "the image is in colour; allowed is grayscale"


# Broken images.


@pytest.mark.parametrize(
    ("name", "content"),
    [
        *(("x.dcm", content) for content in (b"", bytes(200), b"<html>not found</html>")),
        *((f"x{suffix}", b"") for suffix in (".png", ".TIF", ".pgm", ".npy", ".jp2", ".dicom")),
        *((name, b"") for name in ("IM0001", "00000001", "1.2.840.10008.5", "CT.1.2.3")),
        *((name, bytes(5000)) for name in ("IM0001", "1.2.840.10008.5.1")),
        ("IM0001", bytes(128) + b"DICM"),
    ],
)
@pytest.mark.parametrize("others", [(), ("copy",), ("skip",)])
def test_broken_images_below_a_folder_are_failures(
    tmp_path: Path, name: str, content: bytes, others: tuple[str, ...]
) -> None:
    study = tmp_path / "study"
    write_image(study / "ok.pgm", radiograph(8), "pgm")
    (study / name).write_bytes(content)
    options = [part for value in others for part in ("--others", value)]
    outcome = run("compress", *STORED, "-r", study, "-o", tmp_path / "out", "--json", *options)
    assert outcome.code == 1
    failed, done = sorted(outcome.json_lines, key=lambda line: "output" in line)
    assert failed["input"] == str(study / name)
    assert failed["error"]
    assert outcome.err.startswith(f"xrc: {study / name}: ")
    assert done["output"] == str(tmp_path / "out" / "ok.pgm.xrc")
    assert names_in(tmp_path / "out") == ["ok.pgm.xrc"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("README.txt", b"read me"),
        *((name, b"") for name in (".gitkeep", "LOCK", "notes1.txt", ".hidden1")),
        ("._IM0001.dcm", b"\0\5\x16\7 of macOS"),
        ("VERSION2", b"2.0"),
        ("empty.pdf", b""),
    ],
)
def test_other_files_below_a_folder_are_passed_over_and_counted(
    tmp_path: Path, name: str, content: bytes
) -> None:
    study = tmp_path / "study"
    write_image(study / "ok.pgm", radiograph(8), "pgm")
    (study / name).write_bytes(content)
    outcome = run("compress", *STORED, "-r", study, "-o", tmp_path / "out", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert len(outcome.json_lines) == 1
    assert (outcome.summary["done"], outcome.summary["skipped_others"]) == (1, 1)


@pytest.mark.parametrize("name", ["gone.dcm", "gone.PNG", "IM0001"])
@pytest.mark.parametrize("target", ["nowhere", None])
def test_links_to_nothing_by_the_name_of_an_image_are_failures(
    tmp_path: Path, name: str, target: str | None
) -> None:
    (tmp_path / name).symlink_to(target or tmp_path / name)
    outcome = run("compress", "-r", tmp_path, "--json")
    assert outcome.code == 1
    (line,) = outcome.json_lines
    expected = (
        "Too many levels of symbolic links"
        if target is None
        else ("a symbolic link to a file that does not exist")
    )
    assert line == {"input": str(tmp_path / name), "error": expected}


def test_broken_inputs_of_the_other_commands_are_failures(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.dcm.xrc").touch()
    (folder / "gone.xrc").symlink_to("nowhere")
    for arguments in (
        ("decompress", "-r", folder, "-o", tmp_path / "out"),
        ("verify", "-r", folder),
        ("info", "-r", folder),
        ("transcode", "-r", folder, tmp_path / "out", "--syntax", "rle"),
    ):
        outcome = run(*arguments, "--json")
        assert outcome.code == 1
        errors = {line["input"]: line["error"] for line in outcome.json_lines}
        assert set(errors) == {f"{folder}/a.dcm.xrc", f"{folder}/gone.xrc"}
        assert "symbolic link" in errors[f"{folder}/gone.xrc"]
    (folder / "b.dcm").touch()
    for arguments in (("transcode", "--syntax", "rle"), ("dicom", "wrap"), ("dicom", "unwrap")):
        outcome = run(*arguments, "-r", folder, tmp_path / "out", "--json")
        assert f"{folder}/b.dcm" in {line["input"] for line in outcome.json_lines}
        assert outcome.code == 1


# --others.


def test_without_others_images_that_are_not_served_fail(study: Path, tmp_path: Path) -> None:
    outcome = run("compress", *STORED, "-r", study, "-o", tmp_path / "out")
    assert outcome.code == 1
    assert outcome.err == f"xrc: {study}/colour.png: {COLOUR}\n"
    assert names_in(tmp_path / "out") == ["IM0001.xrc", "b/hand.png.xrc"]
    assert outcome.out.splitlines()[-1].startswith("2 done, 2 skipped, 1 failed; 3.1 KiB -> ")


def test_others_copy_keeps_a_study_complete_both_ways(study: Path, tmp_path: Path) -> None:
    out, back = tmp_path / "out", tmp_path / "back"
    outcome = run("compress", *STORED, "-r", study, "-o", out, "--others", "copy", "--json")
    assert (outcome.code, outcome.err) == (0, "")
    copied = {line["input"]: line["copied"] for line in outcome.json_lines if "copied" in line}
    assert copied == {
        f"{study}/b/README": "not an image file",
        f"{study}/colour.png": COLOUR,
        f"{study}/report.pdf": "not an image file",
    }
    assert (outcome.summary["done"], outcome.summary["copied"]) == (2, 3)
    others = ["b/README", "colour.png", "report.pdf"]
    assert names_in(out) == sorted([*others, "IM0001.xrc", "b/hand.png.xrc"])
    assert run("decompress", "-r", out, "-o", back, "--others", "copy").code == 0
    assert names_in(back) == names_in(study)
    for name in others:
        assert (back / name).read_bytes() == (study / name).read_bytes()
    for name in ("IM0001", "b/hand.png"):
        assert same(read_image(back / name), read_image(study / name))


def test_others_skip_names_them(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("compress", *STORED, "-r", study, "-o", out, "--others", "skip")
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        f"xrc: {study}/b/README: skipped, not an image file",
        f"xrc: {study}/colour.png: skipped, {COLOUR}",
        f"xrc: {study}/report.pdf: skipped, not an image file",
    ]
    assert names_in(out) == ["IM0001.xrc", "b/hand.png.xrc"]
    outcome = run("compress", *STORED, "-f", "-r", study, "-o", out, "--others", "skip", "--json")
    assert {"input": f"{study}/report.pdf", "skipped": "not an image file"} in outcome.json_lines


def test_others_fail_lets_none_pass(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    outcome = run("compress", *STORED, "-r", study, "-o", out, "--others", "fail", "--json")
    assert outcome.code == 1
    assert outcome.summary["failed"] == 3
    assert {"input": f"{study}/b/README", "error": "not an image file"} in outcome.json_lines
    assert names_in(out) == ["IM0001.xrc", "b/hand.png.xrc"]


def test_others_that_are_named(study: Path, tmp_path: Path) -> None:
    files = [study / name for name in ("IM0001", "report.pdf", "colour.png")]
    assert run("compress", *STORED, *files, "-o", tmp_path / "out").code == 1
    outcome = run("compress", *STORED, "-f", *files, "-o", tmp_path / "out", "--others", "copy")
    assert outcome.code == 0
    assert names_in(tmp_path / "out") == ["IM0001.xrc", "colour.png", "report.pdf"]


def test_outputs_of_an_earlier_run_are_no_others(study: Path) -> None:
    (study / "colour.png").unlink()
    for _ in range(2):
        outcome = run(
            "compress", *STORED, "-r", study, "--others", "fail", "--skip-existing", "--json"
        )
        failed = [line["input"] for line in outcome.json_lines if "error" in line]
        assert failed == [f"{study}/b/README", f"{study}/report.pdf"]
    assert outcome.summary["skipped_existing"] == 2


def test_copies_need_a_folder_and_replace_nothing(study: Path, tmp_path: Path) -> None:
    for output in ((), ("-o", "-"), ("-o", tmp_path / "x.xrc")):
        outcome = run("compress", study / "report.pdf", "--others", "copy", *output)
        assert outcome.code == 2
        assert "--others copy needs a folder" in outcome.err
    out = tmp_path / "out"
    out.mkdir()
    (out / "report.pdf").write_bytes(b"precious")
    outcome = run("compress", *STORED, "-r", study, "-o", out, "--others", "copy")
    assert outcome.code == 1
    assert outcome.err == f"xrc: {study}/report.pdf: {out}/report.pdf exists; -f overwrites it\n"
    assert (out / "report.pdf").read_bytes() == b"precious"


def test_others_of_transcode_and_wrap(study: Path, tmp_path: Path) -> None:
    for number, arguments in enumerate((("transcode", "--syntax", "rle"), ("dicom", "wrap"))):
        out = tmp_path / str(number)
        outcome = run(*arguments, "-r", study, out, "--others", "copy")
        assert (outcome.code, outcome.err) == (0, "")
        assert names_in(out) == names_in(study)
        assert (out / "b/hand.png").read_bytes() == (study / "b/hand.png").read_bytes()
        assert (out / "IM0001").read_bytes() != (study / "IM0001").read_bytes()


# --skip-existing.


def test_skip_existing_does_only_what_is_missing(study: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("-r", study, "-o", out, "--others", "copy", "--skip-existing")
    assert run("compress", *STORED, *options).code == 0
    (out / "IM0001.xrc").unlink()
    before = {name: (out / name).stat().st_ino for name in names_in(out)}
    outcome = run("compress", *STORED, *options, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.json_lines[-1] == {
        "input": f"{study}/report.pdf",
        "output": f"{out}/report.pdf",
        "skipped": "exists",
    }
    assert (outcome.summary["done"], outcome.summary["skipped_existing"]) == (1, 4)
    assert {name: (out / name).stat().st_ino for name in before} == before
    assert (out / "IM0001.xrc").exists()


def test_existing_outputs_that_are_damaged_are_not_skipped(png: Path) -> None:
    target = Path(f"{png}.xrc")
    assert run("compress", *STORED, png).code == 0
    whole = target.read_bytes()
    for damaged, problem in (
        (b"", "is empty"),
        (whole[:-1], "is no whole .xrc file"),
        (b"?" * len(whole), "is no whole .xrc file"),
        (b"short", "is no whole .xrc file"),
    ):
        target.write_bytes(damaged)
        outcome = run("compress", *STORED, "--skip-existing", png)
        assert outcome.code == 1
        assert outcome.err == f"xrc: {png}: {target} exists, but {problem}; -f overwrites it\n"
        assert target.read_bytes() == damaged
        assert run("compress", *STORED, "--skip-existing", "-f", png).code == 0
        assert target.read_bytes() == whole


def test_existing_outputs_that_are_older_are_not_skipped(png: Path) -> None:
    target = Path(f"{png}.xrc")
    assert run("compress", *STORED, png).code == 0
    os.utime(png, ns=(target.stat().st_mtime_ns + 10**10,) * 2)
    outcome = run("compress", *STORED, "--skip-existing", png)
    assert outcome.code == 1
    assert outcome.err.endswith(f"exists, but is older than {png}; -f overwrites it\n")
    assert run("compress", *STORED, "--skip-existing", "-f", png).code == 0
    assert run("compress", *STORED, "--skip-existing", png).code == 0


# The summary.


def test_the_summary_of_every_command(study: Path, tmp_path: Path) -> None:
    (study / "colour.png").unlink()
    out = tmp_path / "out"
    outcome = run("compress", *STORED, "-r", study, "-o", out)
    size = sum(path.stat().st_size for path in out.rglob("*.xrc"))
    ratio = 3180 / size
    assert outcome.out.splitlines()[-1] == (
        f"2 done, 2 skipped, 0 failed; 3.1 KiB -> {size / 1024:.1f} KiB, {ratio:.2f}:1"
    )
    expected = {"done": 2, "copied": 0, "skipped_existing": 0, "skipped_others": 0, "failed": 0}
    sums = {"pixel_bytes": 3180, "size_bytes": size, "ratio": round(ratio, 4)}
    outcome = run("verify", "-r", out, "--json")
    assert outcome.summary == expected | sums
    outcome = run("decompress", "-r", out, "-o", tmp_path / "back", "--json")
    assert outcome.summary == expected | sums
    outcome = run("transcode", "-r", out, tmp_path / "t", "--syntax", "explicit", "--json")
    assert outcome.summary == expected | {
        "pixel_bytes": 3180,
        "payload_bytes": 2 * (200 + 1920),
        "ratio": 0.75,
    }


def test_a_single_input_has_no_summary(png: Path) -> None:
    assert len(run("compress", *STORED, png).out.splitlines()) == 1
    assert run("compress", *STORED, "-q", png, png, "-o", png.parent / "out").out == ""


# A folder among the inputs, or a terminal.


@pytest.mark.parametrize("name", ["compress", "decompress", "verify", "info"])
def test_a_folder_among_the_inputs_does_not_stop_the_others(
    png: Path, tmp_path: Path, name: str
) -> None:
    packed = tmp_path / "in.png.xrc"
    assert run("compress", *STORED, png, "-o", packed).code == 0
    (tmp_path / "folder").mkdir()
    source = png if name == "compress" else packed
    outcome = run(name, tmp_path / "folder", source, "--json")
    assert outcome.code == 1
    first, second = outcome.json_lines
    assert first == {
        "input": f"{tmp_path}/folder",
        "error": "is a folder; -r descends into it",
    }
    assert second["input"] == str(source)
    assert "error" not in second


def test_an_xrc_file_is_not_compressed_again(stored: Path) -> None:
    outcome = run("compress", stored)
    assert outcome.code == 1
    assert outcome.err == (
        f"xrc: {stored}: it is an .xrc file already; xrc decompress gives its image back, and xrc"
        " transcode writes it as DICOM\n"
    )
    for name in ("wrap", "unwrap"):
        outcome = run("dicom", name, stored, stored.with_name("x.dcm"))
        assert outcome.code == 1
        assert outcome.err == (
            f"xrc: {stored}: it is an .xrc file, not a DICOM file; xrc transcode makes one of it\n"
        )


def test_an_output_that_is_a_folder(png: Path) -> None:
    target = Path(f"{png}.xrc")
    target.mkdir()
    outcome = run("compress", *STORED, "-f", png)
    assert outcome.code == 1
    assert outcome.err == f"xrc: {png}: the output {target} is a folder; name another with -o\n"


def test_standard_input_from_a_terminal_is_not_waited_for() -> None:
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            command("compress", "-", "-o", "x.xrc"), stdin=terminal, capture_output=True, timeout=60
        )
    finally:
        os.close(terminal)
        os.close(controller)
    assert done.returncode == 2
    assert b"standard input is a terminal; redirect a file into it" in done.stderr


# --jobs.


@pytest.fixture
def many(tmp_path: Path) -> Path:
    """Seven images, of which the third is damaged."""
    folder = tmp_path / "many"
    for number in range(7):
        write_image(folder / f"{number}.dcm", radiograph(12, shape=(70 + number, 66)), "dicom")
    damaged = folder / "2.dcm"
    damaged.write_bytes(damaged.read_bytes()[:-50])
    return folder


@pytest.mark.parametrize(
    "codec",
    [(), ("--codec", "wavelet", "--quality", "60"), ("--codec", "rnn-conv", "--tile", "128")],
)
def test_several_at_a_time_give_the_same_in_the_same_order(
    many: Path, tmp_path: Path, codec: tuple[str, ...]
) -> None:
    outcomes = []
    for jobs in (1, 3):
        out = tmp_path / "out"
        outcome = run("compress", *codec, "-r", many, "-o", out, "--jobs", jobs, "--json")
        assert outcome.code == 1
        assert len(outcome.err.splitlines()) == 1
        checked = run("verify", "-r", out, "--jobs", jobs, "--json")
        back = run("decompress", "-r", out, "-o", tmp_path / "back", "--jobs", jobs, "--json")
        assert (checked.code, back.code) == (0, 0)
        files = {
            name: (folder / name).read_bytes()
            for folder in (out, tmp_path / "back")
            for name in names_in(folder)
        }
        outcomes.append((outcome.data, checked.data, back.data, files))
        out.rename(tmp_path / f"out{jobs}")
        (tmp_path / "back").rename(tmp_path / f"back{jobs}")
    assert outcomes[0] == outcomes[1]


def test_jobs_share_the_threads(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xraycodec.cli.batch import Batch

    monkeypatch.setattr("xraycodec.archive.run.cores", lambda: 8)
    assert Batch(jobs=1).threads_each(0) == 0
    assert Batch(jobs=2).threads_each(0) == 4
    assert Batch(jobs=0).threads_each(0) == 1
    assert Batch(jobs=3).threads_each(2) == 1
    assert Batch(jobs=0).workers == 8


def test_an_interrupt_of_several_at_a_time_leaves_whole_files_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for number in range(40):
        np.save(folder / f"{number:02}.npy", rng.integers(0, 4096, (600, 600), dtype=np.uint16))
    process = subprocess.Popen(
        command("compress", "-r", folder, "-o", out, "--jobs", 2),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline()  # the first file is done: others are at work
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert (process.returncode, err.decode().strip()) == (130, "xrc: interrupted")
    names = names_in(out)
    assert 0 < len(names) < 40
    for name in names:
        with (out / name).open("rb") as file:
            assert ends_whole(file)


# The bar.


def test_one_bar_counts_the_bytes_of_all_inputs() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=80)
    with Progress(console=console) as rich:
        bar = Bar(rich, [100, 0, 300])
        (task,) = rich.tasks
        assert (task.total, task.completed) == (401, 0)
        first, third = bar.step(0, "a.dcm"), bar.step(2, "c[.dcm")
        first(1, 2)
        third(1, 3)
        assert task.completed == pytest.approx(150)
        assert task.description.startswith("1/3 ")
        bar.end(0)
        assert task.completed == pytest.approx(200)
        bar.step(1, "b.dcm")
        assert task.description == "2/3 b.dcm"
        bar.end(1)
        bar.end(2)
        assert task.completed == pytest.approx(401)


def test_a_bar_on_the_terminal_does_not_touch_standard_output(study: Path, tmp_path: Path) -> None:
    (study / "colour.png").unlink()
    controller, terminal = pty.openpty()
    try:
        done = subprocess.run(
            command("compress", *STORED, "-r", study, "-o", tmp_path / "out", "--json"),
            stdout=subprocess.PIPE,
            stderr=terminal,
            env=os.environ | {"TERM": "xterm", "COLUMNS": "100"},
            timeout=120,
        )
        shown = os.read(controller, 1 << 16)
    finally:
        os.close(terminal)
        os.close(controller)
    assert done.returncode == 0
    assert b"/4 " in shown
    assert done.stdout.count(b"\n") == 3
    assert b"\x1b" not in done.stdout
