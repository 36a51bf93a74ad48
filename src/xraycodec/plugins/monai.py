"""A MONAI image reader for ``.xrc`` files.

::

    from monai.transforms import LoadImage
    from xraycodec.plugins.monai import XrcReader

    load = LoadImage(reader=XrcReader(scale=4), image_only=True, ensure_channel_first=True)

MONAI is needed. The module is called like the library it serves; imports are absolute here, so that
``import monai`` means that library.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from monai.data.image_reader import ImageReader

from xraycodec import remote
from xraycodec.errors import OptionError
from xraycodec.image import XRay

SUFFIX = ".xrc"

Name = str | os.PathLike[str]


class XrcReader(ImageReader):  # type: ignore[misc] # MONAI is not there to be checked against
    """Reads radiographs for `monai.transforms.LoadImage`; paths and URLs.

    Arrays are the pixels as stored, with axes as MONAI's own readers of 2-D images have them:
    ``(column, row)``, or ``(row, column)`` with ``reverse_indexing=False``. Frames of one file, and
    the images of a list of files, are channels, the first axis.
    """

    def __init__(
        self,
        scale: int = 1,
        reverse_indexing: bool = True,
        threads: int = 0,
        **storage_options: Any,
    ) -> None:
        """Choose how to read.

        Args:
            scale: 1, 2, 4 or 8, to get every ``scale``-th row and column; averaged of
                wavelet.
            reverse_indexing: whether columns come before rows.
            threads: for the networks, 0 for every core.
            **storage_options: for the file systems of URLs, as `fsspec.open` takes them.
        """
        super().__init__()
        self.scale = scale
        self.reverse_indexing = reverse_indexing
        self.threads = threads
        self.storage_options = storage_options

    def verify_suffix(self, filename: Sequence[Name] | Name) -> bool:
        """Tell whether all names end in ``.xrc``."""
        return all(os.fspath(name).lower().endswith(SUFFIX) for name in _listed(filename))

    def read(self, data: Sequence[Name] | Name, **kwargs: Any) -> list[XRay]:
        """Decode one file or several; ``scale`` and ``threads`` in ``kwargs`` go before ours.

        Raises:
            OptionError: another argument, no such scale, or no file.
            FormatError, LimitError, ModelError: a file cannot be decoded.
            OSError: a file cannot be read.
        """
        settings = {"scale": self.scale, "threads": self.threads} | kwargs
        if len(settings) > 2:
            raise OptionError(
                f"unknown arguments {', '.join(sorted(set(kwargs) - {'scale', 'threads'}))};"
                " allowed are scale, threads"
            )
        if not (names := _listed(data)):
            raise OptionError("no file to read")
        images = []
        for name in names:
            options = self.storage_options if remote.is_url(os.fspath(name)) else {}
            with remote.open(name, **options) as file:
                images.append(file.read(**settings))
        return images

    def get_data(self, img: Sequence[XRay] | XRay) -> tuple[npt.NDArray[Any], dict[str, Any]]:
        """Return the array and what MONAI's transforms want to know of it.

        Returns:
            The array, and ``spatial_shape``, ``original_channel_dim`` (NaN where there is no
            channel axis), ``bits_stored`` and ``photometric_interpretation``, those of the first
            image.

        Raises:
            RuntimeError: images of several shapes, as MONAI's readers raise it.
        """
        images = [img] if isinstance(img, XRay) else list(img)
        first = images[0]
        shapes = sorted({image.frames.shape[1:] for image in images})
        if len(shapes) > 1:
            raise RuntimeError(f"images have the shapes {shapes}; channels need one and the same")
        channels = np.concatenate([image.frames for image in images])
        if self.reverse_indexing:
            channels = channels.swapaxes(1, 2)
        alone = len(channels) == 1
        return (channels[0] if alone else channels), {
            "spatial_shape": np.array(channels.shape[1:]),
            "original_channel_dim": float("nan") if alone else 0,
            "bits_stored": first.bits_stored,
            "photometric_interpretation": first.photometric_interpretation,
        }


def _listed(names: Sequence[Name] | Name) -> list[Name]:
    return [names] if isinstance(names, str | os.PathLike) else list(names)
