"""Files written once decode for ever, and what was once refused stays refused."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xraycodec
from xraycodec.codecs.lattice import decoding
from xraycodec.codecs.lattice.model import model_by_digest
from xraycodec.container import hash_pixels
from xraycodec.exact.runtime import BACKENDS

VECTORS = Path(__file__).parents[1] / "spec" / "vectors"
ACCEPTED = sorted((VECTORS / "accepted").glob("*.xrc"))
REJECTED = sorted((VECTORS / "rejected").glob("*.xrc"))


@pytest.fixture(autouse=True)
def own_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XRAYCODEC_MODELS", str(VECTORS / "models"))


def test_no_vector_is_missing() -> None:
    assert len(ACCEPTED) == 80
    assert len(REJECTED) == 100


def ancillary_facts(image: xraycodec.XRay) -> dict[str, Any]:
    file, spare = image.dicom_file, image.spare_bits
    facts: dict[str, Any] = {"losses": [[x.method, x.ratio, x.max_error] for x in image.losses]}
    if file is not None:
        preamble = None if file.preamble is None else file.preamble.hex()
        facts["dicom_file"] = {
            "meta": file.meta.hex(),
            "preamble": preamble,
            "pixel_vr": file.pixel_vr,
            "pixel_tail": file.pixel_tail.hex(),
        }
    if spare is not None:
        facts["spare_bits"] = {
            "sign_bits": spare.sign_bits,
            "plane_bits": spare.plane_bits,
            "planes": spare.planes.hex(),
        }
    return facts


@pytest.mark.parametrize("path", ACCEPTED, ids=lambda path: path.stem)
def test_accepted(path: Path) -> None:
    facts = json.loads(path.with_suffix(".json").read_text())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", xraycodec.PixelDriftWarning)
        image = xraycodec.decompress(path.read_bytes())
    assert image.frames.shape == (facts["frames"], facts["rows"], facts["columns"])
    assert image.bits_stored == facts["bits_stored"]
    assert image.signed == facts["signed"]
    assert image.photometric_interpretation == facts["photometric_interpretation"]
    assert (image.dicom is not None) == facts["has_dicom"]
    found = ancillary_facts(image)
    assert {name: found.get(name) for name in found.keys() & facts.keys()} == {
        name: facts[name] for name in ("dicom_file", "spare_bits", "losses") if name in facts
    }
    if facts["exact"]:
        assert hash_pixels(image.pixels, image.bits_stored).hex() == facts["pixels_sha256"]
    else:
        expected = np.load(path.with_suffix(".npy")).astype(np.int64)
        # One grey level: spec/rnn-conv.md, section 6, and spec/toderici.md, section 7.
        assert np.abs(image.frames.astype(np.int64) - expected).max() <= 1


@pytest.mark.parametrize("backend", sorted(BACKENDS))
@pytest.mark.parametrize(
    "path", [path for path in ACCEPTED if path.stem.startswith("lattice")], ids=lambda p: p.stem
)
def test_every_backend_decodes_to_the_same_pixels(
    path: Path, backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "torch":
        pytest.importorskip("torch", reason="the torch backend needs torch: xraycodec[train]")
    monkeypatch.setenv("XRAYCODEC_BACKEND", backend)
    # Not the cached models: those run on the backend that was set when they were loaded.
    monkeypatch.setattr(decoding, "model_by_digest", model_by_digest.__wrapped__)
    facts = json.loads(path.with_suffix(".json").read_text())
    image = xraycodec.decompress(path.read_bytes(), threads=1)
    assert hash_pixels(image.pixels, image.bits_stored).hex() == facts["pixels_sha256"]


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_rejected(path: Path) -> None:
    error = json.loads(path.with_suffix(".json").read_text())["error"]
    with pytest.raises(xraycodec.XrayCodecError) as raised:
        xraycodec.decompress(path.read_bytes())
    assert type(raised.value).__name__ == error


def test_a_cut_stream_gives_its_first_layers() -> None:
    whole = (VECTORS / "accepted" / "toderici-8-bit.xrc").read_bytes()
    cut = (VECTORS / "rejected" / "toderici-cut-after-2-layers.xrc").read_bytes()
    assert whole.startswith(cut)
    found, expected = (
        xraycodec.decompress_prefix(data, layers=layers)
        for data, layers in ((cut, None), (whole, 2))
    )
    assert (found.layers, found.of_layers) == (2, 4)
    np.testing.assert_array_equal(found.image.pixels, expected.image.pixels)
