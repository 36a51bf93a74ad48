"""A build that is killed goes on where it was, on one machine and on a cluster."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from archive_running import (
    BROKEN,
    build,
    kill_build,
    make_tree,
    outputs,
    rows,
    run,
    states,
    times,
)
from pools_trying import Trying, everything

from xraycodec import decompress
from xraycodec.archive.cluster import ClusterPool
from xraycodec.archive.places import TEMPORARIES
from xraycodec.archive.records import Checked, Failure

FILES, BROKEN_FILES = 200, 10


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tree(tmp_path_factory.mktemp("tree") / "in", FILES, BROKEN_FILES)


@pytest.fixture(scope="module")
def reference(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The archive that an undisturbed run in one process makes."""
    folder = tmp_path_factory.mktemp("reference") / "out"
    result = build(tree, "-o", folder, jobs=0)
    assert result.exit_code == 1
    assert states(folder / "archive.sqlite3") == {"done": FILES - BROKEN_FILES, "failed": 10}
    return folder


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """A cluster of two processes."""
    distributed = pytest.importorskip("distributed")
    import dask

    # Dask would have a task kill three workers before it gives it up.
    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 0}),
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as cluster,
    ):
        yield cluster.scheduler_address


def is_reference(folder: Path, reference: Path) -> None:
    assert outputs(folder) == outputs(reference)
    assert rows(folder / "archive.sqlite3") == rows(reference / "archive.sqlite3")
    names = {path.name for path in folder.iterdir() if not path.name.startswith("ward")}
    assert names == {"archive.sqlite3", "archive.sqlite3.lock"}


def test_the_pool_makes_what_one_process_makes(tree: Path, reference: Path, tmp_path: Path) -> None:
    result = build(tree, "-o", tmp_path / "out", jobs=2)
    assert result.exit_code == 1
    assert result.stderr.count(BROKEN) == BROKEN_FILES
    is_reference(tmp_path / "out", reference)


def test_the_cluster_makes_what_one_process_makes(
    tree: Path, reference: Path, tmp_path: Path, scheduler: str
) -> None:
    result = run(
        "build", tree, "-o", tmp_path / "out", "--codec", "stored", "--scheduler", scheduler
    )
    assert result.exit_code == 1
    assert result.stderr.count(BROKEN) == BROKEN_FILES
    is_reference(tmp_path / "out", reference)


def test_a_file_that_kills_workers_of_the_cluster_stops_no_other(
    tmp_path: Path, scheduler: str
) -> None:
    task = Trying(tmp_path, dies=5)
    found, stopped = everything(ClusterPool(task, scheduler, 3), 24)
    assert stopped is None
    assert sorted(found) == list(range(24))
    died = found.pop(5).result
    assert isinstance(died, Failure)
    assert died.kind == "died"
    assert {outcome.result for outcome in found.values()} == {Checked(True)}


@pytest.mark.parametrize("where", ["pool", "cluster"])
def test_killed_in_the_middle_it_resumes(
    tree: Path,
    reference: Path,
    tmp_path: Path,
    where: str,
    request: pytest.FixtureRequest,
) -> None:
    out = tmp_path / "out"
    manifest = out / "archive.sqlite3"
    workers = (
        ("--jobs", 2)
        if where == "pool"
        else ("--scheduler", request.getfixturevalue("scheduler"), "--batch", 4)
    )
    killed = kill_build(tmp_path, tree, "-o", out, *workers, after=30, before_record=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    found = states(manifest)
    assert 30 <= found["done"] < FILES - BROKEN_FILES
    assert found["pending"] + found["running"] > 0
    expected = outputs(reference)
    for name, data in outputs(out).items():
        assert data == expected[name]
    finished = times(out)
    # What a write leaves that SIGKILL ends, and a journal line that was cut off.
    left = out / TEMPORARIES / f"{_owner(manifest)}-0123456789abcdef.tmp"
    left.parent.mkdir(exist_ok=True)
    left.write_bytes(b"part")
    if where == "pool":
        (manifest.with_name("archive.sqlite3.running") / "99.jsonl").write_bytes(
            b'[3, 1, 0.1, {"si'
        )
    result = run("build", tree, "-o", out, "--codec", "stored", *workers)
    assert result.exit_code == 1
    is_reference(out, reference)
    after = times(out)
    assert {path: after[path] for path in finished} == finished


def test_what_is_finished_and_not_recorded_is_not_done_again(
    tree: Path, reference: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    killed = kill_build(tmp_path, tree, "-o", out, "--jobs", 2, after=30, before_record=True)
    assert killed.returncode == -signal.SIGKILL
    journals = list(out.glob("archive.sqlite3.running/*.jsonl"))
    noted = sum(len(path.read_bytes().splitlines()) for path in journals)
    recorded = states(out / "archive.sqlite3")["done"]
    assert noted > 0
    # Without originals, only what was finished before can be done.
    gone = tree.with_name("away")
    shutil.move(tree, gone)
    try:
        result = build("-o", out, "--from-list", "-", stdin=b"")
    finally:
        shutil.move(gone, tree)
    assert result.exit_code == 1
    journaled = states(out / "archive.sqlite3")["done"] - recorded
    assert 0 < journaled <= noted


def _owner(manifest: Path) -> str:
    from xraycodec.archive.manifest import Manifest

    with Manifest(manifest) as opened:
        owner = opened.setting("id")
    assert isinstance(owner, str)
    return owner


def test_every_file_of_the_reference_decodes(reference: Path) -> None:
    for data in list(outputs(reference).values())[::20]:
        assert decompress(data).pixels.shape == (24, 24)
