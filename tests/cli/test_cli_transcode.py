"""``xrc transcode``: files, folders, what is printed, what is refused."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from cli_running import radiograph, run, write_image

sys.path.insert(0, str(Path(__file__).parents[1] / "files"))

from files_building import compressed_dicom, encode_frame, native_dicom, random_pixels

from xraycodec.dicom.transcode import read


@pytest.fixture
def chest(tmp_path: Path) -> Path:
    path = tmp_path / "chest.dcm"
    path.write_bytes(native_dicom(random_pixels((30, 20), 12), 12))
    return path


def test_file_and_what_is_told(chest: Path) -> None:
    out = chest.with_name("out.dcm")
    done = run("transcode", chest, out, "--syntax", "rle", "--json")
    assert done.code == 0
    (values,) = done.json_lines
    assert values["input"] == str(chest)
    assert values["output"] == str(out)
    assert (values["syntax"], values["transfer_syntax"]) == ("rle", "1.2.840.10008.1.2.5")
    assert (values["lossless"], values["largest_error"], values["verified"]) == (True, 0, True)
    assert (values["pixel_bytes"], values["size_bytes"]) == (900, out.stat().st_size)
    assert np.array_equal(read(out.read_bytes()).pixels, read(chest.read_bytes()).pixels)


def test_loss_is_told(chest: Path) -> None:
    out = chest.with_name("out.dcm")
    done = run("transcode", chest, out, "--syntax", "jpeg-ls", "--max-error", 2)
    assert done.code == 0
    assert ", error at most 2 -> " in done.out


def test_existing_outputs_are_kept_without_force(chest: Path) -> None:
    out = chest.with_name("out.dcm")
    out.write_bytes(b"mine")
    done = run("transcode", chest, out, "--syntax", "explicit")
    assert (done.code, out.read_bytes()) == (1, b"mine")
    assert "exists; -f overwrites it" in done.err
    assert run("transcode", chest, out, "--syntax", "explicit", "-f").code == 0
    assert out.read_bytes() != b"mine"
    onto_itself = run("transcode", chest, chest, "--syntax", "explicit", "-f")
    assert onto_itself.code == 1
    assert "is an input" in onto_itself.err


def test_folder_keeps_its_layout_and_goes_on_after_a_failure(chest: Path) -> None:
    study = chest.parent / "study"
    (study / "a").mkdir(parents=True)
    chest.rename(study / "a" / "1.2.840.7")
    write_image(study / "skipped.png", radiograph(), "png")
    write_image(study / "plain.png", radiograph(), "png")
    compressed = run(
        "compress", "--codec", "stored", study / "plain.png", "-o", study / "b.png.xrc"
    )
    assert compressed.code == 0
    (study / "broken.dcm").write_bytes(native_dicom(random_pixels((30, 20), 12), 12)[:-100])
    out = chest.parent / "out"
    done = run("transcode", "-r", study, out, "--syntax", "jpeg2000", "-v")
    assert done.code == 1
    assert "broken.dcm" in done.err
    assert "skipped.png: skipped, not a DICOM or .xrc file" in done.err
    found = sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())
    assert found == ["a/1.2.840.7", "b.dcm"]


def test_standard_input_and_output(chest: Path) -> None:
    done = run("transcode", "-", "-", "--syntax", "deflated", stdin=chest.read_bytes())
    assert done.code == 0
    assert np.array_equal(read(done.data).pixels, read(chest.read_bytes()).pixels)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--syntax", "rle", "--max-error", "1"], "max error goes with jpeg-ls, xrc"),
        (["--syntax", "jpeg2000", "--ratio", "0.5"], "ratio 0.5; allowed is more than 1"),
        (["--syntax", "jpeg"], "'jpeg' is not one of"),
        ([], "Missing option '--syntax'"),
    ],
)
def test_wrong_usage(chest: Path, arguments: list[str], message: str) -> None:
    done = run("transcode", chest, chest.with_name("out.dcm"), *arguments)
    assert done.code == 2
    assert message in done.err
    assert not chest.with_name("out.dcm").exists()


def test_folder_needs_recursive(chest: Path) -> None:
    done = run("transcode", chest.parent, chest.parent / "out", "--syntax", "rle")
    assert done.code == 2
    assert "-r descends into it" in done.err


@pytest.mark.parametrize("command", ["compress", "transcode", "wrap", "archive"])
def test_damaged_scans_leave_nothing_behind(tmp_path: Path, command: str) -> None:
    """libjpeg decodes this frame, half of it gray, with no more than a warning."""
    pixels = random_pixels((30, 20), 12)
    frame = encode_frame("jpeg", pixels, 12)
    cut = frame[: len(frame) * 2 // 3] + b"\xff\xd9"
    source, out = tmp_path / "cut.dcm", tmp_path / "out"
    source.write_bytes(compressed_dicom([cut], pixels, 12, "1.2.840.10008.1.2.4.70"))
    done = {
        "compress": lambda: run("compress", source, "-o", out),
        "transcode": lambda: run("transcode", source, out, "--syntax", "jpeg-ls"),
        "wrap": lambda: run("dicom", "wrap", source, out),
        "archive": lambda: run("archive", "build", source, "-o", out),
    }[command]()
    assert done.code == 1
    assert "the scan is damaged" in done.err
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.suffix in (".xrc", "")
    ]
