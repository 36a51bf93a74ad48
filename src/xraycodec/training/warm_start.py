"""Start RNN-Conv as a linear block transform.

From random weights the network spends hours learning brightness. The widths leave room for
the Karhunen-Loève transform (KLT) of 16 x 16 blocks, built up stage by stage from those of
2 x 2, 4 x 4 and 8 x 8 blocks, and undone the same way. ``apply`` writes that chain into a
network: gates open, knees far below the signal, the bottleneck in order of variance. What the
layers have beyond it starts at random and without influence on the output.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from xraycodec.evaluation.klt import (
    BRIGHTNESS_BEND,
    Array,
    BlockTransform,
    Crops,
    learn_klt,
)
from xraycodec.training.network import ConvLSTM2d, DeconvolutionModule, RNNConv

BLOCK_SIZES = (2, 4, 8, 16)
GATE_BIAS = 2.0
GATE = 0.2 * GATE_BIAS + 0.5
KNEE_MARGIN = 1.5


def quadrants(basis: Array) -> Array:
    """View ``(component, size * size)`` as ``(component, quadrant, (size / 2) ** 2)``."""
    size = round(basis.shape[1] ** 0.5)
    half = size // 2
    cut = basis.reshape(-1, 2, half, 2, half).transpose(0, 1, 3, 2, 4)
    return cut.reshape(len(basis), 4, half * half)


def knee_above(peak: Array, gain: float = 1.0) -> torch.Tensor:
    """Return knees that a signal of this peak does not reach, so that ReLU passes it whole."""
    return torch.from_numpy(KNEE_MARGIN * gain * peak + 0.25).float()


def set_linear(
    layer: ConvLSTM2d, taps: dict[tuple[int, int], Array], peak: Array, rows: npt.NDArray[np.int64]
) -> None:
    """Make channels ``rows`` of a ConvLSTM layer the linear map ``taps[y, x]``, ``(out, in)``."""
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
        layer.relu.knee[index] = knee_above(peak, gain)


def apply(network: RNNConv, crops: Crops) -> None:
    """Write the linear chain learned from ``crops`` into ``network`` in place."""
    transforms = [learn_klt(crops, size) for size in BLOCK_SIZES]
    with torch.no_grad():
        _start_analysis(network, *transforms)
        _start_synthesis(network, *transforms)


def _start_analysis(
    network: RNNConv,
    k2: BlockTransform,
    k4: BlockTransform,
    k8: BlockTransform,
    k16: BlockTransform,
) -> None:
    analysis, beta = network.analysis, network.config.beta
    front = analysis.front
    front.pooled.weight[:4] = 0
    front.convolution.weight[:4] = 0
    # Twice the basis: the mean with the pooled branch, silent at first, halves it.
    front.convolution.weight[:4, 0, 1:, 1:] = 2 * torch.from_numpy(k2.basis).view(4, 2, 2).float()
    for convolution in (front.convolution, front.pooled):
        assert convolution.bias is not None
        convolution.bias[:4] = 0
    for relu in (front.relu_a, front.relu_b):
        relu.knee[:4] = knee_above(k2.peaks, 2)
    chain = ((k4, k2, 16), (k8, k4, 64), (k16, k8, beta))
    for layer, (outer, inner, count) in zip(analysis.layers, chain, strict=True):
        assert isinstance(layer, ConvLSTM2d)
        parts = quadrants(outer.basis[:count])
        first = 1 if layer.side == "before" else 0
        taps = {(first + q // 2, first + q % 2): parts[:, q] @ inner.basis.T for q in range(4)}
        set_linear(layer, taps, outer.peaks[:count], np.arange(count))
    analysis.bottleneck.weight[:] = 0
    analysis.bottleneck.weight[:, :beta, 0, 0] = torch.eye(beta)
    analysis.bottleneck.bias[:] = 0
    # Full-scale brightness of a block is 8; crops may not reach it.
    peaks = np.maximum(k16.peaks[:beta], np.where(np.arange(beta) == 0, 8.0, 0.0))
    network.quantiser.log_peak[:] = torch.from_numpy(np.log(peaks)).float()
    # Brightness is spread evenly over its range: little to gain from finer steps about zero.
    network.quantiser.bend[0] = BRIGHTNESS_BEND


def _start_synthesis(
    network: RNNConv,
    k2: BlockTransform,
    k4: BlockTransform,
    k8: BlockTransform,
    k16: BlockTransform,
) -> None:
    synthesis, beta = network.synthesis, network.config.beta
    synthesis.expand.weight[:beta] = 0
    synthesis.expand.weight[:beta, :, 0, 0] = torch.eye(beta)
    synthesis.expand.bias[:] = 0
    synthesis.relu.knee[:beta] = knee_above(k16.peaks[:beta])
    pixel = BlockTransform(1, np.ones((1, 1)), np.ones(1))
    chain = ((k16, k8, beta), (k8, k4, 64), (k4, k2, 16), (k2, pixel, 4))
    for module, (outer, inner, count) in zip(synthesis.modules_, chain, strict=True):
        assert isinstance(module, DeconvolutionModule)
        # Depth-to-space reads channel 4 c + q as channel c of quadrant q.
        parts = quadrants(outer.basis[:count])
        channels = 4 * len(inner.basis)
        matrix = np.einsum("kqp,cp->cqk", parts, inner.basis).reshape(channels, -1)
        peaks = np.repeat(inner.peaks, 4)
        for branch, own in ((module.before, 1), (module.after, 0)):
            set_linear(branch, {(own, own): matrix}, peaks, np.arange(channels))
    synthesis.combine.weight[:] = 0
    synthesis.combine.weight[0, 0] = 1
    synthesis.combine.bias[:] = 0
