"""Analysis and synthesis of what the means leave of an image, started as one linear transform.

Both kinds begin as an orthonormal transform of blocks of 16 x 16 and its inverse, so that latents
in steps are rounded to integers; what is not linear starts on a branch that is silent.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from xraycodec.training.candidates.brightness import BLOCK
from xraycodec.training.candidates.context import Pair
from xraycodec.training.conditioning import condition
from xraycodec.training.network import Config, KneeReLU, RNNConv
from xraycodec.training.warm_start import apply

LATENTS = BLOCK * BLOCK
CELL = 4
"""Side of the cells of pixels that convolutions see as one position."""
PACE = 0.01
"""Of convolutions that start linear: a step of the optimiser is to move them little."""
RECURRENT_PACE = 0.002
"""Of recurrent layers: a start of many stages, in all of which errors add up."""
RECURRENT = Config("candidate", 16, (48, 96, 288), 288, (256, 128, 64, 16), beta=LATENTS)
SCALE = 1 / 32
"""Steps to the units in which RNN-Conv's layers see what the means leave."""


def silent(layer: nn.Conv2d) -> nn.Conv2d:
    """Give a layer nothing but zeros to say."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class Convolutions(nn.Module):
    """Strided convolutions that start as the blocks' transform, and branches that correct them."""

    basis: Tensor

    def __init__(self, width: int, hidden: int = 48) -> None:
        """``width`` is that of the context's hidden layer, which synthesis is shown."""
        super().__init__()
        self.register_buffer("basis", torch.eye(LATENTS).view(LATENTS, 1, BLOCK, BLOCK))
        self.moved = nn.ParameterList(torch.zeros_like(self.basis) for _ in range(2))
        self.analysis_branch = nn.Sequential(
            nn.Conv2d(CELL * CELL, hidden, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(hidden, 2 * hidden, 4, stride=2, padding=1),
            nn.ReLU(),
            silent(nn.Conv2d(2 * hidden, LATENTS, 4, stride=2, padding=1)),
        )
        self.shown = nn.Conv2d(width, LATENTS, 1)
        self.synthesis_branch = nn.Sequential(
            nn.Conv2d(2 * CELL * CELL, hidden, 3, padding=1),
            nn.ReLU(),
            Pair(hidden),
            silent(nn.Conv2d(hidden, CELL * CELL, 3, padding=1)),
        )

    def start(self, residuals: npt.NDArray[np.float32]) -> None:
        """Begin as the KLT of blocks of residuals, ``(crop, row, column)``, in grey levels."""
        pixels = torch.from_numpy(residuals)[:, None]
        rows = F.pixel_unshuffle(pixels, BLOCK).movedim(1, -1).flatten(0, 2).double()
        _, vectors = torch.linalg.eigh(rows.T @ rows)
        self.basis.copy_(vectors.flip(1).T.reshape(self.basis.shape).float())

    def analyse(self, residual: Tensor) -> Tensor:
        """Latents, ``(image, channel, row / 16, column / 16)``, of what the means leave."""
        linear = F.conv2d(residual, self.basis + PACE * self.moved[0], stride=BLOCK)
        detail = torch.asinh(F.pixel_unshuffle(residual, CELL))
        corrected: Tensor = linear + self.analysis_branch(detail)
        return corrected

    def synthesise(self, latents: Tensor, state: Tensor) -> Tensor:
        """Undo `analyse`, shown the context's hidden layer."""
        weight = self.basis + PACE * self.moved[1]
        linear = F.conv_transpose2d(latents, weight, stride=BLOCK)
        seen = torch.asinh(F.pixel_unshuffle(linear, CELL))
        told = F.pixel_shuffle(self.shown(state), BLOCK // CELL)
        return linear + F.pixel_shuffle(self.synthesis_branch(torch.cat([seen, told], 1)), CELL)


class RecurrentLayers(nn.Module):
    """RNN-Conv's two-branch front end, its recurrent layers and its deconvolution modules."""

    def __init__(self) -> None:
        super().__init__()
        # Where the network starts; what is trained is how far each weight has moved from there.
        self.network = RNNConv(RECURRENT).requires_grad_(requires_grad=False)
        self.moved = nn.ParameterList(torch.zeros_like(p) for p in self.network.parameters())

    def start(self, residuals: npt.NDArray[np.float32], finest: float) -> None:
        """Begin as the KLT of blocks of residuals, in grey levels, at steps from ``finest`` up."""
        crops = (residuals + 127.5).round().clip(0, 255).astype(np.uint8)
        apply(self.network, crops)
        # RNN-Conv knows pixels of one range; here they are larger at the finest step.
        gain = 255 / finest * SCALE
        with torch.no_grad():
            for module in self.network.modules():
                if isinstance(module, KneeReLU):
                    module.knee.mul_(gain)
            typical = torch.from_numpy(residuals[:16])[:, None] / (4 * finest)
            condition(self.network, typical * SCALE + 0.5)

    def _run(self, part: str, x: Tensor) -> Tensor:
        """What the analysis or the synthesis gives with its weights as they are by now."""
        weights = {
            name.removeprefix(f"{part}."): start + RECURRENT_PACE * moved
            for (name, start), moved in zip(
                self.network.named_parameters(), self.moved, strict=True
            )
            if name.startswith(f"{part}.")
        }
        found: Tensor = functional_call(self.network.get_submodule(part), weights, (x,))
        return found

    def analyse(self, residual: Tensor) -> Tensor:
        """Latents, ``(image, channel, row / 16, column / 16)``, of what the means leave."""
        return self._run("analysis", residual * SCALE + 0.5) / SCALE

    def synthesise(self, latents: Tensor, state: Tensor) -> Tensor:
        """Undo `analyse`; ``state`` of the context is not used."""
        return (self._run("synthesis", latents * SCALE) - 0.5) / SCALE
