"""``xrc compress`` and ``xrc decompress``: files in, files out."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from cli_running import names_in, radiograph, read_image, run, same, write_image
from PIL import Image

from rnn_conv_building import models_in, paper_model_in
from xraycodec import Lattice
from xraycodec.codecs.base import Codec
from xraycodec.container import read_header
from xraycodec.image import XRay
from xraycodec.pipeline import compress, decompress

COMPRESS_KEYS = {
    *("input", "output", "codec", "pixel_bytes", "size_bytes", "ratio", "rate_bpp", "lossless"),
    *("max_error", "verified"),
}
FILES = [
    ("chest.dcm", "dicom", 12, "MONOCHROME1"),
    ("chest.dcm", "dicom", 8, "MONOCHROME2"),
    ("chest.png", "png", 10, "MONOCHROME2"),
    ("chest.tif", "tiff", 14, "MONOCHROME1"),
    ("chest.pgm", "pgm", 12, "MONOCHROME2"),
    ("chest.npy", "npy", 16, "MONOCHROME2"),
    ("chest.jxl", "jpegxl", 12, "MONOCHROME2"),
]


@pytest.mark.parametrize("codec", [(), ("--codec", "stored")], ids=["default", "stored"])
@pytest.mark.parametrize(("name", "kind", "bits_stored", "photometric"), FILES)
def test_lossless_files_come_back_bit_for_bit(
    tmp_path: Path, name: str, kind: str, bits_stored: int, photometric: str, codec: tuple[str, ...]
) -> None:
    path = write_image(tmp_path / name, radiograph(bits_stored, photometric), kind)
    original = read_image(path)
    assert run("compress", *codec, path).code == 0
    path.unlink()
    assert run("decompress", f"{path}.xrc").code == 0
    result = read_image(path)
    assert same(result, original)
    assert (result.bits_stored, result.photometric_interpretation) == (bits_stored, photometric)
    assert result.dicom == original.dicom
    assert names_in(tmp_path) == [name, f"{name}.xrc"]


def test_rnn_conv_keeps_everything_but_the_values(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.dcm", radiograph(12, "MONOCHROME1"), "dicom")
    original = read_image(path)
    options = ("--codec", "rnn-conv", "--ratio", 4, "--tile", 128)
    outcome = run("compress", *options, path)
    assert outcome.code == 0
    assert ":1, no error bound -> " in outcome.out
    assert run("decompress", f"{path}.xrc", "-o", tmp_path / "again.dcm").code == 0
    result = read_image(tmp_path / "again.dcm")
    facts = dataclasses.replace(result, pixels=original.pixels)
    assert same(facts, original)
    assert np.abs(result.pixels.astype(int) - original.pixels).mean() < 4096 / 8
    assert same(decompress((tmp_path / "chest.dcm.xrc").read_bytes()), result)


def test_options_reach_rnn_conv(png: Path) -> None:
    options = ("--codec", "rnn-conv", "--ratio", 16, "--tile", 128, "--threads", 1)
    (result,) = run("compress", png, *options, "--json").json_lines
    assert set(result) == COMPRESS_KEYS | {"beta", "nominal_ratio"}
    assert (result["beta"], result["nominal_ratio"]) == (16, 16)
    assert (result["lossless"], result["max_error"], result["verified"]) == (False, None, True)
    assert read_header(Path(f"{png}.xrc").read_bytes()).tile == 128


def test_the_papers_widths_are_found_outside_of_the_package(png: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    folder.mkdir()
    options = ("--codec", "rnn-conv", "--configuration", "paper", "--tile", 128, "--threads", 1)
    with models_in(folder):
        outcome = run("compress", png, *options)
    assert outcome.code == 1
    assert "rnn-conv-paper-128.xrcpack in" in outcome.err
    assert "set XRAYCODEC_MODELS to the folder" in outcome.err
    assert not Path(f"{png}.xrc").exists()
    with paper_model_in(folder) as digest:
        assert run("compress", png, *options).code == 0
        assert read_header(Path(f"{png}.xrc").read_bytes()).model == digest


def test_lattice_without_loss_is_the_default(png: Path) -> None:
    (result,) = run("compress", png, "--json").json_lines
    assert set(result) == COMPRESS_KEYS
    assert (result["codec"], result["lossless"], result["max_error"]) == ("lattice", True, 0)
    header = read_header(Path(f"{png}.xrc").read_bytes())
    assert (header.codec, header.tile) == ("LTTC", Lattice().tile)


def test_options_reach_lattice_and_its_bound_holds(png: Path) -> None:
    options = ("--max-error", 3, "--tile", 64, "--profile", "best", "--threads", 1)
    outcome = run("compress", png, *options)
    assert outcome.code == 0
    assert ":1, error at most 3 -> " in outcome.out
    (result,) = run("compress", "-f", png, *options, "--json").json_lines
    assert (result["lossless"], result["max_error"], result["verified"]) == (False, 3, True)
    data = Path(f"{png}.xrc").read_bytes()
    assert read_header(data).tile == 64
    error = np.abs(decompress(data).pixels.astype(int) - read_image(png).pixels)
    assert 0 < error.max() <= 3


def test_a_bound_wider_than_the_range_is_told_as_it_is(tmp_path: Path) -> None:
    path = write_image(tmp_path / "x.png", radiograph(4), "png")
    (result,) = run("compress", path, "--max-error", 1000, "--json").json_lines
    assert result["max_error"] == 15


def test_the_result_in_words(png: Path) -> None:
    outcome = run("compress", "--codec", "stored", png)
    size = Path(f"{png}.xrc").stat().st_size
    shown = f"{size / 1024:.1f} KiB, {2880 / size:.2f}:1"
    assert outcome.out == f"{png}: 2.8 KiB -> {shown} -> {png}.xrc\n"
    assert outcome.err == ""


def test_the_result_as_json(png: Path) -> None:
    (result,) = run("compress", "--json", "--codec", "stored", png).json_lines
    assert set(result) == COMPRESS_KEYS
    size = Path(f"{png}.xrc").stat().st_size
    assert result["input"] == str(png)
    assert result["output"] == f"{png}.xrc"
    assert (result["codec"], result["verified"]) == ("stored", True)
    assert (result["lossless"], result["max_error"]) == (True, 0)
    assert (result["pixel_bytes"], result["size_bytes"]) == (2880, size)
    assert result["ratio"] == pytest.approx(2880 / size, abs=1e-4)
    assert result["rate_bpp"] == pytest.approx(8 * size / (48 * 40), abs=1e-5)


def test_no_verify_is_faster_and_says_so(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xraycodec.pipeline.verify", lambda *_, **__: pytest.fail("verified"))
    (result,) = run("compress", "--json", "--codec", "stored", "--no-verify", png).json_lines
    assert result["verified"] is False


def test_an_output_that_fails_its_verification_is_not_written(
    png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def differs(*_: object, **__: object) -> object:
        from xraycodec.pipeline import Verification

        return Verification(identical=False, exact=False, max_error=None)

    monkeypatch.setattr("xraycodec.pipeline.verify", differs)
    outcome = run("compress", "--codec", "stored", png)
    assert outcome.code == 1
    assert outcome.err == f"xrc: {png}: verification failed: decoding gave other pixels\n"
    assert names_in(png.parent) == ["chest.png"]


@pytest.mark.parametrize("max_error", [0, 2])
def test_a_codec_that_breaks_its_promise_is_found_out(
    png: Path, monkeypatch: pytest.MonkeyPatch, max_error: int
) -> None:
    """The hash is the encoder's own; only a comparison with the input tells."""

    def wrong(image: XRay, codec: Codec, **options: object) -> bytes:
        pixels = image.pixels.copy()
        pixels[3, 5] += 9
        return compress(dataclasses.replace(image, pixels=pixels), codec)

    monkeypatch.setattr("xraycodec.pipeline.compress", wrong)
    outcome = run("compress", "--max-error", max_error, png)
    assert outcome.code == 1
    assert "from the original; the file promises" in outcome.err
    assert outcome.err.endswith(f"{max_error} at most\n")
    assert names_in(png.parent) == ["chest.png"]


def test_quiet_is_silent(png: Path) -> None:
    for arguments in (("compress", png, "--codec", "stored"), ("verify", f"{png}.xrc")):
        outcome = run(*arguments, "-q")
        assert (outcome.code, outcome.data, outcome.err) == (0, b"", "")


# Where outputs go.


def test_output_to_a_named_file_in_a_new_folder(png: Path, tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "x.xrc"
    assert run("compress", "--codec", "stored", png, "-o", target).code == 0
    assert names_in(tmp_path) == ["chest.png", "new/folder/x.xrc"]


@pytest.mark.parametrize("exists", [False, True])
def test_output_to_a_folder(png: Path, tmp_path: Path, exists: bool) -> None:
    if exists:
        (tmp_path / "out").mkdir()
    assert run("compress", "--codec", "stored", png, "-o", f"{tmp_path}/out/").code == 0
    assert names_in(tmp_path / "out") == ["chest.png.xrc"]


def test_several_inputs_go_to_a_folder(png: Path, tmp_path: Path) -> None:
    other = write_image(tmp_path / "hand.pgm", radiograph(8), "pgm")
    outcome = run("compress", "--codec", "stored", png, other, "-o", tmp_path / "out", "--json")
    assert outcome.code == 0
    assert [line["input"] for line in outcome.json_lines] == [str(png), str(other)]
    assert names_in(tmp_path / "out") == ["chest.png.xrc", "hand.pgm.xrc"]


def test_standard_input_and_output(png: Path, tmp_path: Path) -> None:
    outcome = run("compress", "--codec", "stored", "-", stdin=png.read_bytes())
    assert outcome.code == 0
    assert outcome.err.startswith("standard input: 2.8 KiB -> ")
    assert same(decompress(outcome.data), read_image(png))
    back = run("decompress", "-", "--format", "pgm", stdin=outcome.data)
    assert back.code == 0
    (tmp_path / "back.pgm").write_bytes(back.data)
    assert same(read_image(tmp_path / "back.pgm"), read_image(png))


def test_a_file_to_standard_output_and_results_to_standard_error(png: Path) -> None:
    outcome = run("compress", "--codec", "stored", png, "-o", "-", "--json")
    assert same(decompress(outcome.data), read_image(png))
    assert '"output": "-"' in outcome.err
    assert names_in(png.parent) == ["chest.png"]


def test_standard_input_to_a_named_file_but_not_to_a_folder(png: Path, tmp_path: Path) -> None:
    data = png.read_bytes()
    target = tmp_path / "x.xrc"
    assert run("compress", "--codec", "stored", "-", "-o", target, stdin=data).code == 0
    outcome = run("compress", "--codec", "stored", "-", "-o", f"{tmp_path}/out/", stdin=data)
    assert outcome.code == 1
    assert "standard input: it has no name to derive the output's from" in outcome.err
    assert names_in(tmp_path) == ["chest.png", "x.xrc"]


# Folders.


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "tree"
    write_image(tree / "b.png", radiograph(8), "png")
    write_image(tree / "left" / "IM0001", radiograph(12), "dicom")
    write_image(tree / "left" / "deep" / "a.pgm", radiograph(10), "pgm")
    (tree / "left" / "notes.txt").write_text("not a radiograph")
    (tree / "empty.txt").touch()
    return tree


def test_a_tree_keeps_its_structure(tree: Path, tmp_path: Path) -> None:
    outcome = run("compress", "--codec", "stored", "-r", tree, "-o", tmp_path / "packed")
    assert outcome.code == 0
    assert outcome.err == ""
    packed = ["b.png.xrc", "left/IM0001.xrc", "left/deep/a.pgm.xrc"]
    assert names_in(tmp_path / "packed") == packed
    assert run("decompress", "-r", tmp_path / "packed", "-o", tmp_path / "back").code == 0
    assert names_in(tmp_path / "back") == ["b.png", "left/IM0001", "left/deep/a.pgm"]
    for name in names_in(tmp_path / "back"):
        assert same(read_image(tmp_path / "back" / name), read_image(tree / name))


def test_a_tree_in_place_and_what_it_skips(tree: Path) -> None:
    outcome = run("compress", "--codec", "stored", "-r", "-v", "-q", tree)
    assert outcome.code == 0
    assert outcome.err.splitlines() == [
        f"xrc: {tree}/empty.txt: skipped, not an image file",
        f"xrc: {tree}/left/notes.txt: skipped, not an image file",
    ]
    assert (tree / "left" / "IM0001.xrc").exists()
    again = run("compress", "--codec", "stored", "-r", "-f", tree, "--json")
    assert again.code == 0
    assert len(again.json_lines) == 3


def test_a_tree_with_pipes_and_links_to_folders_does_not_hang(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "pipe.png")
    (tree / "loop").symlink_to(tree)
    outcome = run(
        "compress", "--codec", "stored", "-r", tree, "-o", tmp_path / "out", "--json", "-v"
    )
    assert outcome.code == 0
    assert len(outcome.json_lines) == 3
    assert outcome.err.splitlines() == [
        f"xrc: {tree}/empty.txt: skipped, not an image file",
        f"xrc: {tree}/left/notes.txt: skipped, not an image file",
        f"xrc: {tree}/loop: skipped, a symbolic link to a folder; -r does not follow it",
        f"xrc: {tree}/pipe.png: skipped, not a regular file",
    ]


def test_a_folder_without_images_is_told(tmp_path: Path) -> None:
    outcome = run("compress", "-r", tmp_path)
    assert (outcome.code, outcome.err) == (0, f"xrc: {tmp_path}: no image file below it\n")


def test_a_folder_needs_recursive(tree: Path) -> None:
    for command in ("compress", "decompress", "verify", "info"):
        outcome = run(command, tree)
        assert outcome.code == 2
        assert f"{tree} is a folder; -r descends into it" in outcome.err


def test_other_files_of_a_tree_are_skipped_by_every_command(tree: Path) -> None:
    assert run("compress", "--codec", "stored", "-r", "-q", tree).code == 0
    for command in ("verify", "info"):
        outcome = run(command, "-r", "-v", "--json", tree)
        assert outcome.code == 0
        assert len(outcome.json_lines) == 3
        assert f"xrc: {tree}/b.png: skipped, not an .xrc file" in outcome.err


# What must not be lost.


def test_existing_outputs_need_force(png: Path) -> None:
    target = Path(f"{png}.xrc")
    target.write_bytes(b"precious")
    outcome = run("compress", "--codec", "stored", png)
    assert outcome.code == 1
    assert outcome.err == f"xrc: {png}: {target} exists; -f overwrites it\n"
    assert target.read_bytes() == b"precious"
    assert run("compress", "--codec", "stored", "-f", png).code == 0
    assert same(decompress(target.read_bytes()), read_image(png))


def test_a_failure_with_force_leaves_the_old_output(png: Path) -> None:
    target = Path(f"{png}.xrc")
    target.write_bytes(b"precious")
    png.write_bytes(png.read_bytes()[:-30])
    assert run("compress", "-f", png).code == 1
    assert target.read_bytes() == b"precious"
    assert names_in(png.parent) == ["chest.png", "chest.png.xrc"]


def test_two_inputs_never_share_an_output(tmp_path: Path) -> None:
    first = write_image(tmp_path / "a" / "chest.png", radiograph(8), "png")
    second = write_image(tmp_path / "b" / "chest.png", radiograph(12), "png")
    outcome = run(
        "compress", "--codec", "stored", "-f", first, second, "-o", tmp_path / "out", "--json"
    )
    assert outcome.code == 1
    done, failed = outcome.json_lines
    assert done["input"] == str(first)
    assert failed["error"] == f"{tmp_path}/out/chest.png.xrc is already the output of {first}"
    assert same(decompress((tmp_path / "out" / "chest.png.xrc").read_bytes()), read_image(first))


@pytest.mark.parametrize("force", [(), ("-f",)])
def test_an_output_is_never_an_input(tmp_path: Path, force: tuple[str, ...]) -> None:
    path = write_image(tmp_path / "chest.png", radiograph(8), "png")
    (tmp_path / "link.png").symlink_to(path)
    before = path.read_bytes()
    for target in (path, tmp_path / "link.png", tmp_path / "x" / ".." / "chest.png"):
        outcome = run("compress", "--codec", "stored", path, "-o", target, *force)
        assert outcome.code == 1
        assert "is an input; name another with -o" in outcome.err
    # Not even one that a later argument names.
    other = write_image(tmp_path / "chest.png.xrc", radiograph(12), "png")
    assert run("compress", "--codec", "stored", path, other, *force).code == 1
    assert same(read_image(other), radiograph(12))
    assert path.read_bytes() == before


# What is refused, and what goes on.


def test_an_unknown_file_fails_and_the_others_go_on(png: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("not a radiograph at all")
    missing = tmp_path / "missing.png"
    outcome = run("compress", "--codec", "stored", text, missing, png, "--json")
    assert outcome.code == 1
    first, second, third = outcome.json_lines
    assert first["input"] == str(text)
    assert first["error"].startswith("no known image format begins with 6e 6f 74")
    assert second == {"input": str(missing), "error": "No such file or directory"}
    assert third["output"] == f"{png}.xrc"
    assert outcome.err.splitlines()[1] == f"xrc: {missing}: No such file or directory"
    assert names_in(tmp_path) == ["chest.png", "chest.png.xrc", "notes.txt"]


def test_what_is_not_kept_of_a_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "chest.png"
    Image.fromarray(np.arange(200, dtype=np.uint8).reshape(10, 20)).save(path, dpi=(200, 200))
    outcome = run("compress", "--codec", "stored", path)
    assert outcome.code == 0
    assert outcome.err == f"xrc: {path}: not kept of this file: pHYs\n"
    assert run("compress", "--codec", "stored", "-f", "-q", path).err == ""


def test_a_colour_image_is_refused_in_words(tmp_path: Path) -> None:
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[..., 1] = 9
    path = tmp_path / "colour.png"
    path.write_bytes(imagecodecs.png_encode(colour))
    outcome = run("compress", path)
    assert outcome.code == 1
    assert outcome.err == f"xrc: {path}: the image is in colour; allowed is grayscale\n"
    assert names_in(tmp_path) == ["colour.png"]


def test_a_damaged_image_is_refused_in_words(png: Path) -> None:
    png.write_bytes(png.read_bytes()[:60])
    outcome = run("compress", png)
    assert outcome.code == 1
    assert outcome.err.startswith(f"xrc: {png}: ")
    assert "Traceback" not in outcome.err
    assert names_in(png.parent) == ["chest.png"]


def test_verbose_adds_the_traceback(png: Path) -> None:
    png.write_bytes(b"no image")
    outcome = run("compress", "-v", png)
    assert outcome.code == 1
    assert "Traceback" in outcome.err
    assert "UnsupportedImageError" in outcome.err


def test_a_file_system_that_refuses_is_told_by_the_outputs_name(png: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    outcome = run("compress", "--codec", "stored", png, "-o", tmp_path / "file" / "x.xrc")
    assert outcome.code == 1
    assert outcome.err == f"xrc: {png}: {tmp_path}/file: Not a directory\n"
    target = tmp_path / ("x" * 300)
    outcome = run("compress", "--codec", "stored", png, "-o", target)
    assert outcome.code == 1
    assert outcome.err == f"xrc: {png}: {target}: File name too long\n"


def test_too_little_memory_is_no_traceback(png: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(*_: object, **__: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr("xraycodec.pipeline.compress", exhausted)
    outcome = run("compress", png)
    assert (outcome.code, outcome.err) == (1, f"xrc: {png}: not enough memory\n")


def test_an_image_of_several_frames(tmp_path: Path) -> None:
    image = radiograph(12, shape=(3, 20, 24))
    path = write_image(tmp_path / "x.tif", image, "tiff")
    assert run("compress", "--codec", "stored", path).code == 0
    outcome = run("decompress", f"{path}.xrc", "-o", tmp_path / "y.dcm")
    assert outcome.out == f"{path}.xrc: 24 x 20 x 3 frames, 12 bits -> {tmp_path}/y.dcm\n"
    assert same(read_image(tmp_path / "y.dcm"), image)


def test_a_real_radiograph(data_dir: Path, tmp_path: Path) -> None:
    source = next(path for path in sorted((data_dir / "deep").rglob("*")) if path.is_file())
    outcome = run("compress", "--codec", "stored", source, "-o", tmp_path / "x.xrc", "--json")
    assert outcome.code == 0, outcome.err
    result = decompress((tmp_path / "x.xrc").read_bytes())
    assert isinstance(result, XRay)
    assert same(result, read_image(source))
