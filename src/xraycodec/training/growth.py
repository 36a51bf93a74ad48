"""Start a wide RNN-Conv from a narrow one that is trained.

The channels of the narrow network become the first ones of the wide one and read nothing of the
others, so that at first both compute the same. The others start at random, in units of their inputs
(`xraycodec.training.conditioning`), and have influence as soon as a weight that reads them moves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from xraycodec.errors import ModelError
from xraycodec.training.network import ConvLSTM2d, KneeReLU, Pointwise, RNNConv

_GATES = 4


def grow(narrow: RNNConv, wide: RNNConv) -> None:
    """Write ``narrow`` into ``wide`` in place; the channels that only ``wide`` has stay random.

    Depth-to-space makes channel c of channels 4 c to 4 c + 3, so that the first channels before it
    are the first ones behind it.

    Raises:
        ModelError: ``wide`` is narrower somewhere, or has another bottleneck or other time steps.
    """
    small, large = narrow.config, wide.config
    widths = [
        (config.front, *config.encoder, config.expand, *config.modules) for config in (small, large)
    ]
    fits = all(a <= b for a, b in zip(*widths, strict=True))
    if not fits or (small.beta, small.time_steps) != (large.beta, large.time_steps):
        raise ModelError(
            f"configuration {small.name!r} does not fit into {large.name!r}: its layers must not be"
            " wider, its bottleneck and its time steps must be the same"
        )
    modules = dict(wide.named_modules())
    with torch.no_grad():
        for name, source in narrow.named_modules():
            target = modules[name]
            if isinstance(source, ConvLSTM2d) and isinstance(target, ConvLSTM2d):
                _grow_layer(source, target)
            elif isinstance(source, nn.Conv2d) and isinstance(target, nn.Conv2d):
                _put(source.weight, target.weight, torch.arange(source.out_channels))
                if source.bias is not None and target.bias is not None:
                    target.bias[: source.out_channels] = source.bias
                if isinstance(source, Pointwise) and isinstance(target, Pointwise):
                    target.input_rms[: source.in_channels] = source.input_rms
            elif isinstance(source, KneeReLU) and isinstance(target, KneeReLU):
                target.knee[: len(source.knee)] = source.knee
        wide.quantiser.load_state_dict(narrow.quantiser.state_dict())


def _grow_layer(source: ConvLSTM2d, target: ConvLSTM2d) -> None:
    """Put each of the four gates' channels first among those of the wide layer."""
    rows = torch.cat([torch.arange(source.channels) + g * target.channels for g in range(_GATES)])
    _put(source.weight, target.weight, rows)
    _put(source.recurrent, target.recurrent, rows)
    target.bias[rows] = source.bias
    target.input_rms[: source.weight.shape[1]] = source.input_rms


def _put(source: Tensor, target: Tensor, rows: Tensor) -> None:
    """Make ``rows`` of a wide weight those of a narrow one, with nothing from other inputs."""
    target[rows] = 0
    target[rows, : source.shape[1]] = source
