"""What the tests of lattice's and wavelet's training share: tiny runs on tiny radiographs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xraycodec.training.lattice import loop as lattice
from xraycodec.training.lattice import weights as lattice_weights
from xraycodec.training.lattice.network import Shape as LatticeShape
from xraycodec.training.lattice.samples import Draw
from xraycodec.training.wavelet import loop as wavelet
from xraycodec.training.wavelet import weights as wavelet_weights
from xraycodec.training.wavelet.network import Shape as WaveletShape

LATTICE = lattice.Settings(
    LatticeShape(channels=(8, 8, 8), pairs=((2, 1, 1),) * 3, components=2),
    Draw(batch=2, crop=32, per_image=1),
    steps=4, validate_every=2, validation_images=2, quantise_from=0.5,
)  # fmt: skip
WAVELET = wavelet.Settings(
    WaveletShape(channels=8, pairs=((1, 1, 1),) * 3, components=2, finish=(8, 1)),
    batch=2, crop=32, whole=2, dead_zone_steps=2, steps=4, warm_up=2, learning_rate=4e-3,
    validate_every=2, validation_images=2, validation_crop=32, quantise_from=0.5,
)  # fmt: skip


def radiographs(count: int = 3, side: int = 64) -> np.ndarray:
    """Ramps with noise; of 64 pixels for wavelet's powers of two, larger for lattice's crops."""
    random = np.random.default_rng(3)
    ramps = np.add.outer(np.arange(side), 2 * np.arange(side))[None] % 150
    return (ramps + random.normal(40, 3, (count, side, side))).clip(0, 255).astype(np.uint8)


def lattice_trainer(folder: Path, settings: lattice.Settings = LATTICE) -> lattice.Trainer:
    folder.mkdir(exist_ok=True)
    return lattice.Trainer(settings, radiographs(side=96), radiographs(2, 96), folder)


def wavelet_trainer(folder: Path, settings: wavelet.Settings = WAVELET) -> wavelet.Trainer:
    folder.mkdir(exist_ok=True)
    return wavelet.Trainer(settings, radiographs(), radiographs(2), folder)


@dataclass(frozen=True)
class Kind:
    """One of the trainers of whole radiographs, with its tiny settings."""

    settings: Any
    trainer: Callable[..., Any]
    save_weights: Callable[..., None]
    load_weights: Callable[..., Any]

    @property
    def wider(self) -> Any:
        """A shape of other sizes."""
        return replace(self.settings.shape, components=3)


KINDS = {
    "lattice": Kind(
        LATTICE, lattice_trainer, lattice_weights.save_weights, lattice_weights.load_weights
    ),
    "wavelet": Kind(
        WAVELET, wavelet_trainer, wavelet_weights.save_weights, wavelet_weights.load_weights
    ),
}
