"""Hold every weight in units of what it multiplies.

Coefficients of brightness are hundreds of times larger than those of fine detail, and so are
the errors that a step of Adam makes through them: at a rate that detail learns from, brightness
jitters; at a rate that spares brightness, detail stands still. Weights are therefore kept
multiplied by the root mean square of their input channel. The network computes the same; a step
of a given size now moves its output by the same amount through every channel.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from xraycodec.training.network import ConvLSTM2d, Pointwise, RNNConv

FLOOR = 0.003
"""Smallest root mean square, in units of full scale, that a channel is taken for."""


def condition(network: RNNConv, pixels: Tensor) -> None:
    """Measure every layer's input over ``pixels``, ``(batch, 1, N, N)``, and rescale in place."""
    measured: dict[nn.Module, Tensor] = {}

    def measure(layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        measured[layer] = inputs[0].square().mean((0, 2, 3)).sqrt().clamp_min(FLOOR)

    layers = [m for m in network.modules() if isinstance(m, (ConvLSTM2d, Pointwise))]
    hooks = [layer.register_forward_pre_hook(measure) for layer in layers]
    with torch.no_grad():
        network(pixels, torch.full((len(pixels),), network.config.beta, device=pixels.device))
        for layer in layers:
            layer.weight *= (measured[layer] / layer.input_rms)[:, None, None]
            layer.input_rms.copy_(measured[layer])
    for hook in hooks:
        hook.remove()
