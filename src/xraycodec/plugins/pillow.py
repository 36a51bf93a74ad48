"""Pillow reads and writes ``.xrc`` files once this module was imported.

::

    import xraycodec.plugins.pillow

    with Image.open("chest.xrc") as image:       # reads the front of the file
        image.draft(None, (256, 256))            # decode a half, quarter or eighth of the size
        image.load()
    image.save("near.xrc", max_error=2)          # lossless without

Modes are L (up to 8 bits stored), I;16 (up to 16) and I (signed pixels). Pixels are as stored: of
MONOCHROME1 images, which ``image.info`` tells, low values are bright. DICOM data sets are left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import IO, Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, ImageSequence

from xraycodec import remote
from xraycodec.codecs.lattice import Lattice
from xraycodec.container import SIGNATURE, Header, Limits
from xraycodec.errors import LimitError, XrayCodecError
from xraycodec.image import XRay
from xraycodec.pipeline import compress

NAME = "XRC"

_LATTICE = ("max_error", "profile", "tile", "threads")
_RAW = {"L": "u1", "I;16": "<u2", "I;16S": "<i2"}


class XrcImageFile(ImageFile.ImageFile):
    """An ``.xrc`` file as Pillow's image; frames are decoded together when the first is loaded.

    Errors of the file are `OSError`, as Pillow's own are, with ours as their cause. More pixels in
    all frames than Pillow's decompression-bomb check lets pass in one image are refused.
    """

    format = NAME
    format_description = "xraycodec radiograph"

    def _open(self) -> None:
        try:
            self._xrc = remote.open(cast("BinaryIO", self.fp), limits=_limits())
            self._scales = self._xrc.scales
        except LimitError as error:
            raise Image.DecompressionBombError(str(error)) from error
        except XrayCodecError as error:
            raise OSError(str(error)) from error
        header = self._xrc.header
        self.n_frames = header.frames
        self.is_animated = header.frames > 1
        self.info |= {
            "bits_stored": header.bits_stored,
            "photometric_interpretation": header.photometric_interpretation,
            "max_error": header.max_error,
        }
        self._mode, self._raw_mode = _modes(header)
        self._scale = 1
        self._frame = 0
        self._pixels: npt.NDArray[Any] | None = None
        self._set_tile(header.columns, header.rows)

    def _set_tile(self, width: int, height: int) -> None:
        self._size = (width, height)
        self.tile = [ImageFile._Tile("raw", (0, 0, width, height), 0, (self._raw_mode, 0, 1))]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Decode at the smallest scale that is no smaller than ``size``.

        lattice picks rows and columns, where wavelet and JPEG files average; files of the other
        codecs are decoded at their full size.
        """
        if size is None or self._scale != 1 or self._pixels is not None:
            return None
        header = self._xrc.header
        factor = min(header.columns // max(1, size[0]), header.rows // max(1, size[1]))
        self._scale = max([s for s in self._scales if s <= factor], default=1)
        self._set_tile(-(-header.columns // self._scale), -(-header.rows // self._scale))
        return self.mode, (0, 0, header.columns / self._scale, header.rows / self._scale)

    def seek(self, frame: int) -> None:
        if self._seek_check(frame):
            self._frame = frame
            self._set_tile(*self.size)

    def tell(self) -> int:
        return self._frame

    def load(self) -> Any:
        if self.tile:
            frame = self._decoded()[self._frame]
            source, self.fp = self.fp, io.BytesIO(frame.astype(_RAW[self._raw_mode]).tobytes())
            # Pillow closes what it opened itself once an image is loaded; that is all decoded now.
            if self._exclusive_fp and source is not None:
                source.close()
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Keep Pillow from mapping the file itself into memory; all of a frame is at hand."""

    def _decoded(self) -> npt.NDArray[Any]:
        """All frames, ``(frame, row, column)``, at the scale of the draft."""
        if self._pixels is None:
            try:
                self._pixels = self._xrc.read(scale=self._scale).frames
            except XrayCodecError as error:
                raise OSError(str(error)) from error
        return self._pixels


def _limits() -> Limits:
    """Twice what Pillow warns of is what it refuses."""
    most = Image.MAX_IMAGE_PIXELS
    return Limits() if most is None else Limits(max_pixels=2 * most)


def _modes(header: Header) -> tuple[str, str]:
    """Pillow's modes of the image and of the decoded bytes."""
    if header.signed:
        return "I", "I;16S"
    return ("L", "L") if header.bits_stored <= 8 else ("I;16", "I;16")


def _accept(prefix: bytes) -> bool:
    return prefix.startswith(SIGNATURE)


def _save(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    _write([image], image, file)


def _save_all(image: Image.Image, file: IO[bytes], filename: str | bytes) -> None:
    appended = image.encoderinfo.get("append_images", [])
    _write(
        (frame for each in (image, *appended) for frame in ImageSequence.Iterator(each)),
        image,
        file,
    )


def _write(frames: Any, image: Image.Image, file: IO[bytes]) -> None:
    """Write what `Image.save` was given, with the settings of `Lattice` and of `XRay`.

    Raises:
        OSError: a mode that is not grayscale, or values beyond 16 bits.
        ImageError, OptionError: frames of several sizes, or a setting out of bounds.
    """
    options: dict[str, Any] = image.encoderinfo
    arrays = list(_arrays(frames))
    if len({(array.shape, array.dtype) for array in arrays}) > 1:
        raise OSError(f"frames of several sizes or modes cannot be written as {NAME}")
    pixels = np.stack(arrays) if len(arrays) > 1 else arrays[0]
    xray = XRay(
        pixels,
        options.get("bits_stored") or 8 * pixels.dtype.itemsize,
        options.get("photometric_interpretation", "MONOCHROME2"),
    )
    codec = Lattice(**{name: options[name] for name in _LATTICE if name in options})
    file.write(compress(xray, codec))


def _arrays(frames: Iterator[Image.Image]) -> Iterator[npt.NDArray[Any]]:
    for frame in frames:
        array = np.array(frame)
        if frame.mode == "I":
            if array.min() < -(1 << 15) or array.max() >= 1 << 15:
                raise OSError(
                    f"values {array.min()} to {array.max()} of mode I cannot be written as {NAME};"
                    " allowed are -32768 to 32767, and mode I;16 up to 65535"
                )
            yield array.astype(np.int16)
        elif frame.mode in ("L", "I;16", "I;16L", "I;16B", "I;16N"):
            yield array.astype(array.dtype.newbyteorder("="), copy=False)
        else:
            raise OSError(f"cannot write mode {frame.mode} as {NAME}")


Image.register_open(NAME, XrcImageFile, _accept)
Image.register_save(NAME, _save)
Image.register_save_all(NAME, _save_all)
Image.register_extension(NAME, ".xrc")
