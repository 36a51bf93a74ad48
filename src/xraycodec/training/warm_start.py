"""Start RNN-Conv as a linear block transform.

From random weights the network spends hours learning brightness. The widths leave room for
the Karhunen-Loève transform (KLT) of 16 x 16 blocks, built up stage by stage from those of
2 x 2, 4 x 4 and 8 x 8 blocks, and undone the same way. ``apply`` writes that chain into a
network: gates open, knees far below the signal, the bottleneck in order of variance. What the
layers have beyond it starts at random and without influence on the output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from xraycodec.training.network import ConvLSTM2d, RNNConv

Array = npt.NDArray[np.float64]
GATE_BIAS = 2.0
GATE = 0.2 * GATE_BIAS + 0.5
KNEE_MARGIN = 1.5


@dataclass(frozen=True)
class BlockTransforms:
    """KLT bases of 2, 4, 8 and 16 pixel blocks.

    ``bases[k]`` is ``(component, pixel)``, orthonormal, components by falling variance;
    ``peaks[k]`` the largest absolute coefficient met, ``(component,)``.
    """

    bases: tuple[Array, Array, Array, Array]
    peaks: tuple[Array, Array, Array, Array]


def blocks_of(crops: npt.NDArray[np.uint8], size: int) -> Array:
    """Cut ``(crop, N, N)`` 8-bit crops into ``(block, size * size)`` rows in -0.5 .. 0.5."""
    n, height, width = crops.shape
    shape = (n, height // size, size, width // size, size)
    rows = crops.reshape(shape).transpose(0, 1, 3, 2, 4).reshape(-1, size * size)
    return rows.astype(np.float64) / 255 - 0.5


def learn_transforms(crops: npt.NDArray[np.uint8]) -> BlockTransforms:
    """Learn the four KLTs from crops, about mid-grey rather than the mean."""
    bases, peaks = [], []
    for size in (2, 4, 8, 16):
        rows = blocks_of(crops, size)
        _, vectors = np.linalg.eigh(rows.T @ rows / len(rows))
        basis = np.ascontiguousarray(vectors[:, ::-1].T)
        bases.append(basis)
        peaks.append(np.abs(rows @ basis.T).max(axis=0))
    return BlockTransforms(tuple(bases), tuple(peaks))  # type: ignore[arg-type]


def quadrants(basis: Array) -> Array:
    """View ``(component, size * size)`` as ``(component, quadrant, (size / 2) ** 2)``."""
    size = round(basis.shape[1] ** 0.5)
    half = size // 2
    cut = basis.reshape(-1, 2, half, 2, half).transpose(0, 1, 3, 2, 4)
    return cut.reshape(len(basis), 4, half * half)


def set_knees(layer: nn.Module, linear: int, peak: Array) -> None:
    with torch.no_grad():
        layer.knee[:linear] = torch.from_numpy(KNEE_MARGIN * peak[:linear] + 0.25).float()  # type: ignore[index]


def set_linear(layer: ConvLSTM2d, taps: dict[tuple[int, int], Array], peak: Array, rows: Array) -> None:
    """Make channels ``rows`` of a ConvLSTM layer the linear map ``taps[y, x] (out, in)``."""
    n = layer.channels
    index = torch.from_numpy(rows)
    gain = 1 / (GATE * GATE)
    with torch.no_grad():
        for gate in (0, 2):  # i and o
            layer.weight[gate * n : (gate + 1) * n] *= 0.1
            layer.weight[index + gate * n] = 0
            layer.bias[gate * n : (gate + 1) * n] = GATE_BIAS
        layer.weight[index + n] = 0
        for (y, x), matrix in taps.items():
            values = torch.from_numpy(gain * matrix).float()
            layer.weight[index + n, : matrix.shape[1], y, x] = values
        layer.relu.knee[index] = torch.from_numpy(KNEE_MARGIN * gain * peak + 0.25).float()


def apply(network: RNNConv, transforms: BlockTransforms) -> None:
    """Write the linear chain into ``network`` in place."""
    u2, u4, u8, u16 = transforms.bases
    p2, p4, p8, p16 = transforms.peaks
    beta = network.config.beta
    analysis, synthesis = network.analysis, network.synthesis
    with torch.no_grad():
        front = analysis.front
        front.convolution.weight[:4] = 0
        front.convolution.weight[:4, 0, 1:, 1:] = torch.from_numpy(u2.reshape(4, 2, 2)).float()
        # The pooled branch repeats the mean, the convolution makes up the rest.
        front.pooled.weight[:4] = 0
        front.convolution.bias[:4] = 0
        front.pooled.bias[:4] = 0
        for relu in (front.relu_a, front.relu_b):
            relu.knee[:4] = torch.from_numpy(2 * KNEE_MARGIN * p2 + 0.25).float()
        front.convolution.weight[:4] *= 2
        down = ((u4, u2, p4, 16), (u8, u4, p8, 64), (u16, u8, p16, beta))
        for layer, (basis, inner, peak, count) in zip(analysis.layers, down, strict=True):
            assert isinstance(layer, ConvLSTM2d)
            parts = quadrants(basis[:count])
            first = 1 if layer.side == "before" else 0
            taps = {
                (first + q // 2, first + q % 2): parts[:, q] @ inner.T for q in range(4)
            }
            set_linear(layer, taps, peak[:count], np.arange(count))
        analysis.bottleneck.weight[:] = 0
        analysis.bottleneck.weight[:beta, :beta, 0, 0] = torch.eye(beta)
        analysis.bottleneck.bias[:] = 0
        network.quantiser.log_step[:] = torch.from_numpy(np.log(p16[:beta] / 126)).float()

        synthesis.expand.weight[:beta] = 0
        synthesis.expand.weight[:beta, :, 0, 0] = torch.eye(beta)
        synthesis.expand.bias[:] = 0
        synthesis.relu.knee[:beta] = torch.from_numpy(KNEE_MARGIN * p16[:beta] + 0.25).float()
        up = ((u16[:beta], u8, p8), (u8, u4, p4), (u4, u2, p2), (u2, np.ones((1, 1)), np.ones(1)))
        for module, (basis, inner, peak) in zip(synthesis.modules_, up, strict=True):
            for branch, position in ((module.before, 1), (module.after, 0)):
                parts = quadrants(basis)
                # PixelShuffle reads channel 4 c + q as channel c of quadrant q.
                matrix = np.einsum("kqp,cp->cqk", parts, inner).reshape(4 * len(inner), -1)
                rows = np.arange(4 * len(inner))
                set_linear(branch, {(position, position): matrix}, np.repeat(peak, 4), rows)
        synthesis.combine.weight[:] = 0
        synthesis.combine.weight[0, 0] = 1
        synthesis.combine.bias[:] = 0
