"""Buckets: a real server on loopback, which fails as buckets do."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from archive_running import build, make_tree, outputs, rows, run, states

from xraycodec.archive.places import digest, place_for
from xraycodec.errors import OptionError

pytest.importorskip("s3fs")
server_module = pytest.importorskip("moto.server")

# Of moto's own web server and of sessions that aiobotocore leaves to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
FILES = 12

Environ = dict[str, Any]
StartResponse = Callable[[str, list[tuple[str, str]]], Any]


class Faulty:
    """Answers the first so many requests of a kind with an error of the server's."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.faults: dict[tuple[str, str], int] = {}
        self.hits = 0

    def __call__(self, environ: Environ, start: StartResponse) -> Iterable[bytes]:
        with self._lock:
            for (method, ending), left in self.faults.items():
                path = environ["PATH_INFO"]
                if left and environ["REQUEST_METHOD"] == method and path.endswith(ending):
                    self.faults[method, ending] -= 1
                    self.hits += 1
                    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                    body = b"<Error><Code>InternalError</Code><Message>injected</Message></Error>"
                    start("500 Internal Server Error", [("Content-Length", str(len(body)))])
                    return [body]
        answer: Iterable[bytes] = self._app(environ, start)
        return answer


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Faulty]]:
    moto = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    moto.start()
    host, port = moto.get_host_and_port()
    faulty = Faulty(moto._server.app)
    moto._server.app = faulty
    yield f"http://{host}:{port}", faulty
    moto.stop()


@pytest.fixture
def bucket(
    server: tuple[str, Faulty], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> tuple[Any, str, Faulty]:
    """File system, URL of an empty bucket, and the server's faults."""
    import fsspec
    import s3fs

    url, faulty = server
    options = {
        "key": "k",
        "secret": "s",
        "endpoint_url": url,
        "config_kwargs": {"retries": {"max_attempts": 0}},
    }
    # What a user would put into the environment; worker processes read it, too.
    monkeypatch.setenv("FSSPEC_S3", json.dumps(options))
    monkeypatch.setitem(fsspec.config.conf, "s3", options)
    monkeypatch.setattr(s3fs.S3FileSystem, "retries", 1)
    faulty.faults.clear()
    faulty.hits = 0
    system = fsspec.filesystem("s3", use_listings_cache=False)
    name = f"b{abs(hash(request.node.name))}"
    system.mkdir(name)
    return system, f"s3://{name}", faulty


def upload(system: Any, url: str, tree: Path) -> None:
    for path in tree.rglob("*.png"):
        system.pipe_file(f"{url}/in/{path.relative_to(tree).as_posix()}", path.read_bytes())


def test_from_bucket_to_bucket_and_back(bucket: tuple[Any, str, Faulty], tmp_path: Path) -> None:
    system, url, _ = bucket
    tree = make_tree(tmp_path / "in", FILES, broken=2)
    upload(system, url, tree)
    manifest = tmp_path / "m.sqlite3"
    arguments = (f"{url}/in", "-o", f"{url}/out", "--manifest", manifest)
    result = build(*arguments)  # in a process of its own
    assert result.exit_code == 1
    assert states(manifest) == {"done": 10, "failed": 2}
    assert build(tree, "-o", tmp_path / "local", jobs=0).exit_code == 1
    expected = outputs(tmp_path / "local")
    found = {name.split("/out/")[1]: system.cat_file(name) for name in system.find(f"{url}/out")}
    assert found == expected
    assert all(row["mtime_ns"] for row in rows(manifest).values())
    again = build(*arguments, "--json", jobs=0)
    assert [line for line in again.stdout.splitlines() if "output" in line] == []
    assert run("verify", f"{url}/out", "--manifest", manifest, "--jobs", 0).exit_code == 0
    extracted = run(
        *("extract", f"{url}/out", "--manifest", manifest, "-o", f"{url}/back", "--jobs", 0)
    )
    assert extracted.exit_code == 0
    assert len(system.find(f"{url}/back")) == 10


def test_errors_of_the_server_pass(bucket: tuple[Any, str, Faulty], tmp_path: Path) -> None:
    system, url, faulty = bucket
    upload(system, url, make_tree(tmp_path / "in", FILES))
    manifest = tmp_path / "m.sqlite3"
    faulty.faults = {
        ("GET", "chest003.png"): 1,
        ("PUT", "chest005.png.xrc"): 2,
        ("HEAD", "chest007.png"): 1,
    }
    result = build(f"{url}/in", "-o", f"{url}/out", "--manifest", manifest, jobs=0)
    assert (result.exit_code, faulty.hits) == (0, 4)
    attempts = {name[-16:-8]: row["attempts"] for name, row in rows(manifest).items()}
    assert {name for name, made in attempts.items() if made > 1} == {
        "chest003",
        "chest005",
        "chest007",
    }
    assert attempts["chest005"] == 3


def test_errors_that_stay_are_a_later_run_s(
    bucket: tuple[Any, str, Faulty], tmp_path: Path
) -> None:
    system, url, faulty = bucket
    upload(system, url, make_tree(tmp_path / "in", 3))
    manifest = tmp_path / "m.sqlite3"
    arguments = (f"{url}/in", "-o", f"{url}/out", "--manifest", manifest, "--attempts", 2)
    faulty.faults = {("PUT", "chest001.png.xrc"): 99}
    assert build(*arguments, jobs=0).exit_code == 1
    (failed,) = (row for row in rows(manifest).values() if row["state"] == "failed")
    assert (failed["transient"], failed["attempts"]) == (1, 2)
    assert "injected" in failed["error"]
    faulty.faults.clear()
    assert build(*arguments, jobs=0).exit_code == 0
    assert states(manifest) == {"done": 3}


def test_what_arrives_is_looked_at(
    bucket: tuple[Any, str, Faulty], monkeypatch: pytest.MonkeyPatch
) -> None:
    system, url, _ = bucket
    place = place_for(f"{url}/out", "me")
    place.put("a", b"data", earlier=None, force=False)
    put = system.pipe_file
    monkeypatch.setattr(system, "pipe_file", lambda path, data: put(path, data[::-1]))
    with pytest.raises(ConnectionError, match="the store holds other bytes than were sent"):
        place.put("b", b"data", earlier=None, force=False)
    assert place.size_bytes("b") is None
    with pytest.raises(OptionError, match="exists with other content"):
        place.put("a", b"atad", earlier=digest(b"other"), force=False)
