"""Trained weights to go on from: what a checkpoint is too large for and a model pack too far off.

A safetensors file of the averaged network: convolutions in float16, all else in float32. The
recurrent weights of a network of one time step are never used and are left out.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from xraycodec.errors import ModelError
from xraycodec.training.growth import grow
from xraycodec.training.network import CONFIGS, RNNConv
from xraycodec.training.weights_file import read_tensors

CONFIG_KEY = "configuration"


def save_weights(network: RNNConv, path: Path) -> None:
    """Write the weights of ``network``."""
    unused = "recurrent" if network.config.time_steps == 1 else "\0"
    tensors = {
        name: (value.half() if value.ndim == 4 else value.float()).contiguous().cpu()
        for name, value in network.state_dict().items()
        if not name.endswith(unused)
    }
    save_file(tensors, path, {CONFIG_KEY: network.config.name})


def load_weights(network: RNNConv, path: Path) -> None:
    """Read weights into ``network``; what the file leaves out stays as it is.

    Those of a narrower configuration grow (`xraycodec.training.growth`): the network then computes
    what the narrow one does.

    Raises:
        ModelError: no such file, another configuration, or other tensors than the configuration's.
    """
    tensors, found = read_tensors(path, CONFIG_KEY)
    if found == network.config.name:
        _copy(tensors, network, path)
    elif found in CONFIGS:
        narrow = RNNConv(CONFIGS[found])
        _copy(tensors, narrow, path)
        grow(narrow, network)
    else:
        raise ModelError(f"{path} holds configuration {found!r}, not {network.config.name!r}")


def _copy(tensors: dict[str, Tensor], network: RNNConv, path: Path) -> None:
    """Copy the tensors of a file into the network that they were saved of."""
    state = network.state_dict()
    for name, value in state.items():
        if name not in tensors and not name.endswith(("recurrent", "remainder")):
            raise ModelError(f"{path} lacks the weight {name!r}")
        if name in tensors and tensors[name].shape != value.shape:
            raise ModelError(
                f"{path} has {name!r} of shape {tuple(tensors[name].shape)}; the network's is"
                f" {tuple(value.shape)}"
            )
    with torch.no_grad():
        for name in state.keys() & tensors.keys():
            state[name].copy_(tensors[name].float())
