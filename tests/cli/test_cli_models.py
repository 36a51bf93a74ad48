"""A model of one's own: chosen by name or file to encode, found by its digest to decode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_running import run

from xraycodec import (
    Lattice,
    ModelError,
    OptionError,
    RnnConv,
    Toderici,
    Wavelet,
    XRay,
    add_model,
    compress,
    decompress,
)
from xraycodec.codecs.lattice import model as lattice
from xraycodec.codecs.rnn_conv import model as rnn_conv
from xraycodec.codecs.toderici import model as toderici
from xraycodec.codecs.wavelet import model as wavelet
from xraycodec.container import read_header
from xraycodec.exact import pack
from xraycodec.exact.pinned import PINNED

MODELS = Path(__file__).parents[2] / "spec" / "vectors" / "models"
PACKS = {
    "lattice": "lattice-vectors",
    "wavelet": "wavelet-vectors",
    "rnn-conv": "rnn-conv-vectors-128",
    "toderici": "toderici-vectors",
}
MORE = {"rnn-conv": ("--tile", 128), "toderici": ("--iterations", 2)}


def forget() -> None:
    """Know no more of any pack than a new process does."""
    pack._added.clear()
    caches: tuple[Any, ...] = (
        *(pack.find_pack, pack.named_pack, rnn_conv._load, toderici.model_for),
        *(lattice.model_by_digest, lattice.guided_model_by_digest, wavelet.model_by_digest),
    )
    for cached in caches:
        cached.cache_clear()


@pytest.fixture(autouse=True)
def new_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(pack.SEARCH_PATH, raising=False)
    forget()
    yield
    forget()


def file_of(name: str) -> Path:
    return MODELS / f"{name}.xrcpack"


def digest_of(name: str) -> str:
    return pack.read_pack(file_of(name)).digest.hex()


def named(file: Path) -> str:
    return read_header(file.read_bytes()).model.hex()


@pytest.mark.parametrize("codec", PACKS)
def test_a_file_by_its_path_and_back_by_its_digest(codec: str, png: Path, tmp_path: Path) -> None:
    file, digest = file_of(PACKS[codec]), digest_of(PACKS[codec])
    options = ("--codec", codec, *MORE.get(codec, ()), "--threads", 1)
    outcome = run("compress", png, *options, "--model", file)
    assert outcome.code == 0, outcome.err
    compressed, back = Path(f"{png}.xrc"), tmp_path / "back.png"
    assert named(compressed) == digest

    forget()
    outcome = run("decompress", compressed, "-o", back)
    assert outcome.code == 1
    assert f"no model pack {digest}" in outcome.err
    assert "--model" in outcome.err
    assert "XRAYCODEC_MODELS" in outcome.err
    assert not back.exists()

    for command, to in (("decompress", ("-o", back)), ("verify", ())):
        forget()
        outcome = run(command, compressed, "--model", file, *to)
        assert outcome.code == 0, outcome.err
    assert back.exists()


@pytest.mark.parametrize("codec", PACKS)
def test_a_name_that_does_not_ship_is_found_in_the_search_path(
    codec: str, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ("--codec", codec, *MORE.get(codec, ()), "--model", PACKS[codec], "--threads", 1)
    outcome = run("compress", png, *options)
    assert outcome.code == 2
    assert f"no model pack {PACKS[codec]}.xrcpack in XRAYCODEC_MODELS" in outcome.err
    monkeypatch.setenv(pack.SEARCH_PATH, str(MODELS))
    assert run("compress", png, *options).code == 0
    assert named(Path(f"{png}.xrc")) == digest_of(PACKS[codec])


@pytest.mark.parametrize(("codec", "name"), [("lattice", "lattice-best"), ("wavelet", "wavelet")])
def test_a_shipped_name_is_the_shipped_pack_whatever_the_search_path_has(
    codec: str, name: str, png: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / f"{name}.xrcpack").write_bytes(file_of(PACKS[codec]).read_bytes())
    monkeypatch.setenv(pack.SEARCH_PATH, str(folder))
    for more in ((), ("--model", name)):
        assert run("compress", "-f", png, "--codec", codec, *more).code == 0
        assert named(Path(f"{png}.xrc")) == PINNED[name]
    own = ("--model", folder / f"{name}.xrcpack")
    assert run("compress", "-f", png, "--codec", codec, *own).code == 0
    assert named(Path(f"{png}.xrc")) == digest_of(PACKS[codec])


def test_a_completion_has_a_model_of_its_own(png: Path) -> None:
    guided = file_of("lattice-guided-vectors")
    options = ("--codec", "wavelet", "--max-error", 0, "--completion-model", guided)
    assert run("compress", png, *options).code == 0
    outcome = run("info", "--json", f"{png}.xrc")
    assert digest_of("lattice-guided-vectors") in outcome.out
    assert named(Path(f"{png}.xrc")) == PINNED["wavelet"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--codec", "stored", "--model", "x"), "no model pack x.xrcpack"),
        (("--codec", "stored", "--model", "lattice-best"), "--model goes with --codec lattice,"),
        (("--model", "gone.xrcpack"), "gone.xrcpack is no readable model pack"),
        (("--model", "../lattice-best"), "is neither the name of a model nor the path of a file"),
        (("--model", "runs/mine"), "is neither the name of a model nor the path of a file"),
        (("--model", "lattice-fast", "--profile", "fast"), "a profile is a model"),
        (
            ("--codec", "wavelet", "--completion-model", "lattice-fast"),
            "model lattice-fast is of a completion; it needs a maximum error",
        ),
        (("--completion-model", "lattice-fast"), "goes with --codec wavelet"),
    ],
)
def test_wrong_usage(options: tuple[str, ...], message: str, png: Path) -> None:
    outcome = run("compress", png, *options)
    assert outcome.code == 2
    assert message in " ".join(outcome.err.split())
    assert not Path(f"{png}.xrc").exists()


def test_the_pack_of_another_codec(png: Path) -> None:
    outcome = run("compress", png, "--codec", "rnn-conv", "--model", "wavelet")
    assert outcome.code == 1
    assert "model pack 'wavelet' serves codec 'WAVE', not 'RNNC'" in outcome.err
    assert not Path(f"{png}.xrc").exists()


def test_a_file_to_decode_with_that_is_no_pack(stored: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.xrcpack"
    broken.write_bytes(b"PK")
    outcome = run("decompress", stored, "--model", broken)
    assert outcome.code == 2
    assert "is no readable model pack" in " ".join(outcome.err.split())


def test_from_python() -> None:
    image = XRay((np.arange(40 * 40).reshape(40, 40) % 251).astype("u1"), 8)
    for codec in (
        Lattice(model=file_of("lattice-vectors")),
        Wavelet(model=str(file_of("wavelet-vectors"))),
        RnnConv(tile=128, model=file_of("rnn-conv-vectors-128")),
        Toderici(2, model=file_of("toderici-vectors")),
    ):
        forget()
        data = compress(image, codec)
        forget()
        with pytest.raises(ModelError, match=r"xraycodec\.add_model"):
            decompress(data)
        add_model(codec.model)
        assert decompress(data).pixels.shape == (40, 40)


def test_a_model_leaves_no_choice_of_another() -> None:
    for wrong in (
        lambda: Lattice(profile="fast", model="x"),
        lambda: RnnConv(configuration="paper", model="x"),
        lambda: Wavelet(completion_model="x"),
        lambda: Wavelet(max_error=0, profile="fast", completion_model="x"),
    ):
        with pytest.raises(OptionError):
            wrong()
