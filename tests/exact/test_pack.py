from __future__ import annotations

import hashlib
import io
import json
import os
import re
import struct
import tracemalloc
import warnings
import zipfile
import zlib

import pytest

from xraycodec.errors import ModelError
from xraycodec.exact import pack as pack_module
from xraycodec.exact.pack import (
    MANIFEST,
    SEARCH_PATH,
    SUFFIX,
    add_model,
    build_pack,
    find_pack,
    named_pack,
    pack_folders,
    read_pack,
    select_pack,
)
from xraycodec.exact.pinned import PINNED

OWN = pack_folders()[0]
EMPTY = hashlib.sha256(b"").hexdigest()
PROPERTIES = {"segment": 128, "training": {"seed": 1}}
MEMBERS = {"b.onnx": bytes(range(256)) * 20, "a.f32": b"", "c.bin": b"\x00\xff"}


@pytest.fixture(autouse=True)
def fresh_caches():
    """Packs are cached by digest and name, which a changed search path must not see."""
    cached = (find_pack, named_pack, pack_module._digest_of)
    for function in cached:
        function.cache_clear()
    yield
    pack_module._added.clear()
    for function in cached:
        function.cache_clear()


@pytest.fixture
def data():
    return build_pack("test", "TEST", PROPERTIES, MEMBERS)


def manifest_bytes(data):
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return archive.read(MANIFEST)


def manifest_of(data):
    return json.loads(manifest_bytes(data))


def zipped(entries, method=zipfile.ZIP_DEFLATED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def repacked(data, **changes):
    """The pack with fields of its manifest replaced."""
    return zipped({MANIFEST: json.dumps(manifest_of(data) | changes), **MEMBERS})


def digest_of(data):
    return hashlib.sha256(manifest_bytes(data)).digest()


def written(folder, data, name="test"):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}{SUFFIX}"
    path.write_bytes(data)
    return path


def refused(tmp_path, data, match):
    path = written(tmp_path, data)
    with pytest.raises(ModelError, match=match) as caught:
        read_pack(path)
    assert str(path) in str(caught.value)


def test_round_trip(tmp_path, data):
    pack = read_pack(written(tmp_path, data))
    assert pack.digest == digest_of(data)
    assert (pack.name, pack.codec, pack.properties) == ("test", "TEST", PROPERTIES)
    assert pack.members == MEMBERS


def test_a_pack_without_members(tmp_path):
    pack = read_pack(written(tmp_path, build_pack("empty", "TEST", {}, {})))
    assert pack.members == {}


def test_the_manifest_lists_size_and_hash(data):
    manifest = manifest_of(data)
    assert (manifest["format"], manifest["version"]) == ("xraycodec-model-pack", 1)
    assert manifest["members"] == {
        name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in MEMBERS.items()
    }


def test_the_same_content_gives_the_same_bytes(data):
    other_order = dict(reversed(MEMBERS.items()))
    assert build_pack("test", "TEST", dict(reversed(PROPERTIES.items())), other_order) == data


@pytest.mark.parametrize(
    ("name", "codec", "properties", "members"),
    [
        ("other", "TEST", PROPERTIES, MEMBERS),
        ("test", "OTHR", PROPERTIES, MEMBERS),
        ("test", "TEST", PROPERTIES | {"segment": 256}, MEMBERS),
        ("test", "TEST", PROPERTIES, MEMBERS | {"c.bin": b"\x00\xfe"}),
    ],
)
def test_the_digest_covers_everything(data, name, codec, properties, members):
    assert digest_of(build_pack(name, codec, properties, members)) != digest_of(data)


def test_stored_entries_are_read_too(tmp_path, data):
    entries = {MANIFEST: json.dumps(manifest_of(data)), **MEMBERS}
    assert read_pack(written(tmp_path, zipped(entries, zipfile.ZIP_STORED))).members == MEMBERS


def test_entries_that_the_manifest_does_not_list_are_not_members(tmp_path, data):
    entries = {MANIFEST: json.dumps(manifest_of(data)), **MEMBERS, "extra": b"x"}
    assert read_pack(written(tmp_path, zipped(entries))).members == MEMBERS


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x05\x06"])
def test_no_archive(tmp_path, content):
    refused(tmp_path, content, "no readable model pack")


def test_no_file(tmp_path):
    with pytest.raises(ModelError, match="no readable model pack"):
        read_pack(tmp_path / "missing.xrcpack")


@pytest.mark.parametrize("share", [0.3, 0.7, 0.99])
def test_cut_off(tmp_path, data, share):
    refused(tmp_path, data[: int(share * len(data))], "no readable model pack")


def test_no_manifest(tmp_path):
    refused(tmp_path, zipped(MEMBERS), r"no item named 'manifest\.json'")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"7", b"\xff\xfe{", b"[" * 100_000, b"{}"])
def test_a_manifest_that_is_no_json_object(tmp_path, text):
    refused(tmp_path, zipped({MANIFEST: text}), "no readable model pack")


def test_an_oversize_manifest_is_refused_before_it_is_inflated(tmp_path, monkeypatch, data):
    def inflated(*_):
        raise AssertionError

    path = written(tmp_path, repacked(data, padding=" " * (1 << 20)))
    assert path.stat().st_size < 100_000
    monkeypatch.setattr(zipfile.ZipFile, "read", inflated)
    with pytest.raises(ModelError, match=r"manifest has \d+ bytes; the limit is 1048576"):
        read_pack(path)


def test_another_format(tmp_path, data):
    refused(tmp_path, repacked(data, format="a-game-save"), "'a-game-save' is not")


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version(tmp_path, data, version):
    refused(tmp_path, repacked(data, version=version), f"pack version {version}; .* knows 1")


@pytest.mark.parametrize("field", ["format", "version", "name", "codec", "properties", "members"])
def test_a_field_is_missing(tmp_path, data, field):
    manifest = manifest_of(data)
    del manifest[field]
    refused(tmp_path, zipped({MANIFEST: json.dumps(manifest), **MEMBERS}), f"'{field}'")


@pytest.mark.parametrize(
    ("field", "value"), [("name", 3), ("codec", None), ("properties", []), ("members", [])]
)
def test_a_field_has_another_type(tmp_path, data, field, value):
    refused(tmp_path, repacked(data, **{field: value}), f"field '{field}' of the manifest is a")


@pytest.mark.parametrize("entry", [None, 7, [], {}, {"size": 2}])
def test_a_member_without_size_and_hash(tmp_path, data, entry):
    members = manifest_of(data)["members"] | {"c.bin": entry}
    refused(tmp_path, repacked(data, members=members), "no readable model pack")


def test_a_member_is_missing(tmp_path, data):
    manifest = json.dumps(manifest_of(data))
    refused(tmp_path, zipped({MANIFEST: manifest, "a.f32": b""}), r"no item named 'b\.onnx'")


def test_a_member_of_another_size(tmp_path, data):
    entries = {MANIFEST: json.dumps(manifest_of(data)), **MEMBERS, "c.bin": b"\x00"}
    refused(tmp_path, zipped(entries), r"'c\.bin' has 1 bytes; the manifest says 2")


def test_a_member_of_another_content(tmp_path, data):
    entries = {MANIFEST: json.dumps(manifest_of(data)), **MEMBERS, "c.bin": b"\x00\xfe"}
    refused(tmp_path, zipped(entries), r"'c\.bin' differs from its SHA-256")


def test_members_beyond_the_limit_are_refused_before_they_are_inflated(tmp_path, monkeypatch, data):
    monkeypatch.setattr(pack_module, "MAX_PACK_BYTES", 5121)
    refused(tmp_path, data, "members of 5122 bytes; the limit is 5121")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression_methods(tmp_path, data, method):
    entries = {MANIFEST: json.dumps(manifest_of(data)), **MEMBERS}
    refused(tmp_path, zipped(entries, method), f"ZIP method {method}; allowed are 0")


def test_an_encrypted_member(tmp_path, data):
    damaged = bytearray(data)
    for header in re.finditer(rb"PK\x01\x02", data):  # the central directory's copy of the flags
        damaged[header.start() + 8] |= 1
    refused(tmp_path, bytes(damaged), "is encrypted")


def test_damage_to_any_byte_is_a_model_error_or_without_effect(tmp_path, data):
    sound = read_pack(written(tmp_path, data))
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0x41
        path = written(tmp_path, bytes(damaged))
        try:
            pack = read_pack(path)
        except ModelError:
            continue
        assert (pack.digest, pack.members) == (sound.digest, sound.members)


def test_folders_are_the_packages_own_then_those_of_the_search_path(monkeypatch, tmp_path):
    monkeypatch.delenv(SEARCH_PATH, raising=False)
    (own,) = pack_folders()
    assert own.parts[-2:] == ("xraycodec", "models")
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setenv(SEARCH_PATH, f"{first}{os.pathsep}{os.pathsep}{second}")
    assert pack_folders() == (own, first, second)


def test_the_pins_are_those_of_the_files_that_ship():
    found = {path.stem: read_pack(path) for path in OWN.glob(f"*{SUFFIX}")}
    assert {name: pack.digest.hex() for name, pack in found.items()} == dict(PINNED)
    assert len(set(PINNED.values())) == len(PINNED)


@pytest.mark.parametrize("name", PINNED)
def test_a_name_that_ships_means_the_pinned_pack(name, monkeypatch, tmp_path, data):
    written(tmp_path, data, name=name)
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    assert named_pack(name).digest.hex() == PINNED[name]
    assert select_pack(name).digest.hex() == PINNED[name]
    assert find_pack(bytes.fromhex(PINNED[name])).digest.hex() == PINNED[name]
    assert find_pack(digest_of(data)).members == MEMBERS  # files made with it still decode


def test_a_shipped_file_that_was_replaced(monkeypatch, tmp_path, data):
    monkeypatch.setattr(pack_module, "_OWN_FOLDER", tmp_path)
    written(tmp_path, data, name="wavelet")
    match = f"wavelet.xrcpack is another pack, {digest_of(data).hex()}, than .*{PINNED['wavelet']}"
    with pytest.raises(ModelError, match=match):
        named_pack("wavelet")
    with pytest.raises(ModelError, match=f"no model pack {PINNED['wavelet']}"):
        find_pack(bytes.fromhex(PINNED["wavelet"]))


def test_a_digest_is_looked_for_in_the_packages_own_folder_first(monkeypatch, tmp_path):
    digest = bytes.fromhex(PINNED["lattice-fast"])
    own = (OWN / f"lattice-fast{SUFFIX}").read_bytes()
    written(tmp_path, own, name="copy")
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    read = []
    monkeypatch.setattr(pack_module, "read_pack", lambda path: read.append(path) or read_pack(path))
    assert find_pack(digest).name == "lattice-fast"
    assert read == [OWN / f"lattice-fast{SUFFIX}"]
    find_pack.cache_clear()
    monkeypatch.setattr(pack_module, "_OWN_FOLDER", tmp_path / "gone")
    assert find_pack(digest).name == "lattice-fast"
    assert read[1:] == [tmp_path / f"copy{SUFFIX}"]


def test_a_file_is_selected_by_its_path_and_found_by_its_digest(monkeypatch, tmp_path, data):
    monkeypatch.delenv(SEARCH_PATH, raising=False)
    path = written(tmp_path, data, name="wavelet")
    with pytest.raises(ModelError, match=r"name its file with --model .* or set XRAYCODEC_MODELS"):
        find_pack(digest_of(data))
    monkeypatch.chdir(tmp_path)
    for choice in (path, str(path), path.name):
        assert select_pack(choice).digest == digest_of(data)
    monkeypatch.chdir("/")
    assert find_pack(digest_of(data)).members == MEMBERS
    assert add_model(path) == digest_of(data).hex()
    path.write_bytes(build_pack("test", "TEST", {}, {}))
    assert select_pack(path).members == {}


@pytest.mark.parametrize("name", ["nothing.xrcpack", "folder.xrcpack"])
def test_a_file_that_is_no_pack_is_not_selected(name, tmp_path):
    (tmp_path / "folder.xrcpack").mkdir()
    for function in (select_pack, add_model):
        with pytest.raises(ModelError, match="is no readable model pack"):
            function(tmp_path / name)


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "a/b", "", ".hidden", "a\0b", "x" * 129])
def test_names_lead_nowhere(name, monkeypatch, tmp_path, data):
    written(tmp_path, data, name="x")
    (tmp_path / "models").mkdir()
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path / "models"))
    with pytest.raises(ModelError, match="is neither the name of a model nor the path of a file"):
        named_pack(name)
    with pytest.raises(ModelError, match="is not of the form"):
        build_pack(name, "TEST", {}, {})
    with pytest.raises(ModelError, match="is not of the form"):
        build_pack("test", "TEST", {}, {name: b""})


@pytest.mark.parametrize("member", ["../a.f32", "/a.f32", "a/b.f32", "a\\b"])
def test_a_member_whose_name_is_a_path(tmp_path, data, member):
    members = manifest_of(data)["members"] | {member: {"size": 0, "sha256": EMPTY}}
    manifest = json.dumps(manifest_of(data) | {"members": members})
    refused(tmp_path, zipped({MANIFEST: manifest, **MEMBERS, member: b""}), "is not of the form")


def test_a_pack_with_a_name_as_long_as_a_book(tmp_path, data):
    path = written(tmp_path, repacked(data, name="a" * 100_000))
    with pytest.raises(ModelError) as caught:
        read_pack(path)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("name", [MANIFEST, "c.bin"])
def test_an_entry_twice(tmp_path, data, name):
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        archive.writestr(name, b"another")
    refused(tmp_path, out.getvalue(), "two entries of the archive have one name")


def test_an_entry_that_inflates_to_more_than_the_directory_says(tmp_path):
    due = bytes(64)
    manifest = manifest_bytes(build_pack("test", "TEST", {}, {"a.bin": due}))
    bomb = bytearray(zipped({MANIFEST: manifest, "a.bin": bytes(1 << 26)}))
    header = bomb.rindex(b"PK\x01\x02")  # of the last entry in the directory
    struct.pack_into("<I", bomb, header + 16, zlib.crc32(due))
    struct.pack_into("<I", bomb, header + 24, len(due))
    path = written(tmp_path, bytes(bomb))
    tracemalloc.start()
    try:
        assert read_pack(path).members == {"a.bin": due}
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1 << 22


def test_a_directory_beyond_the_limits(tmp_path, monkeypatch, data):
    def opened(*_):
        raise AssertionError

    many = zipped({f"{n}": b"" for n in range(4097)})
    path = written(tmp_path, many)
    monkeypatch.setattr(zipfile, "ZipFile", opened)
    with pytest.raises(ModelError, match=r"4097 entries in a directory of .* limits are 4096"):
        read_pack(path)
    path.write_bytes(data[:-10] + struct.pack("<I", (1 << 20) + 1) + data[-6:])
    with pytest.raises(ModelError, match="entries in a directory of 1048577 bytes"):
        read_pack(path)
    path.write_bytes(data[:-22] + b"PK\x06\x07" + bytes(16) + data[-22:])
    with pytest.raises(ModelError, match="is a ZIP64 archive"):
        read_pack(path)
    path.write_bytes(data[:-2] + b"\x01\x00x")
    with pytest.raises(ModelError, match="does not end in the directory of a ZIP archive"):
        read_pack(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_what_is_no_regular_file_is_not_waited_for(monkeypatch, tmp_path, data):
    os.mkfifo(tmp_path / f"a{SUFFIX}")
    (tmp_path / f"b{SUFFIX}").symlink_to("/dev/zero")
    (tmp_path / f"c{SUFFIX}").symlink_to(written(tmp_path / "elsewhere", data))
    for name in "ab":
        with pytest.raises(ModelError, match="is not a regular file"):
            read_pack(tmp_path / f"{name}{SUFFIX}")
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    assert find_pack(digest_of(data)).members == MEMBERS


def test_found_by_digest_whatever_its_file_name(monkeypatch, tmp_path, data):
    written(tmp_path / "packs", data, name="renamed")
    written(tmp_path / "packs", build_pack("test", "TEST", {}, {}))
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path / "packs"))
    assert find_pack(digest_of(data)).members == MEMBERS


def test_found_by_name_in_the_first_folder_that_has_it(monkeypatch, tmp_path, data):
    written(tmp_path / "first", build_pack("other", "TEST", {}, {}), name="other")
    written(tmp_path / "second", data)
    written(tmp_path / "third", build_pack("hidden", "TEST", {}, {}))
    folders = [str(tmp_path / name) for name in ("absent", "first", "second", "third")]
    monkeypatch.setenv(SEARCH_PATH, os.pathsep.join(folders))
    assert named_pack("test").digest == digest_of(data)


def test_not_found(monkeypatch, tmp_path):
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    with pytest.raises(
        ModelError, match=f"no model pack {'5a' * 32} in .*{tmp_path}; .*{SEARCH_PATH}"
    ):
        find_pack(b"\x5a" * 32)
    with pytest.raises(
        ModelError, match=rf"no model pack absent\.xrcpack in {tmp_path}; set XRAYC"
    ):
        named_pack("absent")
    monkeypatch.delenv(SEARCH_PATH)
    with pytest.raises(ModelError, match=r"absent\.xrcpack in XRAYCODEC_MODELS, which is not set"):
        named_pack("absent")


def test_broken_packs_beside_a_good_one_are_passed_over(monkeypatch, tmp_path, data):
    folder = tmp_path / "packs"
    written(folder, b"rubbish", name="a")
    written(folder, data[:-30], name="b")
    written(folder, repacked(data, version=2), name="c")
    written(folder, zipped({MANIFEST: b"[" * 100_000}), name="d")
    written(folder, zipped({MANIFEST: b"{}"}, zipfile.ZIP_LZMA), name="e")
    (folder / f"f{SUFFIX}").mkdir()
    (folder / f"g{SUFFIX}").symlink_to(folder / "nowhere")
    written(folder, data, name="z")
    monkeypatch.setenv(SEARCH_PATH, str(folder))
    assert find_pack(digest_of(data)).members == MEMBERS


def test_a_sound_copy_is_found_behind_a_damaged_one(monkeypatch, tmp_path, data):
    damaged = zipped({MANIFEST: manifest_bytes(data), **MEMBERS, "c.bin": b"\x00\xfe"})
    first = written(tmp_path / "first", damaged)
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path / "first"))
    with pytest.raises(ModelError, match=f"{first}: member 'c.bin' differs"):
        find_pack(digest_of(data))
    written(tmp_path / "second", data)
    folders = [str(tmp_path / name) for name in ("first", "second")]
    monkeypatch.setenv(SEARCH_PATH, os.pathsep.join(folders))
    assert find_pack(digest_of(data)).members == MEMBERS


def test_a_file_replaced_under_its_old_time_stamp_is_not_taken_for_the_old_pack(
    monkeypatch, tmp_path, data
):
    path = written(tmp_path, data)
    monkeypatch.setenv(SEARCH_PATH, str(tmp_path))
    find_pack(digest_of(data))
    stamp = path.stat()
    path.write_bytes(build_pack("test", "TEST", {}, {}))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    find_pack.cache_clear()
    with pytest.raises(ModelError, match="no model pack"):
        find_pack(digest_of(data))
