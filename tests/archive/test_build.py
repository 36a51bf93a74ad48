"""Building, and building again: what changed, what is in the way, what was asked for before."""

from __future__ import annotations

import errno
import io
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pydicom
import pytest
from archive_running import (
    build,
    json_lines,
    make_tree,
    outputs,
    radiograph,
    rows,
    run,
    states,
    times,
)

from xraycodec import decompress
from xraycodec.archive.manifest import Manifest
from xraycodec.archive.records import State
from xraycodec.archive.temporaries import TEMPORARIES
from xraycodec.codecs.base import Codec
from xraycodec.errors import CorruptImageError
from xraycodec.files import encode
from xraycodec.image import XRay


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return make_tree(tmp_path / "in", 10)


def archived(tree: Path, *arguments: object) -> Path:
    out = tree.with_name("out")
    assert build(tree, "-o", out, *arguments, jobs=0).exit_code == 0
    return out


def test_a_row_says_what_was_done(tree: Path) -> None:
    out = archived(tree)
    path = tree / "ward3" / "chest003.png"
    row = rows(out / "archive.sqlite3")["ward3/chest003.png.xrc"]
    data = (out / "ward3" / "chest003.png.xrc").read_bytes()
    assert row["path"] == str(path)
    assert (row["size_bytes"], row["mtime_ns"]) == (path.stat().st_size, path.stat().st_mtime_ns)
    assert (row["state"], row["attempts"], row["verified"]) == ("done", 1, 1)
    assert (row["output_bytes"], row["pixel_bytes"]) == (len(data), 576 * 12 / 8)
    assert row["ratio"] == pytest.approx(864 / len(data), abs=1e-6)
    single = path.with_name("single.xrc")
    from click.testing import CliRunner

    from xraycodec.cli import xrc

    CliRunner().invoke(xrc, ["compress", str(path), "-o", str(single), "--codec", "stored"])
    assert single.read_bytes() == data


def test_finished_files_are_not_read_again(tree: Path) -> None:
    out = archived(tree)
    before = times(out)
    hidden = tree.with_name("hidden")
    shutil.move(tree / "ward1", hidden)
    again = build(tree, "-o", out, "--json", jobs=0)
    assert again.exit_code == 0
    assert len(json_lines(again)) == 1
    assert times(out) == before
    assert states(out / "archive.sqlite3") == {"done": 10}


def test_a_new_time_alone_changes_nothing_and_new_content_does(tree: Path) -> None:
    out = archived(tree)
    before = times(out)
    touched, changed = tree / "ward0" / "chest000.png", tree / "ward1" / "chest001.png"
    os.utime(touched, (1, 1))
    changed.write_bytes(encode(radiograph(99), "png"))
    lines = json_lines(build(tree, "-o", out, "--json", jobs=0))
    assert lines[-1]["files"]["done"] == 10
    told = {line["input"]: line for line in lines[:-1]}
    assert set(told) == {str(touched), str(changed)}
    assert told[str(touched)]["unchanged"] is True
    assert told[str(changed)]["ratio"] > 0
    after = times(out)
    assert {path.name for path in after if after[path] != before[path]} == {"chest001.png.xrc"}
    found = decompress((out / "ward1" / "chest001.png.xrc").read_bytes())
    assert (found.pixels == radiograph(99).pixels).all()
    assert rows(out / "archive.sqlite3")["ward0/chest000.png.xrc"]["mtime_ns"] == 10**9


def test_files_of_others_are_kept_without_force(tree: Path) -> None:
    out = tree.with_name("out")
    theirs = out / "ward2" / "chest002.png.xrc"
    theirs.parent.mkdir(parents=True)
    theirs.write_bytes(b"theirs")
    result = build(tree, "-o", out, jobs=0)
    assert result.exit_code == 1
    assert "exists with other content; -f overwrites it" in result.stderr
    assert theirs.read_bytes() == b"theirs"
    assert build(tree, "-o", out, jobs=0).exit_code == 1
    assert build(tree, "-o", out, "--force", "--retry-failed", jobs=0).exit_code == 0
    assert len(decompress(theirs.read_bytes()).pixels) == 24


def test_other_settings_are_refused_without_force(tree: Path) -> None:
    out = archived(tree)
    before = outputs(out)
    refused = build(tree, "-o", out, jobs=0, codec="lattice")
    assert refused.exit_code == 1
    assert "was begun with stored (level 6, tile 512)" in refused.stderr
    make_tree(tree, 11)
    assert (
        build(tree, "-o", out, "--force", "--profile", "fast", jobs=0, codec="lattice").exit_code
        == 0
    )
    after = outputs(out)
    assert {name: after[name] for name in before} == before
    assert b"LTTC" in after["ward0/chest010.png.xrc"]


def test_another_target_is_refused_and_an_archive_can_be_moved(tree: Path) -> None:
    out = archived(tree)
    manifest = out / "archive.sqlite3"
    result = build(tree, "-o", tree.with_name("else"), "--manifest", manifest, jobs=0)
    assert result.exit_code == 1
    assert "is the manifest of ., not of" in result.stderr
    moved = out.rename(tree.with_name("moved"))
    assert run("verify", moved, "--jobs", 0).exit_code == 0


def test_two_runs_on_one_manifest_are_refused(tree: Path) -> None:
    from xraycodec.archive.lock import locked

    out = archived(tree)
    with locked(out / "archive.sqlite3"):
        result = build(tree, "-o", out, jobs=0)
    assert result.exit_code == 1
    assert f"in use by another run, process {os.getpid()}" in result.stderr


def test_what_is_no_image_is_passed_over_below_folders_only(tree: Path) -> None:
    (tree / "notes.txt").write_text("no image")
    (tree / "empty").touch()
    result = build(tree, "-o", tree.with_name("out"), "-v", jobs=0)
    assert result.exit_code == 0
    assert result.stderr.count("skipped, no image file") == 2
    assert states(tree.with_name("out") / "archive.sqlite3") == {"done": 10, "skipped": 2}
    named = build(tree / "notes.txt", "-o", tree.with_name("other"), jobs=0)
    assert named.exit_code == 1
    assert "UnsupportedImageError: no known image format" in named.stderr


def test_what_is_an_image_by_its_name_fails(tree: Path) -> None:
    (tree / "ward0" / "empty.dcm").touch()
    (tree / "ward0" / "1.2.840.10008.1").touch()
    (tree / "ward0" / "IM0001").write_bytes(bytes(5000))
    (tree / "ward0" / "overwritten.DCM").write_bytes(b"text" * 1000)
    (tree / "ward0" / "notes2").write_bytes(b"text")
    (tree / "ward0" / "dangling.dcm").symlink_to("gone.dcm")
    (tree / "ward0" / "itself.dcm").symlink_to("itself.dcm")
    (tree / "ward0" / "._chest.dcm").write_bytes(b"macOS wrote this")
    (tree / "ward0" / "notes.txt").touch()
    os.mkfifo(tree / "ward0" / "pipe.dcm")
    result = build(tree, "-o", tree.with_name("out"), "--json", jobs=0)
    assert result.exit_code == 1
    lines = json_lines(result)
    assert lines[-1]["files"] == {"pending": 0, "running": 0, "done": 10, "failed": 6, "skipped": 3}
    blank = "CorruptImageError: the file has no content, and it has the name of an image"
    assert {Path(each["input"]).name: each["error"] for each in lines[:-1] if "error" in each} == {
        "empty.dcm": blank,
        "1.2.840.10008.1": blank,
        "IM0001": blank,
        "overwritten.DCM": "CorruptImageError: the file is of no known format, and it has the name"
        " of an image",
        "dangling.dcm": "FileNotFoundError: a symbolic link to nothing",
        "itself.dcm": f"OSError: {os.strerror(errno.ELOOP)}",
    }
    manifest = rows(tree.with_name("out") / "archive.sqlite3")
    failed = {name for name, row in manifest.items() if row["state"] == "failed"}
    assert len(failed) == 6
    assert "ward0/dangling.dcm.xrc" in failed


def test_every_output_is_verified_unless_told_otherwise(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xraycodec.archive import tasks

    made = tasks.compress

    def other(image: XRay, codec: Codec) -> bytes:
        return made(XRay(image.pixels ^ 1, image.bits_stored), codec)

    monkeypatch.setattr(tasks, "compress", other)
    out = tree.with_name("out")
    result = build(tree, "-o", out, jobs=0)
    assert result.exit_code == 1
    assert result.stderr.count("differs by 1 from the original") == 10
    assert outputs(out) == {}
    unverified = tree.with_name("unverified")
    assert build(tree, "-o", unverified, "--no-verify", jobs=0).exit_code == 0
    assert {row["verified"] for row in rows(unverified / "archive.sqlite3").values()} == {0}


def test_limits_hold_and_can_be_raised(tree: Path) -> None:
    out, back = tree.with_name("out"), tree.with_name("back")
    refused = build(tree, "-o", out, "--max-pixels", 10, jobs=0)
    assert refused.exit_code == 1
    assert "the limit is 10 (max_pixels)" in refused.stderr
    assert build(tree, "-o", out, "--retry-failed", jobs=0).exit_code == 0
    assert run("verify", out, "--max-pixels", 10, "--jobs", 0).exit_code == 1
    assert run("extract", out, "-o", back, "--max-pixels", 10, "--jobs", 0).exit_code == 1
    assert run("verify", out, "--jobs", 0).exit_code == 0


def test_permissions_and_times_go_in_and_come_out(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        tree = make_tree(tmp_path / "in", 2)
        private, public = tree / "ward0" / "chest000.png", tree / "ward1" / "chest001.png"
        private.chmod(0o600)
        public.chmod(0o644)
        (tree / "ward0").chmod(0o700)
        tree.chmod(0o750)
        for path, day in ((private, 10**18), (public, 2 * 10**17 + 123)):
            os.utime(path, ns=(day, day))
        out, back = tmp_path / "out", tmp_path / "back"
        assert build(tree, "-o", out).exit_code == 0
        assert run("extract", out, "-o", back, "--jobs", 0).exit_code == 0
    finally:
        os.umask(before)

    def attributes(root: Path, suffix: str) -> list[tuple[int, int | None]]:
        files = [Path(f"{root / path.relative_to(tree)}{suffix}") for path in (private, public)]
        folders = [root, root / "ward0", root / "ward1"]
        return [
            *((stat.S_IMODE(path.stat().st_mode), path.stat().st_mtime_ns) for path in files),
            *((stat.S_IMODE(path.stat().st_mode), None) for path in folders),
        ]

    expected = [
        (0o600, 10**18),
        (0o644, 2 * 10**17 + 123),
        (0o750, None),
        (0o700, None),
        (0o755, None),
    ]
    assert attributes(tree, "") == expected
    assert attributes(out, ".xrc") == expected
    assert attributes(back, "") == expected
    for name in ("archive.sqlite3", "archive.sqlite3.lock"):
        assert stat.S_IMODE((out / name).stat().st_mode) == 0o600


def test_an_archive_in_the_folder_of_its_originals(tree: Path) -> None:
    for _ in range(2):
        assert build(tree, "-o", tree, jobs=0).exit_code == 0
        assert states(tree / "archive.sqlite3") == {"done": 10}


def test_dicom_goes_in_and_comes_out(tmp_path: Path) -> None:
    original = encode(radiograph(1), "dicom")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "IM1").write_bytes(original)
    out = tmp_path / "out"
    assert build(tmp_path / "in", "-o", out, jobs=0).exit_code == 0
    assert run("extract", out, "-o", tmp_path / "back", "--jobs", 0).exit_code == 0
    back = pydicom.dcmread(tmp_path / "back" / "IM1")
    first = pydicom.dcmread(io.BytesIO(original))
    assert back == first
    assert back.file_meta == first.file_meta


def test_a_dicom_original_that_cannot_be_written_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xraycodec.files import dicom_writer

    for number in range(3):
        path = tmp_path / "in" / f"{number}.dcm"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(encode(radiograph(number), "dicom"))
    broken = pydicom.dcmread(tmp_path / "in" / "1.dcm").SOPInstanceUID
    out, unverified = tmp_path / "out", tmp_path / "unverified"
    assert build(tmp_path / "in", "-o", out, jobs=0).exit_code == 0
    to_file = dicom_writer.to_file

    def refuse(dataset: pydicom.Dataset) -> bytes:
        if dataset.SOPInstanceUID == broken:
            raise CorruptImageError("DICOM data set: an element cannot be written")
        return to_file(dataset)

    monkeypatch.setattr(dicom_writer, "to_file", refuse)
    for arguments in (("verify", out), ("extract", out, "-o", tmp_path / "back")):
        found = run(*arguments, "--jobs", 0)
        assert found.exit_code == 1
        assert found.stderr.count("an element cannot be written") == 1
        assert f"{tmp_path / 'in' / '1.dcm'}: CorruptImageError" in found.stderr
    assert run("verify", out, "--quick", "--jobs", 0).exit_code == 0
    assert build(tmp_path / "in", "-o", tmp_path / "new", jobs=0).exit_code == 1
    assert sorted(outputs(tmp_path / "new")) == ["0.dcm.xrc", "2.dcm.xrc"]
    assert build(tmp_path / "in", "-o", unverified, "--no-verify", jobs=0).exit_code == 0


def test_extract_removes_what_a_killed_one_left(tree: Path) -> None:
    out = archived(tree)
    temporaries = tree.with_name("back") / TEMPORARIES
    temporaries.mkdir(parents=True)
    (temporaries / f"{'0' * 16}.lock").touch()
    (temporaries / f"{'0' * 16}-{'1' * 16}.tmp").write_bytes(b"part")
    assert run("extract", out, "-o", tree.with_name("back"), "--jobs", 0).exit_code == 0
    assert not temporaries.exists()


# The build interrupts itself as its first files are done, whatever the machine's speed.
INTERRUPTED = """
import os, signal
from xraycodec.archive.local_pool import LocalPool
from xraycodec.cli import main

def collect_and_interrupt(pool, seconds):
    outcomes = collect(pool, seconds)
    if outcomes:
        LocalPool.collect = collect  # a second interrupt would end the run at once
        os.kill(os.getpid(), signal.SIGINT)
    return outcomes

if __name__ == "__main__":
    collect, LocalPool.collect = LocalPool.collect, collect_and_interrupt
    main()
"""


def test_an_interrupt_ends_the_run_after_the_files_at_hand(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "in", 100)
    out = tmp_path / "out"
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED)
    command = ["archive", "build", tree, "-o", out, "--codec", "stored", "--jobs", "1"]
    process = subprocess.run(
        [sys.executable, str(script), *map(str, command)],
        stderr=subprocess.PIPE,
        text=True,
        timeout=600,
        check=False,
        # A shell's background job ignores SIGINT, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.returncode == 130
    assert "stopping after the files at hand" in process.stderr
    assert "Traceback" not in process.stderr
    with Manifest(out / "archive.sqlite3") as manifest:
        counts = manifest.counts()
    assert counts[State.RUNNING] == 0
    assert counts[State.DONE] == len(outputs(out))
    assert 0 < counts[State.DONE] < 100


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tree.with_name("out")
    sync, written = os.fsync, []

    def fill(descriptor: int) -> None:
        written.append(descriptor)
        if len(written) > 8:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fill)
        result = build(tree, "-o", out, jobs=0)
    assert result.exit_code == 1
    assert "stopped: No space left on device" in result.stderr
    counts = states(out / "archive.sqlite3")
    assert counts["done"] + counts["pending"] == 10
    assert counts["done"] == len(outputs(out)) > 0
    assert build(tree, "-o", out, jobs=0).exit_code == 0
    assert states(out / "archive.sqlite3") == {"done": 10}


def test_a_missing_model_ends_the_run_and_fails_no_file(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xraycodec.codecs.lattice import codec
    from xraycodec.errors import ModelError

    def missing(name: str, threads: int) -> object:
        raise ModelError(f"no model pack {name}")

    monkeypatch.setattr(codec, "model_by_name", missing)
    out = tree.with_name("out")
    result = build(tree, "-o", out, jobs=0, codec="lattice")
    assert result.exit_code == 1
    assert "stopped: no model pack lattice-best" in result.stderr
    assert states(out / "archive.sqlite3") == {"pending": 10}
