"""``xrc decompress``: names and formats of outputs, damage, drift."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import numpy as np
import pydicom
import pytest
from cli_running import names_in, radiograph, read_image, run, same, write_image

import xrc_editing as edit
from xraycodec import Lattice, RnnConv, Stored, XRay
from xraycodec.cli.report import human_size
from xraycodec.files import decode
from xraycodec.pipeline import compress, decompress

DECOMPRESS_KEYS = {
    *("input", "output", "format", "frames", "rows", "columns", "bits_stored", "lossy"),
    *("pixels_identical", "pixel_bytes", "size_bytes"),
}

PART_KEYS = {"scale", "region", "bytes_read"}


def _xrc(path: Path, image: XRay) -> Path:
    path.write_bytes(compress(image, Stored()))
    return path


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("chest.png.xrc", (), "chest.png"),
        ("chest.TIFF.xrc", (), "chest.TIFF"),
        ("chest.dcm.xrc", (), "chest.dcm"),
        ("CHEST.DCM.XRC", (), "CHEST.DCM"),
        ("chest.dcm.xrc", ("--format", "png"), "chest.png"),
        ("chest.v2.png.xrc", ("--format", "tiff"), "chest.v2.tif"),
        ("chest.jp2.xrc", ("--format", "jpegxl"), "chest.jxl"),
        ("IM0001.xrc", ("--format", "pgm"), "IM0001.pgm"),
        ("1.2.840.10008.5.xrc", ("--format", "npy"), "1.2.840.10008.5.npy"),
        ("1.2.840.10008.5.xrc", ("--format", "dicom"), "1.2.840.10008.5.dcm"),
    ],
)
def test_names_and_formats(
    tmp_path: Path, name: str, arguments: tuple[str, ...], expected: str
) -> None:
    image = radiograph(16)
    path = _xrc(tmp_path / name, image)
    assert run("decompress", path, *arguments).code == 0
    assert names_in(tmp_path) == sorted((name, expected))
    assert same(read_image(tmp_path / expected), image)


@pytest.mark.parametrize("name", ["IM0001", "1.2.840.10008.5.1"])
def test_dicom_files_without_suffix_come_back_as_dicom(tmp_path: Path, name: str) -> None:
    path = write_image(tmp_path / name, radiograph(), "dicom")
    original = read_image(path)
    assert run("compress", "--codec", "stored", path).code == 0
    path.unlink()
    outcome = run("decompress", "--json", f"{path}.xrc")
    assert outcome.code == 0
    assert outcome.json_lines[0]["format"] == "dicom"
    assert read_image(path).dicom == original.dicom


@pytest.mark.parametrize("name", ["chest", "chest.jpg", "chest.bmp", "1.2.3"])
def test_other_names_without_a_format_need_one(tmp_path: Path, name: str) -> None:
    path = _xrc(tmp_path / f"{name}.xrc", radiograph())
    outcome = run("decompress", path)
    assert outcome.code == 1
    assert "no output format has the suffix" in outcome.err
    assert outcome.err.endswith("or say --format\n")
    assert names_in(tmp_path) == [path.name]


def test_a_name_that_does_not_end_in_xrc_needs_an_output(stored: Path, tmp_path: Path) -> None:
    odd = stored.rename(tmp_path / "chest.bin")
    outcome = run("decompress", odd)
    assert outcome.code == 1
    assert "the name does not end in .xrc; name the output with -o" in outcome.err
    assert run("decompress", odd, "-o", tmp_path / "chest.png").code == 0


def test_the_result_in_words_and_as_json(stored: Path) -> None:
    outcome = run("decompress", stored)
    target = stored.with_suffix("")
    assert outcome.out == f"{stored}: 40 x 48, 12 bits -> {target}\n"
    (result,) = run("decompress", "-f", "--json", stored).json_lines
    assert result == {
        "input": str(stored),
        "output": str(target),
        "format": "png",
        "frames": 1,
        "rows": 48,
        "columns": 40,
        "bits_stored": 12,
        "pixel_bytes": 48 * 40 * 12 / 8,
        "lossy": False,
        "pixels_identical": True,
        "size_bytes": stored.stat().st_size,
    }
    assert set(result) == DECOMPRESS_KEYS


def test_standard_output_needs_a_format(stored: Path) -> None:
    data = stored.read_bytes()
    for arguments in (("-",), (stored, "-o", "-")):
        outcome = run("decompress", *arguments, stdin=data)
        assert outcome.code == 2
        assert "standard output has no suffix; say --format" in outcome.err
    outcome = run("decompress", stored, "-o", "-", "--format", "npy")
    assert outcome.code == 0
    assert outcome.data.startswith(b"\x93NUMPY")
    assert outcome.err.startswith(f"{stored}: 40 x 48")


def test_existing_outputs_need_force(stored: Path) -> None:
    target = stored.with_suffix("")
    target.write_bytes(b"precious")
    outcome = run("decompress", stored)
    assert outcome.code == 1
    assert outcome.err == f"xrc: {stored}: {target} exists; -f overwrites it\n"
    assert target.read_bytes() == b"precious"
    assert run("decompress", "-f", stored).code == 0
    assert same(read_image(target), radiograph())


def test_two_inputs_never_share_an_output(tmp_path: Path) -> None:
    first = _xrc(tmp_path / "chest.dcm.xrc", radiograph(12))
    second = _xrc(tmp_path / "chest.tif.xrc", radiograph(8))
    outcome = run("decompress", "-f", "--format", "png", "-r", tmp_path)
    assert outcome.code == 1
    target = tmp_path / "chest.png"
    assert outcome.err == f"xrc: {second}: {target} is already the output of {first}\n"
    assert same(read_image(target), radiograph(12))


def test_an_output_is_never_an_input(stored: Path) -> None:
    before = stored.read_bytes()
    outcome = run("decompress", "-f", stored, "-o", stored, "--format", "png")
    assert outcome.code == 1
    assert stored.read_bytes() == before


def test_a_format_that_cannot_hold_the_image(tmp_path: Path) -> None:
    path = _xrc(
        tmp_path / "x.xrc",
        dataclasses.replace(radiograph(), pixels=-radiograph().pixels.astype("i2"), bits_stored=13),
    )
    outcome = run("decompress", path, "--format", "png")
    assert outcome.code == 1
    assert "signed" in outcome.err
    assert names_in(tmp_path) == ["x.xrc"]


def test_a_damaged_file_leaves_nothing(damaged: Path) -> None:
    for arguments in ((), ("-f",), ("-o", damaged.parent / "new" / "x.png")):
        outcome = run("decompress", damaged, *arguments)
        assert outcome.code == 1
        assert outcome.data == b""
        assert outcome.err.startswith(f"xrc: {damaged}: chunk 'DATA' at byte ")
        assert names_in(damaged.parent) == [damaged.name]
        assert not (damaged.parent / "new").exists()


def test_a_file_that_was_cut_off_says_what_is_whole(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes()[:-20])
    outcome = run("decompress", stored)
    assert outcome.code == 1
    assert outcome.err.endswith("1 of 1 tiles are intact\n")
    assert names_in(stored.parent) == [stored.name]


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("chest.png", "png", "it is a PNG file, not an .xrc file; xrc compress makes one of it"),
        (
            "chest.dcm",
            "dicom",
            "it is a DICOM file, not an .xrc file; xrc compress makes one of it",
        ),
        ("chest.png.xrc", "npy", "it is an NPY file, not an .xrc file; xrc compress makes one"),
    ],
)
def test_an_image_is_no_xrc_file(tmp_path: Path, name: str, kind: str, told: str) -> None:
    path = write_image(tmp_path / name, radiograph(), kind)
    for arguments in (
        ("decompress", path),
        ("decompress", path, "-o", tmp_path / "x.png"),
        ("decompress", path, "--scale", 2, "-o", tmp_path / "x.png"),
        ("decompress", path, "--layers", 2, "-o", tmp_path / "x.png"),
        ("verify", path),
        ("info", path),
    ):
        outcome = run(*arguments)
        assert outcome.code == 1
        assert outcome.err.startswith(f"xrc: {path}: {told}")
        assert names_in(tmp_path) == [name]


def test_a_wrapped_dicom_file_is_no_xrc_file(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.dcm", radiograph(), "dicom")
    wrapped = tmp_path / "wrapped.dcm"
    assert run("dicom", "wrap", "--codec", "stored", path, wrapped).code == 0
    outcome = run("decompress", wrapped)
    assert outcome.code == 1
    assert outcome.err == (
        f"xrc: {wrapped}: it is a DICOM file with .xrc frames inside; xrc dicom unwrap decodes it\n"
    )


def test_what_is_of_no_known_format_is_told_by_its_first_bytes(tmp_path: Path) -> None:
    for name in ("x.xrc", "x.bin"):
        path = tmp_path / name
        path.write_bytes(b"none of all")
        for command in ("decompress", "verify", "info"):
            outcome = run(command, path)
            assert outcome.code == 1
            assert "begins with 6e 6f 6e 65 20 6f 66 20; an .xrc file begins with" in outcome.err


def test_a_data_set_that_is_no_dicom_is_told(tmp_path: Path) -> None:
    image = dataclasses.replace(radiograph(), dicom=b"no data set at all" * 9)
    path = _xrc(tmp_path / "chest.dcm.xrc", image)
    outcome = run("decompress", path)
    assert outcome.code == 1
    assert outcome.err.startswith(f"xrc: {path}: element (6F6E,6420) at byte 0 claims")
    assert names_in(tmp_path) == ["chest.dcm.xrc"]
    assert run("decompress", path, "--format", "png").code == 0


# Parts.


@pytest.fixture
def lattice(tmp_path: Path) -> Path:
    """A ``chest.dcm.xrc`` of 150 x 140 pixels in tiles of 64, and nothing else in its folder."""
    path = write_image(tmp_path / "chest.dcm", radiograph(12, shape=(150, 140)), "dicom")
    assert run("compress", "--tile", 64, path).code == 0
    path.unlink()
    return path.with_name("chest.dcm.xrc")


PIXELS = radiograph(12, shape=(150, 140)).pixels


@pytest.mark.parametrize(
    ("arguments", "name", "part"),
    [
        (("--scale", 2), "chest.scale2.dcm", PIXELS[::2, ::2]),
        (("--scale", 4, "--format", "png"), "chest.scale4.png", PIXELS[::4, ::4]),
        (("--scale", 8), "chest.scale8.dcm", PIXELS[::8, ::8]),
        (("--region", "7,3,100,90"), "chest.region-7-3-100-90.dcm", PIXELS[7:107, 3:93]),
        (("--region", "0,0,150,140"), "chest.region-0-0-150-140.dcm", PIXELS),
        (
            ("--scale", 2, "--region", "7,3,100,90", "--format", "tiff"),
            "chest.scale2.region-7-3-100-90.tif",
            PIXELS[8:107:2, 4:93:2],
        ),
    ],
)
def test_parts_have_names_of_their_own(
    lattice: Path, arguments: tuple[object, ...], name: str, part: np.ndarray
) -> None:
    outcome = run("decompress", lattice, *arguments)
    assert (outcome.code, outcome.err) == (0, "")
    assert names_in(lattice.parent) == sorted([name, lattice.name])
    result = read_image(lattice.with_name(name))
    np.testing.assert_array_equal(result.pixels, part)
    assert result.bits_stored == 12


def test_a_scale_of_1_is_the_whole_image(lattice: Path) -> None:
    (result,) = run("decompress", lattice, "--scale", 1, "--json").json_lines
    assert set(result) == DECOMPRESS_KEYS | {"sop_instance_uid"}
    assert result["pixels_identical"] is True
    assert names_in(lattice.parent) == ["chest.dcm", lattice.name]
    np.testing.assert_array_equal(read_image(lattice.with_name("chest.dcm")).pixels, PIXELS)


def test_the_result_of_a_part_in_words_and_as_json(lattice: Path) -> None:
    outcome = run("decompress", lattice, "--scale", 8)
    target = lattice.with_name("chest.scale8.dcm")
    assert outcome.out.startswith(f"{lattice}: 18 x 19, 12 bits, read ")
    assert outcome.out.endswith(f" of {human_size(lattice.stat().st_size)} -> {target}\n")
    (result,) = run("decompress", lattice, "-f", "--scale", 8, "--json").json_lines
    assert set(result) == DECOMPRESS_KEYS | PART_KEYS | {"sop_instance_uid"}
    assert (result["scale"], result["region"], result["pixels_identical"]) == (8, None, None)
    assert result["size_bytes"] == lattice.stat().st_size
    assert 0 < result["bytes_read"] < result["size_bytes"]
    (result,) = run("decompress", lattice, "--region", "5,6,7,8", "--json").json_lines
    assert (result["scale"], result["region"]) == (1, [5, 6, 7, 8])
    assert (result["rows"], result["columns"]) == (7, 8)


def test_a_part_as_dicom_is_an_object_of_its_own(tmp_path: Path) -> None:
    image = radiograph(12, shape=(64, 64))
    source = write_image(tmp_path / "chest.dcm", image, "dicom")
    assert run("compress", source).code == 0
    assert run("decompress", f"{source}.xrc", "--scale", 2).code == 0
    whole, part = pydicom.dcmread(source), pydicom.dcmread(tmp_path / "chest.scale2.dcm")
    assert part.SOPInstanceUID != whole.SOPInstanceUID
    assert part.StudyInstanceUID != whole.StudyInstanceUID
    assert (part.Rows, part.Columns) == (32, 32)


def test_parts_of_a_file_that_was_cut_off_or_damaged_behind_them(lattice: Path) -> None:
    data = lattice.read_bytes()
    (result,) = run("decompress", lattice, "--scale", 4, "--json").json_lines
    for changed in (data[: result["bytes_read"]], data[:-40] + b"?" * 40):
        lattice.write_bytes(changed)
        assert run("decompress", "-f", lattice, "--scale", 4).code == 0
        target = lattice.with_name("chest.scale4.dcm")
        np.testing.assert_array_equal(read_image(target).pixels, PIXELS[::4, ::4])
        outcome = run("decompress", "-f", lattice)
        assert outcome.code == 1
    lattice.write_bytes(data[: result["bytes_read"] - 1])
    target.unlink()
    outcome = run("decompress", lattice, "--scale", 4)
    assert outcome.code == 1
    assert outcome.err.startswith(f"xrc: {lattice}: chunk 'DATA' at byte ")
    assert names_in(lattice.parent) == [lattice.name]


def test_a_part_from_standard_input_which_is_read_whole(lattice: Path) -> None:
    data = lattice.read_bytes()
    outcome = run("decompress", "-", "--scale", 8, "--format", "pgm", "--json", stdin=data)
    assert outcome.code == 0
    assert decode(outcome.data).pixels.shape == (19, 18)
    assert f'"bytes_read": {len(data)}, "size_bytes": {len(data)}' in outcome.err


def test_a_part_from_a_pipe_which_is_read_whole(lattice: Path) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(lattice.read_bytes())
    target = lattice.with_name("x.png")
    with os.fdopen(reading):
        outcome = run("decompress", f"/dev/fd/{reading}", "--scale", 2, "-o", target)
    assert (outcome.code, outcome.err) == (0, "")
    np.testing.assert_array_equal(read_image(target).pixels, PIXELS[::2, ::2])


@pytest.mark.parametrize("name", ["IM0001.xrc", "1.2.840.10008.5.xrc"])
def test_parts_of_a_name_without_suffix_need_a_format(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(compress(radiograph(), Lattice()))
    outcome = run("decompress", path, "--scale", 2)
    assert outcome.code == 1
    assert (
        outcome.err == f"xrc: {path}: {path.stem} has no suffix to tell the format; say --format\n"
    )
    assert run("decompress", path, "--scale", 2, "--format", "dicom").code == 0
    assert names_in(tmp_path) == sorted([name, f"{path.stem}.scale2.dcm"])


def test_parts_of_a_tree(lattice: Path, tmp_path: Path) -> None:
    _xrc(tmp_path / "stored.png.xrc", radiograph())
    outcome = run("decompress", "-r", tmp_path, "-o", tmp_path / "small", "--scale", 8, "--json")
    assert outcome.code == 1
    first, second = outcome.json_lines
    assert first["output"] == f"{tmp_path}/small/chest.scale8.dcm"
    assert second["error"].startswith("codec 'stored' decodes whole images only")


def test_a_region_that_is_not_inside_leaves_nothing(lattice: Path) -> None:
    outcome = run("decompress", lattice, "--region", "100,100,51,10")
    assert outcome.code == 1
    assert outcome.err == (
        f"xrc: {lattice}: the region of 51 x 10 pixels at row 100, column 100 is not inside the"
        " image of 150 x 140\n"
    )
    assert names_in(lattice.parent) == [lattice.name]


def test_a_part_that_is_not_there_to_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.png.xrc"
    outcome = run("decompress", missing, "--scale", 2)
    assert (outcome.code, outcome.err) == (1, f"xrc: {missing}: No such file or directory\n")


def test_frames_of_a_part_and_the_whole_agree(tmp_path: Path) -> None:
    image = radiograph(10, shape=(3, 40, 36))
    path = tmp_path / "x.tif.xrc"
    path.write_bytes(compress(image, Lattice(max_error=1)))
    assert run("decompress", path, "--scale", 4, "--region", "4,0,36,36").code == 0
    result = read_image(tmp_path / "x.scale4.region-4-0-36-36.tif")
    expected = decompress(path.read_bytes()).pixels[:, 4::4, ::4]
    np.testing.assert_array_equal(result.pixels, expected)


@pytest.fixture
def drifted(tmp_path: Path) -> Path:
    """As from a machine whose floating point rounds in another order."""
    data = compress(radiograph(), RnnConv(8, 128))
    digest = bytearray(edit.payload_of(data, b"HASH"))
    digest[-1] ^= 1
    path = tmp_path / "chest.png.xrc"
    path.write_bytes(edit.with_payload(data, b"HASH", bytes(digest)))
    return path


def test_pixels_that_differ_by_rounding_are_told_and_no_failure(drifted: Path) -> None:
    outcome = run("decompress", drifted, "--json")
    assert outcome.code == 0
    assert outcome.json_lines[0]["pixels_identical"] is False
    assert outcome.err.startswith(
        f"xrc: {drifted}: warning: decoded pixels differ from the encoder"
    )
    outcome = run("verify", drifted)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out == f"{drifted}: intact; pixels differ from the encoder's by rounding\n"


def test_a_model_that_is_not_at_hand_is_named(drifted: Path) -> None:
    drifted.write_bytes(edit.with_head(drifted.read_bytes(), model=b"\xab" * 32))
    outcome = run("decompress", drifted)
    assert outcome.code == 1
    assert "no model pack abababab" in outcome.err
    assert run("info", drifted).code == 0
