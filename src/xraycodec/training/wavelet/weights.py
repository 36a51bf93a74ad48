"""Trained weights to go on from: a safetensors file of the averaged networks, in float32."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from xraycodec.errors import ModelError
from xraycodec.training.wavelet.network import Shape, WaveletNetwork
from xraycodec.training.weights_file import read_tensors, write_average


def save_weights(average: dict[str, Tensor], shape: Shape, path: Path) -> None:
    """Write averaged weights, as a state dictionary, and the sizes of their networks."""
    write_average(average, asdict(shape), path)


def load_weights(path: Path, shape: Shape) -> dict[str, Tensor]:
    """Read what `save_weights` wrote.

    Fewer sets of levels and fewer residual pairs are enough: sets that are missing begin as the
    last, and pairs that are missing add nothing at first.

    Raises:
        ModelError: no such file, or networks of other sizes.
    """
    tensors, found = read_tensors(path)
    grown = _grown(tensors, WaveletNetwork(shape).state_dict())
    if grown is None:
        wanted = json.dumps(asdict(shape))
        raise ModelError(f"{path} holds networks of {found}; this run has {wanted}")
    return grown


def _grown(tensors: dict[str, Tensor], initial: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Weights of larger networks that compute the same; ``None`` where there are none."""
    last = max((int(name.split(".")[1]) for name in tensors if name.startswith("sets.")), default=0)
    used = set()
    for name, value in initial.items():
        source = name
        if name.startswith("sets."):
            _, number, rest = name.split(".", 2)
            source = f"sets.{min(int(number), last)}.{rest}"
        if source in tensors:
            if tensors[source].shape != value.shape:
                return None
            initial[name] = tensors[source].clone()
            used.add(source)
        elif ".pairs." not in name:
            return None
        elif name.split(".")[-2] == "1":  # what a pair adds comes out of its second layer
            initial[name] = torch.zeros_like(value)
    return initial if used == set(tensors) else None
