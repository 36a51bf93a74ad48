"""``xrc`` with files whose lossy base has a completion."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from wavelet_building import smooth

from xraycodec.cli import xrc
from xraycodec.codecs.wavelet import Wavelet
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress
from xraycodec.prefix import decompress_prefix

pytestmark = pytest.mark.usefixtures("tiny_model")

IMAGE = smooth(60, 70)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(xrc, [str(argument) for argument in arguments])


def values_of(*arguments: object) -> dict[str, Any]:
    (line,) = run(*arguments, "--json").stdout.splitlines()
    values: dict[str, Any] = json.loads(line)
    return values


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    """A lossless ``chest.npy.xrc`` with a base, alone in its folder."""
    np.save(tmp_path / "chest.npy", IMAGE.pixels)
    outcome = run(
        *("compress", "--codec", "wavelet", "--ratio", 12, "--max-error", 0, "--profile", "fast"),
        *("--threads", 1, tmp_path / "chest.npy"),
    )
    assert outcome.exit_code == 0, outcome.output
    (tmp_path / "chest.npy").unlink()
    return tmp_path / "chest.npy.xrc"


def test_a_lossless_file(chest: Path) -> None:
    np.testing.assert_array_equal(decompress(chest.read_bytes()).pixels, IMAGE.pixels)
    assert run("decompress", chest).exit_code == 0
    np.testing.assert_array_equal(np.load(chest.with_suffix("")), IMAGE.pixels)
    assert run("verify", chest).exit_code == 0


def test_info_names_the_parts(chest: Path) -> None:
    values = values_of("info", chest)
    assert (values["lossless"], values["layers"], values["completion_model_name"]) == (
        True,
        8,
        "lattice-fast",
    )
    assert values["base_bytes"] + values["completion_bytes"] == values["payload_bytes"]
    base = compress(IMAGE, Wavelet(ratio=12, threads=1))
    assert 0 < values["base_bytes"] < len(base)
    assert run("info", chest).stdout.splitlines()[4].startswith("  parts    base ")
    (chest.parent / "base.xrc").write_bytes(base)
    assert "\n  parts" not in run("info", chest.parent / "base.xrc").stdout


@pytest.mark.parametrize("layers", [1, 4, 6, 8])
def test_layers(chest: Path, layers: int) -> None:
    values = values_of("decompress", "--layers", layers, chest)
    assert values["output"] == str(chest.with_name(f"chest.layers{layers}.npy"))
    found = np.load(values["output"])
    expected = decompress_prefix(chest.read_bytes(), layers=layers)
    np.testing.assert_array_equal(found, expected.image.pixels)
    assert (values["layers"], values["of_layers"]) == (expected.layers, 8)
    assert values["lossy"] == (layers < 8)


def test_a_file_that_was_cut_off_gives_its_base(chest: Path) -> None:
    data = chest.read_bytes()
    chest.write_bytes(data[:-400])
    whole = chest.with_suffix("")
    refused = run("decompress", chest)
    assert refused.exit_code == 1
    assert "7 of 8 layers are intact; --partial gives the image that these hold" in (refused.stderr)
    assert not whole.exists()
    outcome = run("decompress", chest, "--partial")
    assert outcome.exit_code == 0
    assert "the file was cut off; the image is made from the first 4 of 8 layers" in outcome.stderr
    base = whole.with_name(f"{whole.stem}.layers4-of-8{whole.suffix}")
    np.testing.assert_array_equal(np.load(base), decompress_prefix(data, layers=4).image.pixels)
    assert not whole.exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--layers", 4, "--iterations", 4), "--iterations and --layers ask for the same"),
        (("--layers", 4, "--scale", 2), "--layers goes with neither --scale nor --region"),
        (("--layers", 0), "0 is not in the range"),
    ],
    ids=str,
)
def test_what_does_not_go_together(chest: Path, options: tuple[object], message: str) -> None:
    outcome = run("decompress", *options, chest)
    assert outcome.exit_code == 2
    assert message in outcome.stderr


def test_more_layers_than_there_are(chest: Path) -> None:
    outcome = run("decompress", "--layers", 9, chest)
    assert outcome.exit_code == 1
    assert "9 layers; the file has 1 to 8" in outcome.stderr


def test_a_profile_without_a_completion(chest: Path) -> None:
    outcome = run("compress", "--codec", "wavelet", "--profile", "fast", chest)
    assert outcome.exit_code == 2
    assert "profile fast is of a completion; it needs a maximum error" in outcome.stderr


def test_info_tells_what_was_taken_off(tmp_path: Path) -> None:
    pixels = smooth(64, 60).pixels // 2 + 60
    pixels[0], pixels[:, -1] = pixels[2] // 2, pixels[:, -3] * 0.59
    mask = np.hypot(*np.mgrid[-32:32, -30:30]) > 20
    for name, image, said in (
        ("margins", pixels, ", margins"),
        ("shutter", np.where(mask, 0, smooth(64, 60).pixels // 2 + 120), ", shutter of"),
        ("neither", smooth(64, 60).pixels, ""),
    ):
        path = tmp_path / f"{name}.xrc"
        path.write_bytes(compress(XRay(image.astype(np.uint8), 8), Wavelet(step=9, threads=1)))
        values = values_of("info", path)
        assert values["step"] == 9
        assert values["margins"] is (name == "margins")
        assert (values["shutter_bytes"] > 0) is (name == "shutter")
        assert f"  wavelet  step 9{said}" in run("info", path).output
