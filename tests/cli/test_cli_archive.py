"""``xrc archive``: what it prints, refuses and writes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_running import Outcome, names_in, radiograph, read_image, run, same, write_image


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for number in range(4):
        write_image(tmp_path / "in" / f"ward{number % 2}" / f"{number}.png", radiograph(), "png")
    return tmp_path / "in"


@pytest.fixture
def archive(tree: Path) -> Path:
    assert build(tree, "-o", tree.with_name("out")).code == 0
    return tree.with_name("out")


def build(*arguments: object, stdin: bytes = b"") -> Outcome:
    return run(*("archive", "build", *arguments, "--codec", "stored", "--jobs", 0), stdin=stdin)


def test_help_names_the_commands() -> None:
    text = run("archive", "--help").out
    assert all(name in text for name in ("build", "verify", "extract", "report"))
    assert "archive" in run("--help").out


def test_a_summary_and_with_json_a_line_for_each_file(tree: Path) -> None:
    out = tree.with_name("out")
    assert build(tree, "-o", out).out == f"{out / 'archive.sqlite3'}: 4 done\n"
    *files, summary = build(tree, "-o", tree.with_name("b"), "--json").json_lines
    assert {line["output"] for line in files} == {f"ward{n % 2}/{n}.png.xrc" for n in range(4)}
    assert {
        "input",
        "input_bytes",
        "pixel_bytes",
        "size_bytes",
        "ratio",
        "verified",
        "seconds",
    } < set(files[0])
    assert summary["files"] == {"pending": 0, "running": 0, "done": 4, "failed": 0, "skipped": 0}
    verbose = build(tree, "-o", tree.with_name("c"), "-v")
    assert f"{tree}/ward1/3.png: " in verbose.out
    quiet = build(tree, "-o", tree.with_name("d"), "-q")
    assert (quiet.out, quiet.err) == ("", "")


def test_lists_come_from_files_and_standard_input(tree: Path) -> None:
    out = tree.with_name("out")
    names = [str(path) for path in sorted(tree.rglob("*.png"))]
    (tree / "list").write_text("\n".join(names[:2]))
    stdin = "\0".join(names[2:]).encode()
    assert build("--from-list", tree / "list", "--base", tree, "-o", out).code == 0
    assert build("--from-list", "-", "-0", "--base", tree, "-o", out, stdin=stdin).code == 0
    assert sum(name.endswith(".png.xrc") for name in names_in(out)) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name an INPUT or a list"),
        (("in",), "name the archive's folder with -o"),
        (("in", "-o", "out", "--scheduler", "tcp://127.0.0.1:1"), "--jobs goes with this machine"),
        (("in", "-o", "out", "--max-error", "2"), "--max-error goes with --codec lattice"),
        (("in", "-o", "memory://a/b"), "say --manifest"),
        (("--from-list", "none", "-o", "out"), "none: No such file or directory"),
    ],
)
def test_wrong_usage(
    arguments: tuple[str, ...], message: str, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tree.parent)
    outcome = build(*arguments)
    assert outcome.code in (1, 2)
    assert message in outcome.err
    assert names_in(tree.parent) == [f"in/ward{n % 2}/{n}.png" for n in (0, 2, 1, 3)]


def test_inputs_that_are_not_there_are_failures(tree: Path) -> None:
    outcome = build(tree / "none.png", "-o", tree.with_name("out"))
    assert outcome.code == 1
    assert (
        outcome.err == f"xrc: {tree / 'none.png'}: FileNotFoundError: No such file or directory\n"
    )


def test_a_dry_run_writes_nothing(tree: Path) -> None:
    before = names_in(tree.parent)
    first, second = (build(tree, "--dry-run", "--sample", 2, "--json") for _ in range(2))
    assert first.code == 0
    *lines, estimate = first.json_lines
    assert len(lines) == 2
    assert (estimate["files"], estimate["sampled"], estimate["images"]) == (4, 2, 2)
    assert estimate["saved_bytes"] == estimate["image_bytes"] - estimate["output_bytes"]
    assert estimate["output_bytes"] == second.json_lines[-1]["output_bytes"]
    assert "from 2 images of 2 files sampled" in build(tree, "--dry-run", "--sample", 2).out
    assert names_in(tree.parent) == before


def test_verify_finds_damage_and_requeues_it(tree: Path, archive: Path) -> None:
    assert run("archive", "verify", archive, "--jobs", 0).out.endswith(
        "4 files checked, 0 failed\n"
    )
    damaged, missing = archive / "ward0" / "0.png.xrc", archive / "ward1" / "1.png.xrc"
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:-1] + b"x")
    missing.unlink()
    found = run("archive", "verify", archive, "--jobs", 0, "--quick")
    assert found.code == 1
    assert "CorruptError: ward0/0.png.xrc has" in found.err
    assert "FileNotFoundError" in found.err
    assert run("archive", "verify", archive, "ward?/[23].png", "--jobs", 0).code == 0
    assert build(tree, "-o", archive).out.endswith(": 4 done\n")
    assert damaged.read_bytes() != sound
    assert run("archive", "verify", archive, "--jobs", 0, "--requeue").code == 1
    assert build(tree, "-o", archive).code == 0
    assert run("archive", "verify", archive, "--jobs", 0).code == 0
    assert damaged.read_bytes() == sound


def test_extract_restores_all_or_some(tree: Path, archive: Path) -> None:
    back = tree.with_name("back")
    some = run("archive", "extract", archive, "ward1/*", "-o", back, "--jobs", 0)
    assert some.out == f"{back}: 2 images extracted, 0 failed\n"
    assert names_in(back) == ["ward1/1.png", "ward1/3.png"]
    assert same(read_image(back / "ward1" / "1.png"), read_image(tree / "ward1" / "1.png"))
    assert run("archive", "extract", archive, "-o", back, "--jobs", 0).code == 0
    (back / "ward0" / "0.png").write_bytes(b"theirs")
    kept = run("archive", "extract", archive, "-o", back, "--jobs", 0)
    assert kept.code == 1
    assert "ward0/0.png exists with other content" in kept.err
    assert run("archive", "extract", archive, "-o", back, "--jobs", 0, "-f").code == 0
    assert run("archive", "extract", archive, "-o", back, "--format", "tiff", "--jobs", 0).code == 0
    assert len(names_in(back)) == 8
    assert (back / "ward0" / "2.tif").exists()


def test_extract_refuses_pixels_that_the_manifest_does_not_know(archive: Path) -> None:
    one, other = archive / "ward0" / "0.png.xrc", archive / "ward0" / "2.png.xrc"
    image = write_image(archive.with_name("o.png"), radiograph(shape=(8, 9)), "png")
    run("compress", image, "--codec", "stored")
    one.write_bytes(Path(f"{image}.xrc").read_bytes())
    found = run("archive", "extract", archive, "-o", archive.with_name("back"), "--jobs", 0)
    assert found.code == 1
    assert "the manifest has" in found.err
    assert other.exists()
    assert len(names_in(archive.with_name("back"))) == 3


def test_report_writes_a_page_and_json(archive: Path) -> None:
    folder = archive.with_name("report")
    told = run("archive", "report", archive, "-o", folder, "--price", 50, "--currency", "EUR")
    assert told.code == 0
    assert "EUR a year saved at 50 for a terabyte and month" in told.out
    assert names_in(folder) == ["archive-report.html", "archive-report.json"]
    found = json.loads((folder / "archive-report.json").read_text())
    assert (found["files"]["done"], found["storage"]["currency"]) == (4, "EUR")
    again = run("archive", "report", archive, "-o", folder)
    assert (again.code, "exists; -f overwrites it" in again.err) == (1, True)
    assert run("archive", "report", archive, "-o", folder, "-f", "--json").json_lines[0]["ratio"]


def test_commands_that_read_need_a_manifest(tmp_path: Path) -> None:
    for command in ("verify", "report"):
        outcome = run("archive", command, tmp_path)
        assert outcome.code == 1
        assert "there is not a manifest" in outcome.err
