"""``xrc`` with toderici: iterations, files that were cut off, what is said of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_running import names_in, read_image, run, same, write_image

pytest.importorskip("onnx", reason="the tiny model is built with onnx")
import toderici_building as building
from xraycodec import Lattice, compress, decompress_prefix
from xraycodec.container import parse

LAYERS = 5
IMAGE = building.waves((70, 61), 12)
CODEC = ("--codec", "toderici")


@pytest.fixture(scope="module", autouse=True)
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("models")
    (folder / f"{building.NAME}.xrcpack").write_bytes(building.tiny_pack())
    with building.models_in(folder):
        yield


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    """A sound ``chest.png.xrc`` of five iterations, and nothing else in its folder."""
    path = write_image(tmp_path / "chest.png", IMAGE, "png")
    assert run("compress", *CODEC, "--iterations", LAYERS, "--tile", 32, path).code == 0
    path.unlink()
    return path.with_name("chest.png.xrc")


def cut(path: Path, layers: int, more: int = 3) -> bytes:
    """Cut a file off ``more`` bytes behind the end of its first layers."""
    data = path.read_bytes()
    ends = [chunk.end for chunk in parse(data).chunks if chunk.type in ("INDX", "DATA")]
    path.write_bytes(data[: ends[layers] + more])
    return data


def test_compress_in_words_and_as_json(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.png", IMAGE, "png")
    outcome = run("compress", *CODEC, path)
    assert (outcome.code, outcome.err) == (0, "")
    assert ":1, no error bound -> " in outcome.out
    (result,) = run("compress", *CODEC, "-f", "--iterations", 3, "--json", path).json_lines
    assert (result["codec"], result["iterations"]) == ("toderici", 3)
    assert (result["lossless"], result["max_error"], result["verified"]) == (False, None, True)
    header = parse((tmp_path / "chest.png.xrc").read_bytes()).header
    assert (header.codec, header.layers, header.tile) == ("TODE", 3, 256)


def test_info_names_iterations(chest: Path) -> None:
    (values,) = run("info", "--json", chest).json_lines
    assert (values["codec"], values["iterations"]) == ("toderici", LAYERS)
    assert (values["layers"], values["layers_intact"]) == (LAYERS, LAYERS)
    assert "  codec    toderici, no error bound, 6 tiles of 32, 5 iterations\n" in (
        run("info", chest).out
    )
    cut(chest, 2)
    outcome = run("info", chest)
    assert outcome.code == 1
    assert "6 tiles of 32, 5 iterations (2 intact)\n" in outcome.out


def test_info_of_a_single_iteration(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.png", IMAGE, "png")
    run("compress", *CODEC, "--iterations", 1, path)
    assert "1 tile of 256, 1 iteration\n" in run("info", f"{path}.xrc").out


@pytest.mark.parametrize("force", [(), ("-f",)])
def test_a_file_that_was_cut_off_is_a_failure(chest: Path, force: tuple[str, ...]) -> None:
    cut(chest, 3)
    outcome = run("decompress", *force, chest)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith(
        "; 3 of 5 layers are intact; --partial gives the image that these hold\n"
    )
    assert names_in(chest.parent) == [chest.name]


def test_partial_gives_an_image_whose_name_tells(chest: Path) -> None:
    data = cut(chest, 3)
    target = chest.with_name("chest.iterations3-of-5.png")
    outcome = run("decompress", "--partial", chest)
    assert outcome.code == 0
    assert names_in(chest.parent) == [target.name, chest.name]
    assert outcome.err == (
        f"xrc: {chest}: warning: the file was cut off; the image is made from the first 3 of 5"
        " iterations\n"
    )
    assert outcome.out == f"{chest}: 61 x 70, 12 bits, 3 of 5 iterations -> {target}\n"
    expected = decompress_prefix(data, layers=3).image
    assert same(read_image(target), expected)
    assert run("decompress", "--partial", chest).err.endswith(
        f"{target} exists; -f overwrites it\n"
    )
    assert run("decompress", "--partial", "-f", chest).code == 0


def test_partial_of_a_whole_file_is_the_whole_image(chest: Path) -> None:
    (result,) = run("decompress", "--partial", "--json", chest).json_lines
    assert result["output"] == str(chest.with_name("chest.png"))
    assert "truncated" not in result


def test_partial_goes_to_the_file_that_is_named(chest: Path, tmp_path: Path) -> None:
    cut(chest, 3)
    outcome = run("decompress", "--partial", chest, "-o", tmp_path / "mine.png")
    assert outcome.code == 0
    assert names_in(chest.parent) == [chest.name, "mine.png"]


@pytest.mark.parametrize("quiet", [(), ("-q",), ("--json",)])
def test_nobody_misses_the_warning(chest: Path, quiet: tuple[str, ...]) -> None:
    cut(chest, LAYERS, more=0)
    outcome = run("decompress", "--partial", chest, *quiet)
    assert outcome.code == 0
    assert outcome.err.endswith("was cut off; the image is made from the first 5 of 5 iterations\n")
    assert names_in(chest.parent) == ["chest.iterations5-of-5.png", chest.name]


def test_a_file_that_was_cut_off_as_json_and_from_standard_input(chest: Path) -> None:
    cut(chest, 1)
    outcome = run(
        "decompress", "-", "--partial", "--json", "--format", "npy", "-o", chest.parent / "x.npy",
        stdin=chest.read_bytes(),
    )  # fmt: skip
    (result,) = outcome.json_lines
    assert (result["truncated"], result["pixels_identical"]) == (True, None)
    assert result["size_bytes"] == chest.stat().st_size
    assert (result["iterations"], result["of_iterations"]) == (1, LAYERS)
    assert outcome.err.startswith("xrc: standard input: warning: the file was cut off; ")


def test_verify_and_info_call_it_truncated(chest: Path) -> None:
    cut(chest, 3)
    outcome = run("verify", chest)
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.endswith("; 3 of 5 layers are intact\n")


def test_a_file_cut_off_within_the_first_iteration_leaves_nothing(chest: Path) -> None:
    cut(chest, 0)
    outcome = run("decompress", "--partial", chest)
    assert outcome.code == 1
    assert outcome.err.endswith("; 0 of 5 layers are whole\n")
    outcome = run("decompress", chest)
    assert outcome.code == 1
    assert outcome.err.endswith("; 0 of 5 layers are intact\n")
    assert names_in(chest.parent) == [chest.name]


@pytest.mark.parametrize("length", [0, 5, 40, 90])
def test_a_file_cut_off_before_its_data(chest: Path, length: int) -> None:
    chest.write_bytes(chest.read_bytes()[:length])
    outcome = run("decompress", chest)
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert names_in(chest.parent) == [chest.name]


def test_damage_is_no_cut(chest: Path) -> None:
    data = bytearray(chest.read_bytes())
    data[data.rindex(b"DATA") + 12] ^= 1
    chest.write_bytes(data)
    outcome = run("decompress", chest)
    assert outcome.code == 1
    assert "stores CRC-32" in outcome.err
    assert run("decompress", chest, "--iterations", LAYERS - 1).code == 0


def test_the_first_iterations_of_a_whole_file(chest: Path) -> None:
    outcome = run("decompress", chest, "--iterations", 2)
    target = chest.with_name("chest.iterations2.png")
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.startswith(f"{chest}: 61 x 70, 12 bits, 2 of 5 iterations, read ")
    assert outcome.out.endswith(f" -> {target}\n")
    assert same(read_image(target), decompress_prefix(chest.read_bytes(), layers=2).image)
    (result,) = run("decompress", chest, "-f", "--iterations", 2, "--json").json_lines
    assert (result["iterations"], result["of_iterations"]) == (2, LAYERS)
    assert result["bytes_read"] < result["size_bytes"] == chest.stat().st_size
    assert result["pixels_identical"] is None
    assert "truncated" not in result


def test_iterations_that_the_file_lacks(chest: Path) -> None:
    outcome = run("decompress", chest, "--iterations", 6)
    assert (outcome.code, outcome.err) == (1, f"xrc: {chest}: 6 layers; the file has 1 to 5\n")
    cut(chest, 3)
    assert run("decompress", chest, "--iterations", 3).code == 0
    outcome = run("decompress", chest, "--iterations", 4)
    assert outcome.code == 1
    assert outcome.err.endswith("; 3 of 5 layers are whole, not the 4 asked for\n")


def test_dicom_keeps_its_data_set(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.dcm", IMAGE, "dicom")
    assert run("compress", *CODEC, "--iterations", 4, path).code == 0
    archive = tmp_path / "chest.dcm.xrc"
    assert run("decompress", archive, "--iterations", 2).code == 0
    cut(archive, 2)
    assert run("decompress", "-f", "--partial", archive, "-o", path).code == 0
    source = pydicom.dcmread(tmp_path / "chest.iterations2.dcm")
    result = pydicom.dcmread(path)
    assert result.StudyInstanceUID == source.StudyInstanceUID
    np.testing.assert_array_equal(result.pixel_array, source.pixel_array)


def test_a_name_without_suffix_needs_a_format(chest: Path) -> None:
    odd = chest.rename(chest.with_name("IM0001.xrc"))
    outcome = run("decompress", odd, "--iterations", 2)
    assert outcome.code == 1
    assert "has no suffix to tell the format; say --format" in outcome.err
    assert run("decompress", odd, "--iterations", 2, "--format", "png").code == 0
    assert names_in(odd.parent) == ["IM0001.iterations2.png", "IM0001.xrc"]


def test_lattice_says_what_it_has_instead(tmp_path: Path) -> None:
    path = tmp_path / "chest.png.xrc"
    data = compress(IMAGE, Lattice(tile=64))
    path.write_bytes(data[:-60])
    outcome = run("decompress", path)
    assert outcome.code == 1
    assert outcome.err.endswith("; --scale may find a smaller image whole\n")
    assert run("decompress", path, "--scale", 8).code == 0
    path.write_bytes(data)
    outcome = run("decompress", path, "--iterations", 2)
    assert outcome.code == 1
    assert "does not refine the image layer by layer; its first layers are smaller" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("compress", "x.png", *CODEC, "--iterations", "0"), "0 is not in the range 1<=x<=32"),
        (("compress", "x.png", *CODEC, "--iterations", "33"), "33 is not in the range 1<=x<=32"),
        (("compress", "x.png", "--iterations", "4"), "default, lattice; add --codec toderici"),
        (
            ("compress", "x.png", "--codec", "rnn-conv", "--iterations", "4"),
            "--iterations goes with --codec toderici, not with rnn-conv",
        ),
        (("compress", "x.png", *CODEC, "--ratio", "8"), "wavelet or rnn-conv, not with toderici"),
        (
            ("compress", "x.png", *CODEC, "--max-error", "1"),
            "lattice or wavelet, not with toderici",
        ),
        (("compress", "x.png", *CODEC, "--tile", "100"), "tile 100; toderici takes multiples of"),
        (("decompress", "x.xrc", "--iterations", "0"), "0 is not in the range x>=1"),
        (
            ("decompress", "x.xrc", "--iterations", "2", "--scale", "2"),
            "--iterations goes with neither --scale nor --region",
        ),
        (
            ("decompress", "x.xrc", "--iterations", "2", "--region", "0,0,5,5"),
            "--iterations goes with neither --scale nor --region",
        ),
        (("decompress", "x.xrc", "--partial", "--layers", "2"), "--partial goes with whole images"),
        (("decompress", "x.xrc", "--partial", "--scale", "2"), "--partial goes with whole images"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    outcome = run(*arguments)
    assert outcome.code == 2
    assert message in outcome.err.replace("\n", " ").replace("  ", " ")
