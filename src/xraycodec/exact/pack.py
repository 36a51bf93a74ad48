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
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from xraycodec.errors import ModelError

FORMAT = "xraycodec-model-pack"
VERSION = 1
MANIFEST = "manifest.json"
SUFFIX = ".xrcpack"
MAX_MANIFEST_BYTES = 1 << 20
MAX_PACK_BYTES = 1 << 30
"""All members together, inflated."""
SEARCH_PATH = "XRAYCODEC_MODELS"

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 1
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


def build_pack(
    name: str, codec: str, properties: Mapping[str, Any], members: Mapping[str, bytes]
) -> bytes:
    """Return the bytes of a pack; the same content gives the same bytes."""
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


def _entry(archive: zipfile.ZipFile, member: str, path: Path) -> zipfile.ZipInfo:
    info = archive.getinfo(member)
    if info.compress_type not in _METHODS or info.flag_bits & _ENCRYPTED:
        raise ModelError(
            f"{path}: entry {member!r} is encrypted or compressed by ZIP method"
            f" {info.compress_type}; allowed are 0 (stored) and 8 (deflated)"
        )
    return info


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> tuple[bytes, dict[str, Any]]:
    info = _entry(archive, MANIFEST, path)
    if info.file_size > MAX_MANIFEST_BYTES:
        raise ModelError(
            f"{path}: the manifest has {info.file_size} bytes; the limit is {MAX_MANIFEST_BYTES}"
        )
    text = archive.read(info)
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
    return text, manifest


def _read_members(
    archive: zipfile.ZipFile, listed: Mapping[str, Any], path: Path
) -> dict[str, bytes]:
    entries = {member: _entry(archive, member, path) for member in listed}
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
        members[member] = archive.read(info)
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
        with zipfile.ZipFile(path) as archive:
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
    """Folders that are searched: those of XRAYCODEC_MODELS, then the package's own."""
    extra = os.environ.get(SEARCH_PATH, "")
    listed = tuple(Path(folder) for folder in extra.split(os.pathsep) if folder)
    return (*listed, Path(__file__).parents[1] / "models")


@lru_cache(maxsize=256)
def _digest_of(path: Path, _modified: int) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            return hashlib.sha256(_read_manifest(archive, path)[0]).digest()
    except (*_UNREADABLE, ModelError):
        return b""  # a broken pack in a search folder must not stop those beside it


def _modification_time(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return -1  # gone, or a link to nowhere: `_digest_of` finds no pack there


@lru_cache(maxsize=8)
def find_pack(digest: bytes) -> ModelPack:
    """Find the pack that a stream names.

    Raises:
        ModelError: no folder that is searched holds it undamaged.
    """
    damage: ModelError | None = None
    for folder in pack_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if _digest_of(path, _modification_time(path)) != digest:
                continue
            try:
                pack = read_pack(path)
            except ModelError as error:
                damage = error  # another folder may hold a sound copy
                continue
            if pack.digest == digest:  # not so if the file was replaced under its old time stamp
                return pack
    if damage is not None:
        raise damage
    raise ModelError(
        f"no model pack {digest.hex()} in {', '.join(map(str, pack_folders()))}; set"
        f" {SEARCH_PATH} to the folder that holds it"
    )


@lru_cache(maxsize=8)
def named_pack(name: str) -> ModelPack:
    """Return the pack stored as ``name``, for encoding; streams then carry its digest.

    Raises:
        ModelError: no folder that is searched holds it.
    """
    for folder in pack_folders():
        path = folder / f"{name}{SUFFIX}"
        if path.exists():
            return read_pack(path)
    raise ModelError(f"no model pack {name}{SUFFIX} in {', '.join(map(str, pack_folders()))}")
