"""Trained weights to go on from: a safetensors file of the averaged networks, in float32."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xraycodec.errors import ModelError
from xraycodec.training.wavelet.network import Shape

SUFFIX = ".safetensors"
_SHAPE = "shape"


def save_weights(average: dict[str, Tensor], shape: Shape, path: Path) -> None:
    """Write averaged weights, as a state dictionary, and the sizes of their networks."""
    tensors = {name: value.float().contiguous().cpu() for name, value in average.items()}
    save_file(tensors, path, {_SHAPE: json.dumps(asdict(shape))})


def load_weights(path: Path, shape: Shape) -> dict[str, Tensor]:
    """Read what `save_weights` wrote.

    Raises:
        ModelError: no such file, or networks of other sizes.
    """
    try:
        with safe_open(path, "pt") as file:
            found = (file.metadata() or {}).get(_SHAPE)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} holds no weights: {error}") from error
    wanted = json.dumps(asdict(shape))
    if found != wanted:
        raise ModelError(f"{path} holds networks of {found}; this run has {wanted}")
    return tensors
