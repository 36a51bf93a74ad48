"""Model packs: networks and tables in one file, named by the SHA-256 of their content.

A pack is a ZIP archive of ``manifest.json`` and the members that it lists with size and
SHA-256. The SHA-256 of the manifest's bytes is the pack's digest; it covers every member, and a
stream names its pack by it, never by a file name. ``spec/model-pack.md`` specifies the form.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import reprlib
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xraycodec.errors import ModelError
from xraycodec.exact.pack_archive import entry, inflate, open_archive
from xraycodec.exact.pinned import PINNED

FORMAT = "xraycodec-model-pack"
VERSION = 1
MANIFEST = "manifest.json"
SUFFIX = ".xrcpack"
MAX_MANIFEST_BYTES = 1 << 20
MAX_PACK_BYTES = 1 << 30
"""All members together, inflated."""
SEARCH_PATH = "XRAYCODEC_MODELS"

_OWN_FOLDER = Path(__file__).parents[1] / "models"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
"""Of packs and members: never a path that leads anywhere."""
_UNREADABLE = (
    OSError,
    EOFError,
    KeyError,
    TypeError,
    ValueError,
    RuntimeError,  # zipfile's features that it lacks, json's nesting too deep
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class ModelPack:
    """A pack whose members have been checked against its manifest.

    Attributes:
        digest: SHA-256 of the manifest, 32 bytes.
        name: what people call it; no stream refers to it.
        codec: id of the codec that it serves.
        properties: the codec's own settings, from the manifest.
        members: file name to content.
    """

    digest: bytes
    name: str
    codec: str
    properties: Mapping[str, Any]
    members: Mapping[str, bytes]

    def check_codec(self, codec: str) -> None:
        """Refuse to serve another codec.

        Raises:
            ModelError: the pack is for another.
        """
        if self.codec != codec:
            raise ModelError(f"model pack {self.name!r} serves codec {self.codec!r}, not {codec!r}")

    def integer(self, field: str, low: int, high: int) -> int:
        """Return a property.

        Raises:
            ModelError: it is missing, no integer, or outside of ``low`` to ``high``.
        """
        value = self.properties.get(field)
        if type(value) is not int or not low <= value <= high:  # a bool is an int, but no number
            raise ModelError(
                f"model pack {self.name!r} has {field} = {reprlib.repr(value)}; allowed are"
                f" {low} to {high}"
            )
        return value

    def member(self, name: str) -> bytes:
        """Return a member.

        Raises:
            ModelError: there is none of this name.
        """
        if name not in self.members:
            raise ModelError(f"model pack {self.name!r} has no member {name!r}")
        return self.members[name]


def _check_names(names: Iterable[str], place: str = "") -> None:
    for name in names:
        if not NAME.fullmatch(name):
            raise ModelError(f"{place}name {name[:128]!r} is not of the form {NAME.pattern}")


def build_pack(
    name: str, codec: str, properties: Mapping[str, Any], members: Mapping[str, bytes]
) -> bytes:
    """Return the bytes of a pack; the same content gives the same bytes.

    Raises:
        ModelError: a name that no reader takes.
    """
    _check_names((name, codec, *members))
    manifest = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "codec": codec,
        "properties": dict(properties),
        "members": {
            member: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
            for member, data in sorted(members.items())
        },
    }
    text = json.dumps(manifest, indent=1, sort_keys=True).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for member, data in ((MANIFEST, text), *sorted(members.items())):
            info = zipfile.ZipInfo(member)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> tuple[bytes, dict[str, Any]]:
    info = entry(archive, MANIFEST, path)
    if info.file_size > MAX_MANIFEST_BYTES:
        raise ModelError(
            f"{path}: the manifest has {info.file_size} bytes; the limit is {MAX_MANIFEST_BYTES}"
        )
    text = inflate(archive, info)
    manifest = json.loads(text)
    if manifest["format"] != FORMAT:
        raise ModelError(f"{path}: format {manifest['format']!r} is not {FORMAT!r}")
    if manifest["version"] != VERSION:
        raise ModelError(f"{path}: pack version {manifest['version']}; this reader knows {VERSION}")
    for field, kind in (("name", str), ("codec", str), ("properties", dict), ("members", dict)):
        if not isinstance(manifest[field], kind):
            raise ModelError(
                f"{path}: field {field!r} of the manifest is a"
                f" {type(manifest[field]).__name__}, not a {kind.__name__}"
            )
    _check_names((manifest["name"], manifest["codec"], *manifest["members"]), f"{path}: ")
    return text, manifest


def _read_members(
    archive: zipfile.ZipFile, listed: Mapping[str, Any], path: Path
) -> dict[str, bytes]:
    entries = {member: entry(archive, member, path) for member in listed}
    for member, info in entries.items():
        if info.file_size != listed[member]["size"]:
            raise ModelError(
                f"{path}: member {member!r} has {info.file_size} bytes; the manifest says"
                f" {listed[member]['size']}"
            )
    total = sum(info.file_size for info in entries.values())
    if total > MAX_PACK_BYTES:
        raise ModelError(f"{path}: members of {total} bytes; the limit is {MAX_PACK_BYTES}")
    members = {}
    for member, info in entries.items():
        members[member] = inflate(archive, info)
        if hashlib.sha256(members[member]).hexdigest() != listed[member]["sha256"]:
            raise ModelError(f"{path}: member {member!r} differs from its SHA-256")
    return members


def read_pack(path: Path) -> ModelPack:
    """Read a pack and check every member.

    Raises:
        ModelError: no pack, a later version, a size over the limits, or a member of another
            size or hash than listed.
    """
    try:
        with open_archive(path) as archive:
            text, manifest = _read_manifest(archive, path)
            members = _read_members(archive, manifest["members"], path)
    except _UNREADABLE as error:
        raise ModelError(f"{path} is no readable model pack: {error}") from error
    return ModelPack(
        hashlib.sha256(text).digest(),
        manifest["name"],
        manifest["codec"],
        manifest["properties"],
        members,
    )


def pack_folders() -> tuple[Path, ...]:
    """Folders that are searched: the package's own, then those of XRAYCODEC_MODELS."""
    extra = os.environ.get(SEARCH_PATH, "")
    return (_OWN_FOLDER, *(Path(folder) for folder in extra.split(os.pathsep) if folder))


@lru_cache(maxsize=256)
def _digest_of(path: Path, _stamp: tuple[int, ...]) -> bytes:
    try:
        with open_archive(path) as archive:
            return hashlib.sha256(_read_manifest(archive, path)[0]).digest()
    except (*_UNREADABLE, ModelError):
        return b""  # a broken pack in a search folder must not stop those beside it


def _stamp(path: Path) -> tuple[int, ...]:
    """What changes when another file takes the place of this one."""
    try:
        status = path.stat()
    except OSError:
        return ()  # gone, or a link to nowhere: `_digest_of` finds no pack there
    return (status.st_mtime_ns, status.st_size, status.st_ino)


_added: dict[bytes, Path] = {}
"""Packs outside of all folders, by digest: what a digest stands for never changes."""


def add_model(path: str | os.PathLike[str]) -> str:
    """Let this process decode files that were made with a model pack, wherever it lies.

    Returns:
        The pack's digest, by which files name it, in hexadecimal.

    Raises:
        ModelError: the file is no sound pack.
    """
    file = Path(path).absolute()
    digest = _digest_of(file, _stamp(file)) or read_pack(file).digest  # which says what is wrong
    _added[digest] = file
    return find_pack(digest).digest.hex()


@lru_cache(maxsize=8)
def find_pack(digest: bytes) -> ModelPack:
    """Find the pack that a stream names.

    The package's own come first, then those that were added, then XRAYCODEC_MODELS.

    Raises:
        ModelError: no folder that is searched holds it undamaged.
    """
    own = [_OWN_FOLDER / f"{name}{SUFFIX}" for name, x in PINNED.items() if x == digest.hex()]
    added = [_added[digest]] if digest in _added else []
    _, *folders = pack_folders()
    found = (path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}")))
    damage: ModelError | None = None
    for path in (*own, *added, *found):
        if _digest_of(path, _stamp(path)) != digest:
            continue
        try:
            pack = read_pack(path)
        except ModelError as error:
            damage = error  # another folder may hold a sound copy
            continue
        if pack.digest == digest:  # not so if the file was replaced under its old stamp
            return pack
    if damage is not None:
        raise damage
    raise ModelError(
        f"no model pack {digest.hex()} in {', '.join(map(str, pack_folders()))}; name its file"
        f" with --model (in Python, xraycodec.add_model), or set {SEARCH_PATH} to the folder that"
        " holds it"
    )


@lru_cache(maxsize=8)
def named_pack(name: str) -> ModelPack:
    """Return the pack stored as ``name``, for encoding; streams then carry its digest.

    A name that the package ships means that pack alone. Others are looked for in the folders of
    XRAYCODEC_MODELS.

    Raises:
        ModelError: no folder that is searched holds it, or the package's own file was replaced.
    """
    if not NAME.fullmatch(name):
        raise ModelError(
            f"{name[:128]!r} is neither the name of a model nor the path of a file whose name ends"
            f" in {SUFFIX}"
        )
    if name in PINNED:
        path = _OWN_FOLDER / f"{name}{SUFFIX}"
        pack = read_pack(path)
        if pack.digest.hex() != PINNED[name]:
            raise ModelError(
                f"{path} is another pack, {pack.digest.hex()}, than the one that this version"
                f" ships, {PINNED[name]}; install the package again, and name a pack of yours by"
                " its path"
            )
        return pack
    _, *folders = pack_folders()
    for folder in folders:
        path = folder / f"{name}{SUFFIX}"
        if path.exists():
            return read_pack(path)
    where = ", ".join(map(str, folders)) or f"{SEARCH_PATH}, which is not set"
    raise ModelError(
        f"no model pack {name}{SUFFIX} in {where}; set {SEARCH_PATH} to the folder that holds it,"
        f" or name its file"
    )


def is_pack_file(model: str | os.PathLike[str]) -> bool:
    """Whether a choice of a model is the path of a file, not a name."""
    return not isinstance(model, str) or model.endswith(SUFFIX)


def select_pack(model: str | os.PathLike[str]) -> ModelPack:
    """Return the pack to encode with: a name, or the path of a file that ends in ``.xrcpack``.

    Raises:
        ModelError: there is none of this name, or the file is no sound pack.
    """
    return (
        find_pack(bytes.fromhex(add_model(model)))
        if is_pack_file(model)
        else named_pack(str(model))
    )
