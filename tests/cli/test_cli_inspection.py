"""``xrc info`` and ``xrc verify``."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from cli_running import radiograph, run, write_image

import xrc_editing as edit
from xraycodec import Lattice, RnnConv, Stored
from xraycodec.container import build, parse
from xraycodec.pipeline import compress

HEADER_KEYS = {
    *("codec", "frames", "rows", "columns", "bits_stored", "signed", "photometric_interpretation"),
    *("tile", "tiles", "exact", "lossless", "max_error", "model", "model_name"),
    *("pixel_bytes", "ratio", "rate_bpp"),
}
FILE_KEYS = {
    *("input", "size_bytes", "payload_bytes", "dicom_bytes", "tiles_intact", "pixel_sha256"),
    *("chunks", "problems"),
}
LAYER_KEYS = {"layers", "layers_intact"}
RNN_CONV_KEYS = {"beta", "nominal_ratio"}
VERIFY_KEYS = {
    "input",
    "intact",
    "pixels_identical",
    "exact",
    "max_error",
    "pixel_bytes",
    "size_bytes",
}


def test_info_of_a_sound_file_as_json(stored: Path) -> None:
    outcome = run("info", "--json", stored)
    assert (outcome.code, outcome.err) == (0, "")
    (values,) = outcome.json_lines
    assert set(values) == HEADER_KEYS | FILE_KEYS
    assert values["input"] == str(stored)
    assert (values["codec"], values["lossless"], values["max_error"]) == ("stored", True, 0)
    assert (values["rows"], values["columns"], values["frames"]) == (48, 40, 1)
    assert (values["tile"], values["tiles"], values["tiles_intact"]) == (512, 1, 1)
    assert (values["model"], values["dicom_bytes"], values["problems"]) == (None, None, [])
    assert values["model_name"] is None
    assert values["size_bytes"] == stored.stat().st_size
    assert values["pixel_sha256"] == hashlib.sha256(radiograph().pixels.tobytes()).hexdigest()
    types = [chunk["type"] for chunk in values["chunks"]]
    assert types == ["HEAD", "PARM", "INDX", "DATA", "HASH", "DONE"]


def test_info_of_rnn_conv_as_json_and_in_words(tmp_path: Path) -> None:
    path = tmp_path / "chest.xrc"
    path.write_bytes(compress(radiograph(), RnnConv(16, 128)))
    (values,) = run("info", "--json", path).json_lines
    assert set(values) == HEADER_KEYS | FILE_KEYS | RNN_CONV_KEYS
    assert (values["beta"], values["nominal_ratio"]) == (16, 16)
    assert (values["exact"], values["lossless"], values["max_error"]) == (False, False, None)
    text = run("info", path).out
    for part in ("40 x 48, 12 bits, MONOCHROME2", "rnn-conv, no error bound", "(nominal 16)"):
        assert part in text
    assert f"  model    {values['model_name']}, {values['model']}\n" in text


@pytest.mark.parametrize(("max_error", "words"), [(0, "lossless"), (3, "error at most 3")])
def test_info_of_lattice(tmp_path: Path, max_error: int, words: str) -> None:
    path = tmp_path / "chest.xrc"
    path.write_bytes(compress(radiograph(shape=(70, 60)), Lattice(max_error, tile=64)))
    (values,) = run("info", "--json", path).json_lines
    assert set(values) == HEADER_KEYS | FILE_KEYS | LAYER_KEYS
    assert (values["codec"], values["exact"]) == ("lattice", True)
    assert (values["max_error"], values["lossless"]) == (max_error, max_error == 0)
    assert (values["layers"], values["layers_intact"]) == (4, 4)
    assert values["model_name"] == "lattice-best"
    text = run("info", path).out
    assert f"  codec    lattice, {words}, 2 tiles of 64, 4 layers\n" in text
    assert f"  model    lattice-best, {values['model']}\n" in text


def test_info_of_a_model_that_is_not_at_hand(tmp_path: Path) -> None:
    data = edit.with_head(compress(radiograph(), Lattice()), model=b"\xab" * 32)
    path = tmp_path / "chest.xrc"
    path.write_bytes(data)
    outcome = run("info", "--json", path)
    assert outcome.code == 0
    (values,) = outcome.json_lines
    assert (values["model"], values["model_name"]) == ("ab" * 32, None)
    assert f"  model    {'ab' * 32}\n" in run("info", path).out


def test_verify_of_lattice(tmp_path: Path) -> None:
    path = tmp_path / "chest.xrc"
    path.write_bytes(compress(radiograph(), Lattice(max_error=2)))
    (values,) = run("verify", "--json", path).json_lines
    assert values["pixels_identical"]
    assert (values["exact"], values["max_error"]) == (True, 2)


def test_info_of_layers(tmp_path: Path) -> None:
    sound = parse(compress(radiograph(), Stored(tile=32)))
    header = replace(sound.header, layers=3)
    data = build(header, b"", [*sound.payloads] * 3, sound.pixel_hash)
    path = tmp_path / "chest.xrc"
    path.write_bytes(data)
    (values,) = run("info", "--json", path).json_lines
    assert set(values) == HEADER_KEYS | FILE_KEYS | LAYER_KEYS
    assert (values["tiles"], values["layers"]) == (4, 3)
    assert (values["tiles_intact"], values["layers_intact"]) == (4, 3)
    assert "4 tiles of 32, 3 layers\n" in run("info", path).out
    path.write_bytes(data[: data.rindex(b"DATA")])
    (values,) = run("info", "--json", path).json_lines
    assert (values["tiles_intact"], values["layers_intact"]) == (0, 2)
    assert "4 tiles of 32, 3 layers (2 intact)\n" in run("info", path).out


def test_info_of_a_data_set(tmp_path: Path) -> None:
    path = write_image(tmp_path / "chest.dcm", radiograph(12, "MONOCHROME1"), "dicom")
    assert run("compress", "--codec", "stored", path).code == 0
    (values,) = run("info", "--json", f"{path}.xrc").json_lines
    assert values["dicom_bytes"] > 100
    assert values["photometric_interpretation"] == "MONOCHROME1"
    assert "  DICOM    " in run("info", f"{path}.xrc").out


def test_info_of_a_damaged_file_is_one_line_of_json_and_a_failure(damaged: Path) -> None:
    outcome = run("info", "--json", damaged)
    assert outcome.code == 1
    (values,) = outcome.json_lines
    assert set(values) == HEADER_KEYS | FILE_KEYS
    assert len(values["problems"]) == 1
    assert values["tiles_intact"] == 0
    assert values["rows"] == 48
    assert outcome.err == f"xrc: {damaged}: {values['problems'][0]}\n"


def test_info_of_a_file_without_a_readable_header(stored: Path) -> None:
    data = bytearray(stored.read_bytes())
    data[30] ^= 1
    stored.write_bytes(data)
    outcome = run("info", "--json", stored)
    assert outcome.code == 1
    (values,) = outcome.json_lines
    assert set(values) == FILE_KEYS
    assert run("info", stored).out.endswith("header unreadable\n")


def test_info_of_parameters_that_no_encoder_writes(tmp_path: Path) -> None:
    data = compress(radiograph(), RnnConv(16, 128))
    path = tmp_path / "chest.xrc"
    path.write_bytes(edit.with_payload(data, b"PARM", b"\x07"))
    outcome = run("info", "--json", path)
    assert outcome.code == 0
    assert set(outcome.json_lines[0]) == HEADER_KEYS | FILE_KEYS


def test_info_and_verify_read_standard_input(stored: Path) -> None:
    for command in ("info", "verify"):
        outcome = run(command, "-", stdin=stored.read_bytes())
        assert outcome.code == 0
        assert outcome.out.startswith("standard input: ")


def test_several_files_with_one_that_is_bad(stored: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.xrc"
    bad.write_bytes(b"nothing of the kind")
    for command in ("info", "verify"):
        outcome = run(command, "--json", bad, stored)
        assert outcome.code == 1
        first, second = outcome.json_lines
        assert set(first) == {"input", "error"}
        assert second["input"] == str(stored)


def test_verify_of_a_sound_file(stored: Path) -> None:
    outcome = run("verify", stored)
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{stored}: OK\n", "")
    (values,) = run("verify", "--json", stored).json_lines
    assert set(values) == VERIFY_KEYS
    assert values == {
        "input": str(stored),
        "intact": True,
        "pixels_identical": True,
        "exact": True,
        "max_error": 0,
        "pixel_bytes": 2880,
        "size_bytes": stored.stat().st_size,
    }


def test_verify_of_damage(damaged: Path) -> None:
    outcome = run("verify", "--json", damaged)
    assert outcome.code == 1
    assert set(outcome.json_lines[0]) == {"input", "error"}
    assert outcome.json_lines[0]["error"].startswith("chunk 'DATA' at byte ")
    assert "Traceback" not in outcome.err


def test_verify_finds_what_checksums_do_not(stored: Path) -> None:
    data = stored.read_bytes()
    digest = bytearray(edit.payload_of(data, b"HASH"))
    digest[-1] ^= 1
    stored.write_bytes(edit.with_payload(data, b"HASH", bytes(digest)))
    assert run("info", stored).code == 0
    outcome = run("verify", stored)
    assert outcome.code == 1
    assert "the decoded pixels differ from the hash" in outcome.err
