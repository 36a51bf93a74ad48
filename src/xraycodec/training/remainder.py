"""A channel for what 8 bits leave of brightness.

The first code of a block is its brightness, over all of full scale: its steps are about a grey
level of 8 bits, and what rounding leaves is the largest part of the error that the codes make. So
another channel, after the most important ones, codes what is left: a few levels, two and a half
bits where a detail takes four to five, and brightness is as good as exact. Synthesis reads it
through the weights of brightness itself; the components behind it move up by one, and the last one
goes.
"""

from __future__ import annotations

import math

import torch

from xraycodec.training.conditioning import FLOOR
from xraycodec.training.network import CODE_LIMIT, RNNConv

POSITION = 8
"""Of the remainder: fewer channels are ratios above 32, where each detail is worth more than it."""
LEVELS = 5
"""To a step of brightness. 7 gain 0.01 dB at ratio 8 and take half a bit more, 3 lose 0.04."""
LEAST_BEND = 0.1
"""At which the steps of a channel are all but equal."""


def add_remainder(network: RNNConv) -> None:
    """Give ``network`` a remainder in place; one that has it, or fewer channels, stays as it is."""
    quantiser, expand = network.quantiser, network.synthesis.expand
    bottleneck = network.analysis.bottleneck
    if quantiser.remainder.any() or network.config.beta <= POSITION:
        return
    source = [*range(POSITION), 0, *range(POSITION, network.config.beta - 1)]
    with torch.no_grad():
        step = float(quantiser.log_peak[0].exp()) / CODE_LIMIT
        for rows in (bottleneck.weight, bottleneck.bias, quantiser.log_peak, quantiser.bend):
            rows.copy_(rows[source])
        # Analysis has nothing to say here: the code follows from that of channel 0.
        bottleneck.weight[POSITION] = 0
        bottleneck.bias[POSITION] = 0
        quantiser.log_peak[POSITION] = math.log(CODE_LIMIT * step / LEVELS)
        quantiser.bend[POSITION] = LEAST_BEND
        quantiser.remainder[POSITION] = 1
        expand.weight.copy_(expand.weight[:, source])
        expand.input_rms.copy_(expand.input_rms[source])
        rms = max(FLOOR, step / math.sqrt(12))
        expand.weight[:, POSITION] *= rms / expand.input_rms[0]
        expand.input_rms[POSITION] = rms
