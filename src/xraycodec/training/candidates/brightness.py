"""The means of blocks: a hierarchy of their own, and the image that they alone give.

A block of 16 x 16 has one mean, which orthonormal transforms give 16 times. The plane of means is
rounded and coded as `lattice` codes an image: from every second mean those between are predicted,
diagonal ones first, down to 2 x 2 means that are written as they are. Differences are told to one
small network in units of what the surroundings vary by, so that it serves all distances and steps.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xraycodec.training.candidates.entropy import PARAMETERS, code_lengths

BLOCK = 16
ROOT_BITS = 16
"""Of each of the means that nothing is known of."""
REACH = 2
"""Blocks on each side whose means tell how a block looks."""
NEIGHBOURS = (2 * REACH + 1) ** 2


def means(pixels: Tensor) -> Tensor:
    """Orthonormal means of blocks, ``(image, 1, row, column)``, in units of the pixels."""
    return F.avg_pool2d(pixels, BLOCK) * BLOCK


def windows(plane: Tensor, reach: int) -> Tensor:
    """What surrounds each value of ``(image, 1, row, column)``, repeated over the edges.

    Returns:
        ``(image, window, row, column)``, windows row by row.
    """
    side = 2 * reach + 1
    padded = F.pad(plane, (reach,) * 4, mode="replicate")
    return F.unfold(padded, side).reshape(len(plane), side * side, *plane.shape[2:])


class MeansHierarchy(nn.Module):
    """Code lengths of a plane of whole means."""

    def __init__(self, channels: int = 48) -> None:
        super().__init__()
        self.diagonal = _predictor(9 + 1, PARAMETERS, channels)
        self.between = _predictor(18 + 1, 2 * PARAMETERS, channels)

    def forward(self, plane: Tensor) -> Tensor:
        """Bits of each image's plane, ``(image,)``.

        Args:
            plane: integers, ``(image, 1, row, column)``, sides 2 times a power of two.
        """
        bits = plane.new_zeros(len(plane))
        while min(plane.shape[2:]) > 2:
            known, right = plane[..., ::2, ::2], plane[..., ::2, 1::2]
            below, corner = plane[..., 1::2, ::2], plane[..., 1::2, 1::2]
            around = windows(known, 1)
            square = around[:, [4, 5, 7, 8]].mean(1, keepdim=True)
            bits = bits + _bits(self.diagonal, around, square, corner)
            around = torch.cat([around, windows(corner, 1)], 1)
            # On a row: known means to both sides, corners above and below; on a column likewise.
            crosses = (around[:, [4, 5, 9 + 1, 9 + 4]], around[:, [4, 7, 9 + 3, 9 + 4]])
            middles = torch.stack([cross.mean(1) for cross in crosses], 1)
            bits = bits + _bits(self.between, around, middles, torch.cat([right, below], 1))
            plane = known
        return bits + ROOT_BITS * plane[0].numel()


def _predictor(inputs: int, outputs: int, channels: int) -> nn.Sequential:
    head = nn.Conv2d(channels, outputs, 1)
    with torch.no_grad():
        head.weight.mul_(0.1)
        start = torch.tensor([0.0, -1.5, 1.0, -2.0]).repeat_interleave(outputs // PARAMETERS)
        assert head.bias is not None
        head.bias.copy_(start)
    return nn.Sequential(
        nn.Conv2d(inputs, channels, 1),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 3, padding=1),
        nn.ReLU(),
        head,
    )


def _bits(network: nn.Module, around: Tensor, middle: Tensor, value: Tensor) -> Tensor:
    """Bits of values, ``(image,)``, that lie about ``middle``."""
    apart = around - middle[:, :1]
    unit = apart.abs().mean(1, keepdim=True).clamp_min(0.5)
    found = network(torch.cat([apart / unit, torch.log2(unit) / 4], 1))
    parameters = found.unflatten(1, (PARAMETERS, -1))
    # A mean of four may lie between integers; codec and hierarchy both know by how much.
    return code_lengths(parameters, value - middle, unit).sum((1, 2, 3))


class SmoothImage(nn.Module):
    """The image that whole means give: each block a linear map of those around it."""

    weight: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("weight", torch.zeros(BLOCK * BLOCK, NEIGHBOURS, 1, 1))

    def forward(self, plane: Tensor) -> Tensor:
        """Pixels, ``(image, 1, row, column)``, of means ``(image, 1, row / 16, column / 16)``."""
        apart = windows(plane, REACH) - plane
        flat = F.conv2d(apart, self.weight) + plane / BLOCK
        return F.pixel_shuffle(flat, BLOCK)

    def fit(self, crops: npt.NDArray[np.float32]) -> None:
        """Find the map that is nearest to crops, ``(crop, row, column)``, by least squares."""
        pixels = torch.from_numpy(crops)[:, None]
        plane = means(pixels)
        apart = (windows(plane, REACH) - plane).movedim(1, -1).flatten(0, 2).double()
        wanted = F.pixel_unshuffle(pixels, BLOCK) - plane / BLOCK
        gram = apart.T @ apart
        # The middle one differs from itself by nothing: it needs the ridge.
        gram += torch.eye(NEIGHBOURS) * (1e-4 * gram.diagonal().mean())
        found = torch.linalg.solve(gram, apart.T @ wanted.movedim(1, -1).flatten(0, 2).double())
        self.weight.copy_(found.T[:, :, None, None].float())
