"""Manifests that somebody tampered with lead nowhere outside of their archive."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from archive_running import build, json_lines, make_tree, radiograph, run

from xraycodec import Stored, compress
from xraycodec.archive.journal import read_journals
from xraycodec.archive.manifest import Manifest
from xraycodec.archive.places import digest
from xraycodec.archive.records import State
from xraycodec.errors import CorruptError, OptionError
from xraycodec.plugins.names import names_in

FILES = 4
VICTIM = "ward1/chest001.png.xrc"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    out = tmp_path / "archive"
    assert build(make_tree(tmp_path / "in", FILES), "-o", out, "--no-verify", jobs=0).exit_code == 0
    return out


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """A file that an archive must not lead to; it would decode."""
    path = tmp_path / "secret" / "chest.png.xrc"
    path.parent.mkdir()
    path.write_bytes(compress(radiograph(7), Stored()))
    return path


def change(archive: Path, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(archive / "archive.sqlite3", isolation_level=None)) as connection:
        connection.execute(statement, values)


def lead_to(archive: Path, output: object, secret: Path) -> None:
    """Have a row name another file, with its true size and hashes."""
    data = secret.read_bytes()
    from xraycodec.container import parse

    change(
        archive,
        "UPDATE file SET output = ?, output_bytes = ?, output_hash = ?, pixel_hash = ?"
        " WHERE output = ?",
        *(output, len(data), digest(data), parse(data).pixel_hash.hex(), VICTIM),
    )


def check_one_fails(archive: Path, message: str) -> None:
    """Verify and extract refuse the one file, do the others, and leave the disk as it was."""
    outside = archive.parent
    before = sorted(outside.rglob("*"))
    back = outside / "back"
    for command in (("verify", archive), ("extract", archive, "-o", back)):
        found = run(*command, "--jobs", 0, "--json")
        assert found.exit_code == 1
        *lines, _ = json_lines(found)
        errors = [line["error"] for line in lines if "error" in line]
        assert len(errors) == 1
        assert message in errors[0]
        assert len(lines) == FILES
    assert (
        sorted(path for path in outside.rglob("*") if back not in (path, *path.parents)) == before
    )
    assert len([path for path in back.rglob("*") if path.is_file()]) == FILES - 1


@pytest.mark.parametrize("name", ["../secret/chest.png.xrc", "ward0/../../secret/chest.png.xrc"])
def test_names_above_the_archive(archive: Path, secret: Path, name: str) -> None:
    lead_to(archive, name, secret)
    check_one_fails(archive, "leads out of the folder")


def test_absolute_names(archive: Path, secret: Path) -> None:
    lead_to(archive, str(secret), secret)
    check_one_fails(archive, "leads out of the folder")
    with pytest.raises(CorruptError, match="leads out of the folder"):
        list(names_in(archive / "archive.sqlite3"))


@pytest.mark.parametrize("scheme", ["file://", "memory://", "s3://bucket", "simplecache::file://"])
def test_urls_are_names_like_any(archive: Path, secret: Path, scheme: str) -> None:
    lead_to(archive, f"{scheme}{secret}", secret)
    check_one_fails(archive, "No such file or directory")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\0b", "is none that a file can have"),
        ("", "is none that a file can have"),
        (b"\xff/../../a", "leads out of the folder"),
        ("x" * 300, "File name too long"),
    ],
    ids=["zero", "empty", "bytes", "long"],
)
def test_what_is_no_name(archive: Path, secret: Path, name: object, message: str) -> None:
    lead_to(archive, name, secret)
    check_one_fails(archive, message)


@pytest.mark.parametrize("linked", ["file", "folder"])
def test_links_in_the_archive(archive: Path, secret: Path, linked: str) -> None:
    name = "link/chest.png.xrc" if linked == "folder" else "link.png.xrc"
    (archive / name.split("/")[0]).symlink_to(secret.parent if linked == "folder" else secret)
    lead_to(archive, name, secret)
    check_one_fails(archive, "leads out of the folder by a symbolic link")


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("output_bytes", "many", "the manifest has no size"),
        ("output_bytes", 1 << 62, f"the manifest has {1 << 62}"),
        ("output_bytes", -1, "the manifest has -1"),
        ("pixel_hash", b"\0", "the manifest has None"),
        ("pixel_hash", None, "the manifest has None"),
    ],
)
def test_values_of_another_type(archive: Path, column: str, value: Any, message: str) -> None:
    change(archive, f"UPDATE file SET {column} = ? WHERE output = ?", value, VICTIM)
    check_one_fails(archive, message)


def test_values_that_do_not_matter_for_reading(archive: Path) -> None:
    """Neither the number of attempts nor the time of the original can stop a file."""
    change(
        archive,
        "UPDATE file SET attempts = 'x', mtime_ns = 'y', named = 'z', path = x'ff'"
        " WHERE output = ?",
        VICTIM,
    )
    change(
        archive,
        "UPDATE file SET path = CAST(x'ff' AS TEXT) || output, mtime_ns = -1 << 63"
        " WHERE output != ?",
        VICTIM,
    )
    for command in (("verify", archive), ("extract", archive, "-o", archive.with_name("back"))):
        assert run(*command, "--jobs", 0).exit_code == 0


def test_values_that_are_giant(archive: Path) -> None:
    change(archive, "UPDATE file SET output_hash = printf('%.*c', 2000000, 'a')")
    for command in (("verify", archive), ("extract", archive, "-o", archive.with_name("back"))):
        found = run(*command, "--jobs", 0)
        assert found.exit_code == 1
        assert "is not a manifest, or damaged: string or blob too big" in found.stderr


@pytest.mark.parametrize(
    "target",
    [
        "/etc",
        "../secret",
        "memory://elsewhere",
        "http://127.0.0.1:9/",
        "simplecache::file:///etc",
        5,
    ],
)
def test_the_archive_is_where_the_user_says(archive: Path, target: object) -> None:
    change(archive, "UPDATE setting SET value = ? WHERE key = 'target'", json.dumps(target))
    back = archive.with_name("back")
    for name in (archive, archive / "archive.sqlite3"):
        for command in (("verify", name), ("extract", name, "-o", back)):
            found = run(*command, "--jobs", 0)
            assert found.exit_code == 1
            assert f"is the manifest of {target}, which is not its folder" in found.stderr
    assert not back.exists()
    with pytest.raises(OptionError, match="which is not its folder"):
        list(names_in(archive / "archive.sqlite3"))
    said = ("--manifest", archive / "archive.sqlite3", "--jobs", 0)
    assert run("verify", archive, *said).exit_code == 0
    assert run("extract", archive, *said, "-o", back).exit_code == 0
    nowhere = run("verify", archive.with_name("in"), *said)
    assert nowhere.stderr.count("No such file or directory") == FILES
    assert "say --manifest" in run("verify", "memory://elsewhere").stderr


def test_the_owner_of_temporary_files_is_not_the_manifest_s(archive: Path) -> None:
    """It was once a part of their names, and of the pattern by which they are removed."""
    change(archive, "UPDATE setting SET value = '\"*/../../\"' WHERE key = 'id'")
    back = archive.with_name("back")
    kept = back / ".xrc-archive" / "x-.tmp"
    kept.parent.mkdir(parents=True)
    kept.touch()
    assert run("extract", archive, "-o", back, "--jobs", 0).exit_code == 0
    assert kept.exists()


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW other AS SELECT 1",
        "CREATE TABLE other (a)",
        "CREATE TRIGGER t AFTER UPDATE ON file BEGIN DELETE FROM file; END",
        "ALTER TABLE file ADD COLUMN more",
        "DROP INDEX file_by_state",
    ],
)
def test_another_schema_is_refused(archive: Path, statement: str) -> None:
    change(archive, statement)
    for write in (False, True):
        with pytest.raises(CorruptError, match="views or triggers are not those of one"):
            Manifest(archive / "archive.sqlite3", write=write)
    found = run("report", archive)
    assert (found.exit_code, "Traceback" in found.stderr) == (1, False)


def test_a_view_in_place_of_the_files_is_refused(archive: Path) -> None:
    for statement in (
        "DROP TABLE file",
        "CREATE VIEW file AS SELECT 1 AS id, '/etc/passwd' AS path",
    ):
        change(archive, statement)
    with pytest.raises(CorruptError, match="views or triggers"):
        Manifest(archive / "archive.sqlite3")


def test_an_index_that_does_not_fit_ends(archive: Path) -> None:
    """SQLite takes the index's word for the order of rows, which must not be asked for for ever."""
    with closing(sqlite3.connect(archive / "archive.sqlite3", isolation_level=None)) as connection:
        ((said,),) = connection.execute(
            "SELECT sql FROM sqlite_schema WHERE name = 'file_by_state'"
        )
        connection.executescript("""
            DROP INDEX file_by_state;
            UPDATE file SET attempts = 100 + id;
            CREATE INDEX file_by_state ON file (state, attempts);
            PRAGMA writable_schema = ON;
        """)
        set_text = "UPDATE sqlite_schema SET sql = ? WHERE name = 'file_by_state'"
        connection.execute(set_text, (said,))
    with Manifest(archive / "archive.sqlite3") as manifest:
        items = islice(manifest.items(State.DONE), 100)
        with pytest.raises(CorruptError, match="its index does not fit its table"):
            list(items)


def test_a_rollback_journal_is_not_played_back(archive: Path, tmp_path: Path) -> None:
    """One can name a file, which SQLite then removes."""
    (archive / "archive.sqlite3-journal").write_bytes(b"any")
    for more in ((), ("--requeue",)):
        found = run("verify", archive, *more)
        assert found.exit_code == 1
        assert "archive.sqlite3-journal lies beside it" in found.stderr
    assert (archive / "archive.sqlite3-journal").exists()


def test_reading_changes_nothing(archive: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        found = {path: path.stat() for path in archive.rglob("*")}
        return {str(path): (each.st_mtime_ns, each.st_size) for path, each in found.items()}

    before = state()
    for command in (
        ("verify", archive),
        ("report", archive),
        ("extract", archive, "-o", archive.with_name("back")),
    ):
        assert run(*command).exit_code == 0
    assert state() == before


def test_a_medium_that_cannot_be_written_to(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    connect = sqlite3.connect

    def connecting(name: str, **options: Any) -> sqlite3.Connection:
        asked.append(name.partition("?")[2])
        return connect(name, **options)

    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(sqlite3, "connect", connecting)
    with Manifest(archive / "archive.sqlite3") as manifest:
        assert manifest.counts()[State.DONE] == FILES
        assert sorted(path.name for path in archive.iterdir() if path.is_file()) == [
            "archive.sqlite3",
            "archive.sqlite3.lock",
        ]
    assert "mode=ro&immutable=1" in asked


@pytest.mark.parametrize(
    "assignment",
    [
        "ratio = 9e999",
        "ratio = 'x'",
        "ratio = 1e300",
        "ratio = NULL",
        "size_bytes = 9223372036854775807",
        "size_bytes = 'x'",
        "output_bytes = -1",
        "pixel_bytes = 9e999",
        "seconds = x'00'",
        "verified = 7",
    ],
)
def test_figures_that_no_build_writes(archive: Path, assignment: str) -> None:
    change(archive, f"UPDATE file SET {assignment} WHERE output = ?", VICTIM)
    found = run("report", archive, "-o", archive.with_name("report"))
    assert found.exit_code == 1
    assert "has figures that no build writes" in found.stderr
    assert not archive.with_name("report").exists()


@pytest.mark.parametrize(
    "value",
    [
        "no json",
        "[" * 100_000,
        '"stored"',
        '{"name": "stored"}',
        '{"name": 1, "settings": {}}',
        '{"name": "stored", "settings": []}',
    ],
)
def test_settings_that_no_build_writes(archive: Path, value: str) -> None:
    change(archive, "UPDATE setting SET value = ? WHERE key = 'codec'", value)
    for found in (run("report", archive), build(archive.with_name("in"), "-o", archive, jobs=0)):
        assert found.exit_code == 1
        assert "its setting 'codec'" in found.stderr


def test_the_report_escapes_every_text(archive: Path, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\ud800"
    change(
        archive,
        "UPDATE setting SET value = ? WHERE key = 'codec'",
        json.dumps({"name": evil, "settings": {evil: evil}}),
    )
    change(archive, "UPDATE setting SET value = ? WHERE key = 'xraycodec'", json.dumps(evil))
    change(
        archive,
        "UPDATE file SET state = 'failed', path = ?, error_class = ?, error = x'ff3c62'"
        " WHERE output = ?",
        evil[:-1],
        evil[:-1],
        VICTIM,
    )
    assert run("report", archive, "-o", tmp_path / "report", "--currency", evil[:-1]).exit_code == 0
    page = (tmp_path / "report" / "archive-report.html").read_text()
    assert page.count("&lt;script&gt;") == 8
    assert "<script" not in page
    assert "<b" not in page.replace("<body>", "")
    json.loads((tmp_path / "report" / "archive-report.json").read_text())


def lines_of(*lines: str) -> Iterator[str]:
    good = {
        "size_bytes": 5,
        "mtime_ns": 1,
        "content_hash": "a",
        "pixel_hash": "b",
        "output_bytes": 3,
        "output_hash": "c",
        "pixel_bytes": 4.0,
        "verified": True,
    }
    yield from lines
    for changed in (
        {"output_bytes": 0},
        {"output_bytes": "3"},
        {"pixel_hash": 5},
        {"more": 1},
        {"mtime_ns": "1"},
        {"verified": [1]},
    ):
        yield json.dumps([1, 1, 0.5, good | changed])
    yield json.dumps(["1", 1, 0.5, good])
    yield json.dumps([2, 1, 0.5, good])


def test_journals_that_no_worker_writes(tmp_path: Path) -> None:
    (tmp_path / "0.jsonl").mkdir()
    (tmp_path / "1.jsonl").write_text("\n".join(lines_of("", "[" * 100_000, "{}", "[1, 2]", "\0")))
    assert [outcome.id for outcome in read_journals(tmp_path)] == [2]
