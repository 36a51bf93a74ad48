"""What is done to one file: compress, check, extract."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from xraycodec.archive.failures import RunStoppedError
from xraycodec.archive.naming import format_for, restored_name
from xraycodec.archive.originals import read_original
from xraycodec.archive.places import Place, digest
from xraycodec.archive.records import (
    Checked,
    Compressed,
    Extracted,
    Item,
    Skipped,
    Unchanged,
)
from xraycodec.codecs.base import Codec
from xraycodec.codecs.registry import codec_by_name, name_of
from xraycodec.container import parse
from xraycodec.errors import CorruptError, ModelError, OptionError
from xraycodec.files import decode, encode
from xraycodec.files.dicom_lossy import UidPolicy
from xraycodec.image import XRay
from xraycodec.limits import DEFAULT_LIMITS, Limits
from xraycodec.pipeline import PixelDriftWarning, compress, decompress, verify

ONE_THREAD = 1
"""Of every worker: files, not parts of them, are worked on side by side."""


@dataclass(frozen=True)
class CodecChoice:
    """A codec and its settings, as the manifest keeps them."""

    name: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, codec: Codec) -> CodecChoice:
        names = [each.name for each in fields(codec) if each.name != "threads"]  # type: ignore[arg-type]
        return cls(name_of(codec.codec_id), {name: getattr(codec, name) for name in names})

    @cached_property
    def codec(self) -> Codec:
        kind = codec_by_name(self.name)
        threads = {"threads": ONE_THREAD} if hasattr(kind, "threads") else {}
        return kind(**self.settings, **threads)

    def same_as(self, kept: CodecChoice) -> bool:
        """Whether a choice that was kept, by an earlier version perhaps, means the same."""
        try:
            return self.codec == kept.codec
        except (TypeError, OptionError):  # a setting or a value that this version does not have
            return False

    def __str__(self) -> str:
        given = ((name, value) for name, value in self.settings.items() if value is not None)
        settings = ", ".join(f"{name} {value}" for name, value in given)
        return f"{self.name} ({settings})" if settings else self.name


@dataclass(frozen=True)
class Compressing:
    """Compress an original into the archive.

    Attributes:
        choice: codec and settings.
        target: folder of the archive; ``None`` to find sizes only.
        verify: decode and compare before the file gets its name.
        force: replace files that the archive did not write.
        limits: sizes of originals to accept.
    """

    choice: CodecChoice
    target: Place | None
    verify: bool = True
    force: bool = False
    limits: Limits = DEFAULT_LIMITS

    def do(self, item: Item) -> Compressed | Unchanged | Skipped:
        original = read_original(item.path, named=item.named)
        if original.no_image and not item.named:
            return Skipped(original.no_image, original.size_bytes)
        content_hash = digest(original.data)
        if self.target and content_hash == item.content_hash and self._has(self.target, item):
            return Unchanged(original.size_bytes, original.origin.mtime_ns)
        image = decode(original.data, item.path, limits=self.limits)
        try:
            data = compress(image, self.choice.codec)
        except ModelError as error:
            raise RunStoppedError(str(error)) from error
        # Made here: a constant image is a fact, not a claim of the file.
        own = replace(self.limits, free_pixels=self.limits.max_pixels)
        if self.verify:
            _verify(data, image, own)
        if self.target:
            self.target.put(
                item.output,
                data,
                earlier=item.output_hash,
                force=self.force,
                origin=original.origin,
            )
        return Compressed(
            size_bytes=original.size_bytes,
            mtime_ns=original.origin.mtime_ns,
            content_hash=content_hash,
            pixel_hash=parse(data, own).pixel_hash.hex(),
            output_bytes=len(data),
            output_hash=digest(data),
            pixel_bytes=image.size_bytes,
            verified=self.verify,
        )

    @staticmethod
    def _has(target: Place, item: Item) -> bool:
        return item.output_bytes is not None and (
            target.size_bytes(item.output) == item.output_bytes
        )


@dataclass(frozen=True)
class Checking:
    """Compare a file of the archive with the manifest.

    Attributes:
        source: folder of the archive.
        decode: restore what it holds, too, as `Extracting` does, but for the writing.
        limits: sizes of images to accept.
    """

    source: Place
    decode: bool = True
    limits: Limits = DEFAULT_LIMITS

    def do(self, item: Item) -> Checked:
        data = _read(self.source, item)
        if digest(data) != item.output_hash:
            raise CorruptError(f"{item.output} has other bytes than were written")
        if not self.decode:
            return Checked(None)
        image, identical = _decompressed(data, item, self.limits)
        if image.dicom is not None:
            _restored(image, "dicom")
        return Checked(identical)


@dataclass(frozen=True)
class Extracting:
    """Restore an image from the archive.

    Attributes:
        source: folder of the archive.
        target: folder to write to.
        format: of the outputs, ``None`` for that of the original's name.
        uid_policy: of DICOM outputs.
        force: replace files that are there.
        limits: sizes of images to accept.
    """

    source: Place
    target: Place
    format: str | None = None
    uid_policy: UidPolicy = "standard"
    force: bool = False
    limits: Limits = DEFAULT_LIMITS

    def do(self, item: Item) -> Extracted:
        data = _read(self.source, item)
        image, identical = _decompressed(data, item, self.limits)
        name = restored_name(item.output, self.format)
        chosen = self.format or format_for(name, image)
        restored = _restored(image, chosen, self.uid_policy)
        origin = self.source.origin(item.output, item.mtime_ns)
        self.target.put(name, restored, earlier=None, force=self.force, origin=origin)
        return Extracted(name, chosen, len(restored), identical)


def _verify(data: bytes, image: XRay, limits: Limits) -> None:
    if not verify(data, original=image, limits=limits, threads=ONE_THREAD).identical:
        raise CorruptError("verification failed: decoding gave other pixels")


def _read(source: Place, item: Item) -> bytes:
    if item.output_bytes is None:
        raise CorruptError(f"the manifest has no size for {item.output}")
    return source.read(item.output, item.output_bytes)


def _decompressed(data: bytes, item: Item, limits: Limits) -> tuple[XRay, bool]:
    """The image of a file, and whether its pixels are those that the encoder had."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        image = decompress(data, limits=limits, threads=ONE_THREAD)
    found = parse(data, limits).pixel_hash.hex()
    if found != item.pixel_hash:
        raise CorruptError(
            f"{item.output} holds pixels of hash {found}; the manifest has {item.pixel_hash}"
        )
    return image, not any(issubclass(each.category, PixelDriftWarning) for each in seen)


def _restored(image: XRay, chosen: str, uid_policy: UidPolicy = "standard") -> bytes:
    if chosen != "dicom":
        return encode(image, chosen)
    from xraycodec.files.dicom_writer import to_data_set, to_file

    return to_file(to_data_set(image, uid_policy=uid_policy))
