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
MAX_MEMBER_BYTES = 1 << 30
SEARCH_PATH = "XRAYCODEC_MODELS"


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


def _read_manifest(archive: zipfile.ZipFile, path: Path) -> tuple[bytes, dict[str, Any]]:
    if archive.getinfo(MANIFEST).file_size > MAX_MANIFEST_BYTES:
        raise ModelError(f"{path}: manifest is larger than {MAX_MANIFEST_BYTES} bytes")
    text = archive.read(MANIFEST)
    manifest = json.loads(text)
    if manifest["format"] != FORMAT:
        raise ModelError(f"{path}: format {manifest['format']!r} is not {FORMAT!r}")
    if manifest["version"] != VERSION:
        raise ModelError(f"{path}: pack version {manifest['version']}; this reader knows {VERSION}")
    return text, manifest


def read_pack(path: Path) -> ModelPack:
    """Read a pack and check every member.

    Raises:
        ModelError: no pack, a later version, or a member of another size or hash than listed.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            text, manifest = _read_manifest(archive, path)
            members = {}
            for member, expected in manifest["members"].items():
                size = archive.getinfo(member).file_size
                if size != expected["size"] or size > MAX_MEMBER_BYTES:
                    raise ModelError(
                        f"{path}: member {member!r} has {size} bytes; the manifest says"
                        f" {expected['size']}, the limit is {MAX_MEMBER_BYTES}"
                    )
                members[member] = archive.read(member)
                if hashlib.sha256(members[member]).hexdigest() != expected["sha256"]:
                    raise ModelError(f"{path}: member {member!r} differs from its SHA-256")
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError) as error:
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
    except (OSError, zipfile.BadZipFile, KeyError, TypeError, ValueError, ModelError):
        return b""  # a broken pack in a search folder must not stop those beside it


@lru_cache(maxsize=8)
def find_pack(digest: bytes) -> ModelPack:
    """Find the pack that a stream names.

    Raises:
        ModelError: no folder that is searched holds it.
    """
    for folder in pack_folders():
        for path in sorted(folder.glob(f"*{SUFFIX}")):
            if _digest_of(path, path.stat().st_mtime_ns) == digest:
                return read_pack(path)
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
