"""Places: whole files or none, nothing overwritten by accident, nothing outside."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from xraycodec.archive.places import TEMPORARIES, LocalPlace, Place, digest, place_for
from xraycodec.errors import OptionError


@pytest.fixture(params=["local", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "memory":
        pytest.importorskip("fsspec")
        return place_for(f"memory://{tmp_path.name}", "me")
    return place_for(str(tmp_path / "out"), "me")


def test_files_are_put_and_read(place: Place) -> None:
    assert place.size_bytes("a/b.xrc") is None
    place.put("a/b.xrc", b"data", earlier=None, force=False)
    assert place.size_bytes("a/b.xrc") == 4
    assert place.read("a/b.xrc") == b"data"
    assert place.size_bytes("a/b.xrc/c") is None


def test_what_is_there_is_replaced_only_where_it_may_be(place: Place) -> None:
    place.put("a", b"one", earlier=None, force=False)
    place.put("a", b"one", earlier=None, force=False)
    with pytest.raises(OptionError, match="a exists with other content; -f overwrites it"):
        place.put("a", b"two", earlier=digest(b"another"), force=False)
    assert place.read("a") == b"one"
    place.put("a", b"two", earlier=digest(b"one"), force=False)
    assert place.read("a") == b"two"
    place.put("a", b"three", earlier=None, force=True)
    assert place.read("a") == b"three"


@pytest.mark.parametrize("name", ["../a", "a/../../b", "/etc/a", ".."])
def test_names_that_lead_out_are_refused(place: Place, name: str) -> None:
    with pytest.raises(OptionError, match="leads out of the folder"):
        place.put(name, b"", earlier=None, force=True)


def test_a_file_that_appears_meanwhile_is_safe(tmp_path: Path) -> None:
    place = LocalPlace(str(tmp_path), "me")
    (tmp_path / "a").write_bytes(b"theirs")
    with pytest.raises(OptionError, match="exists; -f overwrites it"):
        place.write("a", b"ours", replace=False)
    assert (tmp_path / "a").read_bytes() == b"theirs"
    assert list((tmp_path / TEMPORARIES).iterdir()) == []


def test_a_write_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(5, "I/O error")

    place = LocalPlace(str(tmp_path), "me")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OSError, match="I/O error"):
        place.put("a/b", b"data", earlier=None, force=False)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_cleaning_takes_what_is_ones_own(tmp_path: Path) -> None:
    folder = tmp_path / TEMPORARIES
    folder.mkdir()
    (folder / "me-1.tmp").touch()
    (folder / "you-1.tmp").touch()
    LocalPlace(str(tmp_path), "me").clean()
    assert [path.name for path in folder.iterdir()] == ["you-1.tmp"]
    LocalPlace(str(tmp_path), "you").clean()
    assert not folder.exists()


def test_urls_that_cannot_serve() -> None:
    pytest.importorskip("fsspec")
    with pytest.raises(OptionError, match="nosuch"):
        place_for("nosuch://a/b", "me")
    with pytest.raises(OptionError, match="would be seen in parts"):
        place_for("http://example.org/a", "me")
    assert place_for("file:///a/b", "me") == LocalPlace("/a/b", "me")
