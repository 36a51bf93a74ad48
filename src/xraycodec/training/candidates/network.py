"""A lossy codec of block means, a transform of what they leave, and conditional mixtures.

::

    x ─┬─ means ─ round ─ hierarchy ─▶ bits
       │             └─ smooth image ─┬───────────────────────────────────┐
       └────────────────────────────(-)─ analysis ─ round ─ synthesis ─(+)─▶ x'
                                                      └─ contexts ─▶ bits
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from xraycodec.training.candidates.brightness import (
    BLOCK,
    MeansHierarchy,
    SmoothImage,
    means,
)
from xraycodec.training.candidates.context import ContextShape, LatentContext
from xraycodec.training.candidates.transforms import LATENTS, Convolutions, RecurrentLayers

SEPARATE = ContextShape(LATENTS, (32, LATENTS - 32), 96)
CARRIED = ContextShape(LATENTS, (32, LATENTS - 32), 64, recurrent=True)
MULTIPLE = 2 * BLOCK
"""Sides of images are this times a power of two."""


@dataclass(frozen=True)
class Coded:
    """What coding a batch gives.

    Attributes:
        bits: of each image, ``(image,)``.
        errors: of each image likewise: squared, in steps.
        pixels: decoded, in steps, ``(image, 1, row, column)``.
    """

    bits: Tensor
    errors: Tensor
    pixels: Tensor


class TransformNetwork(nn.Module):
    """Convolutions with separate passes, or recurrent layers in transform and contexts."""

    def __init__(self, recurrent: bool) -> None:
        super().__init__()
        shape = CARRIED if recurrent else SEPARATE
        self.hierarchy = MeansHierarchy()
        self.smooth = SmoothImage()
        self.context = LatentContext(shape)
        self.transform: Convolutions | RecurrentLayers = (
            RecurrentLayers() if recurrent else Convolutions(shape.width)
        )

    def start(self, crops: npt.NDArray[np.float32], finest: float, typical: float) -> None:
        """Begin as the linear transform that suits crops.

        Args:
            crops: ``(crop, row, column)``, in grey levels.
            finest: quantisation step in grey levels, of which pixels are multiples at most.
            typical: step whose deviations the mixtures begin with.
        """
        self.smooth.fit(crops)
        pixels = torch.from_numpy(crops)[:, None]
        with torch.no_grad():
            residuals = pixels - self.smooth(means(pixels))
            if isinstance(self.transform, RecurrentLayers):
                self.transform.start(residuals[:, 0].numpy(), finest)
            else:
                self.transform.start(residuals[:, 0].numpy())
            latents = self.transform.analyse(residuals / typical)
            self.context.expect(latents.square().mean((0, 2, 3)).sqrt().clamp_min(0.02))

    def analyse(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Whole means, their smooth image, and latents that are not yet whole."""
        plane = means(pixels).round()
        base = self.smooth(plane)
        return plane, base, self.transform.analyse(pixels - base)

    def forward(self, pixels: Tensor, thrift: float) -> Coded:
        """Code images whose values are in steps of quantisation.

        Args:
            pixels: ``(image, 1, row, column)``, sides `MULTIPLE` times a power of two.
            thrift: squared steps that a bit is worth.
        """
        plane, base, latents = self.analyse(pixels)
        bits = self.hierarchy(plane)
        coded = self.context(latents, plane, thrift)
        found = base + self.transform.synthesise(coded.values + coded.correction, coded.state)
        errors = (found - pixels).square().sum((1, 2, 3))
        return Coded(bits + coded.bits, errors, found)
