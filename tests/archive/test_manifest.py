"""The manifest: states, claims, versions, a million rows in little memory."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xraycodec.archive.lock import locked
from xraycodec.archive.manifest import Manifest
from xraycodec.archive.records import (
    Checked,
    Compressed,
    Failure,
    Found,
    Outcome,
    Skipped,
    State,
    Unchanged,
)
from xraycodec.errors import CorruptError, OptionError

DONE = Compressed(100, 5, "aa", "bb", 40, "cc", 80.0, True)


def found(name: str, size: int | None = 100, mtime: int | None = 5) -> Found:
    return Found(f"/in/{name}", f"{name}.xrc", size, mtime, False)


@pytest.fixture
def manifest(tmp_path: Path) -> Iterator[Manifest]:
    with Manifest(tmp_path / "m.sqlite3", write=True) as opened:
        yield opened


def outcome(number: int, result: object, attempts: int = 1) -> Outcome:
    return Outcome(number, attempts, 0.5, result)  # type: ignore[arg-type]


def test_files_are_claimed_once_and_in_order(manifest: Manifest) -> None:
    manifest.add(found(f"{number}.png") for number in range(5))
    assert [item.path for item in manifest.claim(3)] == [f"/in/{n}.png" for n in range(3)]
    assert [item.path for item in manifest.claim(3)] == ["/in/3.png", "/in/4.png"]
    assert manifest.claim(3) == []
    assert manifest.counts()[State.RUNNING] == 5


def test_what_a_killed_run_claimed_is_pending_again_but_for_what_it_finished(
    manifest: Manifest,
) -> None:
    manifest.add([found("a"), found("b"), found("c")])
    manifest.record([outcome(manifest.claim(1)[0].id, DONE)], 3)
    finished = manifest.claim(1)[0]
    # A journal may tell of a file that the manifest has already.
    manifest.recover([outcome(finished.id, DONE), outcome(1, DONE)])
    assert manifest.counts()[State.DONE] == 2
    done = list(manifest.items(State.DONE))
    assert [item.attempts for item in done] == [1, 1]
    assert [item.path for item in manifest.claim(9)] == ["/in/c"]


def test_only_what_changed_is_pending_again(manifest: Manifest) -> None:
    manifest.add([found("a"), found("b"), found("c")])
    manifest.record([outcome(item.id, DONE) for item in manifest.claim(3)], 3)
    manifest.add([found("a"), found("b", size=101), found("c", None, None)])
    (item,) = manifest.claim(9)
    assert (item.path, item.content_hash, item.output_hash) == ("/in/b", "aa", "cc")
    manifest.record([outcome(item.id, Unchanged(101, 6))], 3)
    manifest.add([found("b", size=101, mtime=6)])
    assert manifest.claim(9) == []


def test_the_first_of_two_files_gets_the_name(manifest: Manifest) -> None:
    one, other = found("x"), Found("/elsewhere/x", "x.xrc", 1, 1, True)
    manifest.add([one])
    manifest.add([other, one, found("y")])
    assert [item.path for item in manifest.claim(9)] == ["/in/x", "/in/y"]
    (failed,) = manifest.items(State.FAILED)
    (error,) = next(manifest.query("SELECT error FROM file WHERE id = ?", failed.id))
    assert (failed.path, error) == (
        "/elsewhere/x",
        "x.xrc is already the output of /in/x",
    )


@pytest.mark.parametrize(
    ("kind", "again"), [("final", False), ("transient", True)], ids=["final", "transient"]
)
def test_a_later_run_tries_again_what_the_machine_was_to_blame_for(
    manifest: Manifest, kind: str, again: bool
) -> None:
    manifest.add([found("a")])
    (item,) = manifest.claim(1)
    manifest.record([outcome(item.id, Failure("Some", "why", kind), 3)], 3)  # type: ignore[arg-type]
    assert manifest.claim(1) == []
    manifest.recover([])
    assert bool(manifest.claim(1)) is again
    manifest.release()
    manifest.recover([], retry_failed=True)
    assert [item.attempts for item in manifest.claim(1)] == [0]


def test_a_file_whose_process_dies_is_tried_as_often_as_allowed(manifest: Manifest) -> None:
    manifest.add([found("a")])
    for expected in (State.PENDING, State.FAILED):
        (item,) = manifest.claim(1)
        manifest.record([outcome(item.id, Failure("WorkerDied", "killed", "died"))], 2)
        assert manifest.counts()[expected] == 1


def test_other_outcomes(manifest: Manifest) -> None:
    manifest.add([found("a"), found("b")])
    first, second = manifest.claim(2)
    manifest.record(
        [outcome(first.id, Skipped("no image", 7)), outcome(second.id, Failure("E", "", "stop"))], 3
    )
    assert (manifest.counts()[State.SKIPPED], manifest.counts()[State.PENDING]) == (1, 1)
    with pytest.raises(TypeError, match="Checked"):
        manifest.record([outcome(first.id, Checked(True))], 3)


def test_names_that_are_no_text_come_back(manifest: Manifest) -> None:
    name = os.fsdecode(b"/in/\xff\xfe.png")
    manifest.add([Found(name, "x.xrc", 1, 1, True)])
    manifest.add([Found(name, "x.xrc", 1, 1, True)])
    assert [item.path for item in manifest.claim(9)] == [name]


def test_a_reader_needs_a_manifest_and_cannot_write(tmp_path: Path, manifest: Manifest) -> None:
    with pytest.raises(OptionError, match="there is not a manifest"):
        Manifest(tmp_path / "none.sqlite3")
    with (
        Manifest(manifest.path) as reader,
        pytest.raises(sqlite3.OperationalError, match="readonly"),
    ):
        reader.add([found("a")])


def test_other_files_and_versions_are_refused(tmp_path: Path, manifest: Manifest) -> None:
    text, other, later = (tmp_path / name for name in ("text", "other", "later"))
    text.write_text("this is no database, however long it is made" * 50)
    for path, statement in (
        (other, "CREATE TABLE file (id INTEGER)"),
        (later, "PRAGMA user_version = 2"),
    ):
        if path == later:
            path.write_bytes(b"")
            Manifest(path, write=True).close()
        connection = sqlite3.connect(path)
        connection.execute(statement)
        connection.commit()
        connection.close()
    for write in (False, True):
        with pytest.raises(CorruptError, match="text is not a manifest"):
            Manifest(text, write=write)
        with pytest.raises(CorruptError, match="no manifest"):
            Manifest(other, write=write)
        with pytest.raises(OptionError, match="has schema 2; this version knows 1"):
            Manifest(later, write=write)


LARGE = """
import resource, sys
from pathlib import Path
from xraycodec.archive.manifest import Manifest
from xraycodec.archive.records import Found, Outcome, Skipped

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

def fill(name, files):
    with Manifest(Path(sys.argv[1], name), write=True) as manifest:
        manifest.add(Found(f"/in/{i:09}.dcm", f"{i:09}.dcm.xrc", i, i, False) for i in range(files))
        while items := manifest.claim(500):
            manifest.record([Outcome(i.id, 1, 0.1, Skipped("", 1)) for i in items], 3)
        assert sum(manifest.counts().values()) == files

fill("small", 3000)
small = peak()
fill("large", 30000)
print(peak() - small)
"""


def test_memory_does_not_grow_with_files(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LARGE, tmp_path], capture_output=True, text=True, check=True
    )
    # Ten times the files; held in memory, the 27,000 more would take over 12 MB.
    assert int(done.stdout) < 4096  # KiB


def test_the_lock_names_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "m.sqlite3"
    holder = (
        "import pathlib, sys, xraycodec.archive.lock as lock\n"
        f"with lock.locked(pathlib.Path({str(path)!r})):\n"
        "    print('held', flush=True)\n"
        "    sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout
        assert process.stdout.readline() == b"held\n"
        told = rf"in use by another run, process {process.pid} on"
        with pytest.raises(OptionError, match=told), locked(path):
            pass
        process.kill()
    with locked(path):
        pass
