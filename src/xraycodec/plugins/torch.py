"""A torch `Dataset` of ``.xrc`` files, at full size or at a half, a quarter or an eighth of it.

::

    from torch.utils.data import DataLoader
    from xraycodec.plugins.torch import XrcDataset

    dataset = XrcDataset("archive/", scale=4)           # a folder, a manifest, or a list of files
    loader = DataLoader(dataset, batch_size=16, num_workers=8)

Lattice and wavelet files hold smaller images in layers of their own, so that a scale saves reading
and decoding. The module is called like the library it serves; imports are absolute here, so that
``import torch`` means that library.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from xraycodec import remote
from xraycodec.errors import OptionError
from xraycodec.image import XRay
from xraycodec.parts import SCALES
from xraycodec.plugins.names import NameList, names_in

Source = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
Numbers = Literal["float", "integer"]
NUMBERS: tuple[Numbers, ...] = ("float", "integer")


class XrcDataset(Dataset[Any]):
    """Radiographs in random access; nothing is opened before it is asked for.

    An item is a tensor ``(frame, row, column)``: the one frame of a radiograph stands where models
    want a channel. With ``targets`` it is a pair of tensor and target. Pixels are as stored; those
    of MONOCHROME1 images are not inverted.

    In a worker of a `DataLoader`, networks have one thread, for workers are what runs side by side;
    elsewhere every core. Workers may be forked or spawned: a dataset pickles, and holds names as
    bytes in one array, which forked workers share.

    Attributes:
        names: paths and URLs, in order.
    """

    def __init__(
        self,
        source: Source,
        *,
        scale: int = 1,
        numbers: Numbers = "float",
        transform: Callable[[torch.Tensor], Any] | None = None,
        targets: Sequence[Any] | None = None,
        threads: int | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> None:
        """Find the files.

        Args:
            source: a folder, of which every ``.xrc`` file below it is taken, in the order of their
                names; the manifest of ``xrc archive``, of which every finished file is; or paths
                and URLs.
            scale: 1, 2, 4 or 8, to get every ``scale``-th row and column, picked by lattice
                and averaged by wavelet.
            numbers: float gives float32 from 0 to 1, the lowest and highest value of the bits
                stored; integer gives int32, the stored values.
            transform: called with each tensor; must pickle for spawned workers.
            targets: one for each file.
            threads: for the networks, 0 for every core; without, as said above.
            storage_options: for the file systems of URLs, as `fsspec.open` takes them.

        Raises:
            OptionError: no such scale or numbers, no file, not as many targets as files, or a
                manifest of another version.
            CorruptError: a file that is not a manifest.
            OSError: the folder cannot be read.
        """
        if scale not in SCALES:
            raise OptionError(f"scale {scale}; allowed are {', '.join(map(str, SCALES))}")
        if numbers not in NUMBERS:
            raise OptionError(f"numbers {numbers!r}; allowed are {', '.join(NUMBERS)}")
        found = names_in(source) if isinstance(source, str | os.PathLike) else source
        self.names = NameList(os.fspath(name) for name in found)
        if not len(self.names):
            raise OptionError(f"no .xrc file in {source!r}")
        if targets is not None and len(targets) != len(self.names):
            raise OptionError(f"{len(targets)} targets for {len(self.names)} files")
        self.scale, self.numbers, self.transform = scale, numbers, transform
        self.targets, self.threads = targets, threads
        self.storage_options = storage_options or {}

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Any:
        """Decode one file.

        Raises:
            IndexError: no such file.
            FormatError, LimitError, ModelError: it cannot be decoded; the message names it.
            OptionError: its codec has no scales.
            OSError: it cannot be read.
        """
        name = self.names[index]
        options = self.storage_options if remote.is_url(name) else {}
        with remote.open(name, **options) as file:
            image = file.read(scale=self.scale, threads=self._threads())
        item: Any = to_tensor(image, self.numbers)
        if self.transform is not None:
            item = self.transform(item)
        return item if self.targets is None else (item, self.targets[index])

    def _threads(self) -> int:
        if self.threads is not None:
            return self.threads
        return 0 if get_worker_info() is None else 1


def to_tensor(image: XRay, numbers: Numbers = "float") -> torch.Tensor:
    """Return the pixels as a tensor ``(frame, row, column)``: `XrcDataset` says of what."""
    frames = image.frames
    if numbers == "integer":
        return torch.from_numpy(frames.astype(np.int32))
    low, _ = image.value_range
    scaled = frames.astype(np.float32)
    scaled -= low
    scaled /= image.peak
    return torch.from_numpy(scaled)
