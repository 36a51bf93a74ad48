"""imageio v3 reads and writes ``.xrc`` files once this module was imported.

::

    import imageio.v3 as iio
    import xraycodec.plugins.imageio

    pixels = iio.imread("chest.xrc")                # (row, column), uint8, int8, uint16 or int16
    small = iio.imread("chest.xrc", scale=4)        # reads the front of the file
    iio.improps("chest.xrc").shape, iio.immeta("chest.xrc")["bits_stored"]
    iio.imwrite("near.xrc", pixels, max_error=2)    # lossless without

Without registration, ``plugin=XrcPlugin`` does the same in a single call. The module is called like
the library it serves; imports are absolute here, so that ``import imageio`` means that library.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import EllipsisType
from typing import Any

import numpy as np
import numpy.typing as npt
from imageio.config import FileExtension, PluginConfig, known_extensions, known_plugins
from imageio.core.request import InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3

from xraycodec import remote
from xraycodec.codecs.lattice import Lattice
from xraycodec.codecs.registry import name_of
from xraycodec.errors import NotXrcError
from xraycodec.image import XRay, as_xray, pixel_type
from xraycodec.pipeline import compress

NAME = "xraycodec"
EXTENSION = ".xrc"

Index = int | EllipsisType | None


class XrcPlugin(PluginV3):
    """One ``.xrc`` file to imageio; an ndimage is a frame.

    Of a file with several frames, ``index=None``, imageio's default, reads all of them as
    ``(frame, row, column)``. Frames are decoded together, at the first that is asked for. Errors
    of the file are those of `xraycodec.errors`.
    """

    def __init__(self, request: Request) -> None:
        """Read the front of the file.

        Raises:
            InitializationError: it is no ``.xrc`` file, by its content for reading and by its name
                for writing.
            FormatError: it is one, but damaged, cut off or of a later version.
        """
        super().__init__(request)
        self._scale = 1
        self._frames: npt.NDArray[Any] | None = None
        if request.mode.io_mode == IOMode.write:
            if request.extension not in (EXTENSION, None):
                raise InitializationError(f"{request.extension} is not {EXTENSION}")
            return
        try:
            self._file = remote.open(request.get_file())
        except NotXrcError as error:
            raise InitializationError(str(error)) from error

    def read(self, *, index: Index = None, scale: int = 1) -> npt.NDArray[Any]:
        """Decode frames.

        Args:
            index: of a frame; ``...`` for all, as ``(frame, row, column)``; ``None`` for the only
                one, or all where there are several.
            scale: 1, 2, 4 or 8, to get every ``scale``-th row and column; averaged of
                wavelet.

        Raises:
            ValueError: no such frame.
            OptionError: no such scale.
            FormatError, LimitError, ModelError: the file cannot be decoded.
        """
        index = self._chosen(index)
        if self._frames is None or scale != self._scale:
            self._frames, self._scale = self._file.read(scale=scale).frames, scale
        frames = self._frames if index is ... else self._frames[index]
        return frames.copy()  # the caller's to change

    def iter(self, *, scale: int = 1) -> Iterator[npt.NDArray[Any]]:
        """Decode frame after frame."""
        for index in range(self._file.header.frames):
            yield self.read(index=index, scale=scale)

    def write(
        self,
        ndimage: npt.ArrayLike | list[npt.ArrayLike],
        *,
        bits_stored: int | None = None,
        **settings: Any,
    ) -> bytes | None:
        """Compress an image ``(row, column)``, frames ``(frame, row, column)``, or a list of these.

        Args:
            ndimage: integers of 8 or 16 bits.
            bits_stored: significant bits; all of the type without.
            **settings: of `xraycodec.Lattice`, such as ``max_error``.

        Returns:
            The bytes of the file where the target is ``"<bytes>"``.

        Raises:
            UnsupportedImageError: another type or shape, or values beyond ``bits_stored``.
            OptionError: a setting out of bounds.
            TypeError: an unknown setting.
        """
        if isinstance(ndimage, list) and len({np.shape(image) for image in ndimage}) > 1:
            raise ValueError("images of several shapes cannot be frames of one file")
        pixels = np.asanyarray(ndimage)  # a mask is refused, not dropped
        as_image = XRay if isinstance(ndimage, list) else as_xray  # a list is one of frames
        image = as_image(pixels, bits_stored or 8 * min(pixels.dtype.itemsize, 2))
        data = compress(image, Lattice(**settings))
        self.request.get_file().write(data)
        return data if self.request.raw_uri == "<bytes>" else None

    def properties(self, index: Index = None) -> ImageProperties:
        """Shape and type, from the front of the file; ``index`` as for `read`."""
        header = self._file.header
        stacked = self._chosen(index) is ...
        shape = (header.rows, header.columns)
        return ImageProperties(
            shape=(header.frames, *shape) if stacked else shape,
            dtype=pixel_type(header.bits_stored, signed=header.signed),
            n_images=header.frames if stacked else None,
            is_batch=stacked,
        )

    def metadata(self, index: Index = None, exclude_applied: bool = True) -> dict[str, Any]:
        """What the file says of its image; nothing of it is applied, and frames do not differ."""
        header = self._file.header
        return {
            "codec": name_of(header.codec),
            "bits_stored": header.bits_stored,
            "photometric_interpretation": header.photometric_interpretation,
            "lossless": header.max_error == 0,
            "max_error": header.max_error,
            "frames": header.frames,
        }

    def _chosen(self, index: Index) -> int | EllipsisType:
        frames = self._file.header.frames
        if index is None:
            return ... if frames > 1 else 0
        if index is not ... and not 0 <= index < frames:
            raise ValueError(f"no frame {index}; there are 0 to {frames - 1}")
        return index


def _register() -> None:
    """Enter the plug-in where imageio looks for them; doing it again changes nothing."""
    known_plugins[NAME] = PluginConfig(NAME, XrcPlugin.__name__, __name__)
    known_extensions[EXTENSION] = [
        FileExtension(name="xraycodec radiograph", extension=EXTENSION, priority=[NAME])
    ]


_register()
