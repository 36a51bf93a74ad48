"""``.xrc`` files wherever they are: paths, URLs of any fsspec file system, open files.

::

    from xraycodec import remote

    with remote.open("s3://bucket/chest.dcm.xrc", anon=True) as file:
        file.header.rows, file.header.columns     # from the front of the file
        small = file.read(scale=4)                # reads what the smaller image needs
        whole = file.read()

Of a local path, byte ranges are read as they are needed. Of a URL, blocks of 64 KiB are, each once:
a request of an object store costs as much as many bytes. ``fsspec`` is imported for URLs alone.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self, cast

from xraycodec.codecs.base import Codec
from xraycodec.codecs.registry import codec_by_id
from xraycodec.container import Header, Limits, PartialReader
from xraycodec.errors import OptionError, XrayCodecError, missing_package
from xraycodec.image import XRay
from xraycodec.parts import SCALES, decompress_part
from xraycodec.pipeline import decompress

BLOCK_BYTES = 1 << 16
"""Read at once of a file that a URL names."""

Source = str | os.PathLike[str] | BinaryIO
"""A local path, a URL, or a seekable binary file whose stream begins at byte 0."""

Region = tuple[int, int, int, int]
"""Row and column of the first pixel, rows and columns, at the full size."""


class XrcFile:
    """An open ``.xrc`` file; a context manager. `open` makes them.

    Attributes:
        header: what the image is: rows, columns, frames, bits stored, codec and so on.
        name: what messages call it.
    """

    def __init__(
        self,
        file: BinaryIO,
        name: str,
        *,
        read_all: Callable[[], bytes],
        close: Callable[[], None],
        limits: Limits,
    ) -> None:
        """Read the front of ``file``; `open` says what is raised."""
        self.name = name
        self._file, self._read_all, self._close, self._limits = file, read_all, close, limits
        try:
            self.header: Header = PartialReader.open(file, limits).header
        except XrayCodecError as error:
            raise self._named(error) from error

    @property
    def scales(self) -> tuple[int, ...]:
        """What `read` takes for ``scale``: 1 alone of codecs that decode whole images only.

        Raises:
            UnsupportedFormatError: a codec of a later writer.
        """
        whole_only = codec_by_id(self.header.codec).decode_part is Codec.decode_part
        return SCALES[:1] if whole_only else SCALES

    def read(self, *, scale: int = 1, region: Region | None = None, threads: int = 0) -> XRay:
        """Decode the image, or a part of it as `xraycodec.decompress_part` does.

        Args:
            scale: 1, 2, 4 or 8. lattice picks every ``scale``-th row and column; wavelet gives
                smaller images that are averaged.
            region: row and column of its first pixel, then its rows and columns, at the full size.
            threads: for the networks, 0 for every core.

        Returns:
            The whole image with its DICOM data set, checked by the hash of its pixels; or the part
            of it, without data set, checked by the checksums of what was read.

        Raises:
            OptionError: no such scale or region, or a codec that decodes whole images only.
            FormatError: what was read is damaged or cut off.
            LimitError: a size exceeds the limits.
            ModelError: the model pack that the file names is not at hand.
            OSError: the file cannot be read.
        """
        try:
            if scale == 1 and region is None:
                return decompress(self._read_all(), limits=self._limits, threads=threads)
            return decompress_part(
                self._file, scale=scale, region=region, limits=self._limits, threads=threads
            ).image
        except XrayCodecError as error:
            raise self._named(error) from error

    def close(self) -> None:
        """Close the file, unless the caller opened it."""
        self._close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _named(self, error: XrayCodecError) -> XrayCodecError:
        return type(error)(f"{self.name}: {error}")


def open(  # noqa: A001 - what gzip, tarfile and Pillow call it
    source: Source, *, limits: Limits | None = None, **storage_options: Any
) -> XrcFile:
    """Open an ``.xrc`` file and read its front.

    Args:
        source: a path; a URL such as ``s3://``, ``https://``, ``memory://`` or
            ``zip://x.xrc::s3://...``, for which fsspec and the package for its scheme are needed;
            or a seekable binary file, which stays the caller's to close.
        limits: sizes to accept; the defaults hold any radiograph.
        **storage_options: for the file system of a URL, as `fsspec.open` takes them.

    Raises:
        NotXrcError: it is no such file.
        FormatError: its front is damaged, cut off or of a later version.
        LimitError: a size exceeds ``limits``.
        OptionError: storage options without a URL; a file that cannot seek.
        ImportError: a URL without fsspec, or without the package for its scheme.
        OSError: it cannot be read.
    """
    limits = limits or Limits()
    if isinstance(source, str) and is_url(source):
        return _open_url(source, limits, storage_options)
    if storage_options:
        raise OptionError(
            f"storage options {', '.join(storage_options)} go with a URL; {source!r} is none"
        )
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        # unbuffered: Python would read ahead what a part does not need
        return _closing_on_error(cast("BinaryIO", path.open("rb", buffering=0)), str(path), limits)
    if not source.seekable():
        raise OptionError(f"{source!r} cannot seek; read it and pass io.BytesIO of its bytes")
    name = getattr(source, "name", None)
    return XrcFile(
        source,
        name if isinstance(name, str) else "input",
        read_all=lambda: _from_start(source),
        close=lambda: None,
        limits=limits,
    )


def is_url(name: str) -> bool:
    """Whether `open` takes a name for a URL, and storage options with it."""
    return "://" in name


def _open_url(url: str, limits: Limits, storage_options: dict[str, Any]) -> XrcFile:
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise ImportError(f"{url}: {missing_package('URLs need', 'fsspec', 'remote')}") from error
    files, path = url_to_fs(url, **storage_options)
    file = files.open(path, "rb", block_size=BLOCK_BYTES, cache_type="blockcache")
    try:
        file.seek(0, io.SEEK_END)
    except (OSError, ValueError):
        # a server that gives whole files only
        file.close()
        file = io.BytesIO(files.cat_file(path))
    # not through the cache of blocks, which would ask for them one by one
    return _closing_on_error(file, url, limits, read_all=lambda: bytes(files.cat_file(path)))


def _closing_on_error(
    file: BinaryIO, name: str, limits: Limits, read_all: Callable[[], bytes] | None = None
) -> XrcFile:
    """Hand a file that was opened here to an `XrcFile`, or close it."""
    try:
        return XrcFile(
            file,
            name,
            read_all=read_all or (lambda: _from_start(file)),
            close=file.close,
            limits=limits,
        )
    except BaseException:
        file.close()
        raise


def _from_start(file: BinaryIO) -> bytes:
    file.seek(0)
    return b"".join(iter(lambda: file.read(1 << 24), b""))
