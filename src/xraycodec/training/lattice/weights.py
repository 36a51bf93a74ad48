"""Trained weights to go on from: a safetensors file of the averaged networks, in float32."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from xraycodec.codecs.lattice.geometry import EXTRAS, PHASES, SETS, described_by
from xraycodec.errors import ModelError
from xraycodec.training.lattice.network import Shape
from xraycodec.training.weights_file import read_tensors, write_average


def save_weights(average: dict[str, Tensor], shape: Shape, path: Path) -> None:
    """Write averaged weights, as a state dictionary, and the sizes of their networks."""
    write_average(average, shape.facts(), path)


def load_weights(path: Path, shape: Shape) -> dict[str, Tensor]:
    """Read what `save_weights` wrote.

    Raises:
        ModelError: no such file, or networks of other sizes.
    """
    tensors, found = read_tensors(path)
    wanted = json.dumps(shape.facts())
    if found != wanted:
        raise ModelError(f"{path} holds networks of {found}; this run has {wanted}")
    return tensors


def load_to_begin(path: Path, shape: Shape) -> dict[str, Tensor]:
    """Weights to begin a run with: networks with a guide also begin as those without one.

    Raises:
        ModelError: no such file, or networks of other sizes.
    """
    _, found = read_tensors(path)
    plain = replace(shape, guided=False)
    if shape.guided and found == json.dumps(plain.facts()):
        return with_guide(load_weights(path, plain))
    return load_weights(path, shape)


def with_guide(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of networks that take a guide but do not yet look at it, from ones without."""
    widened = dict(weights)
    for number in range(SETS):
        for index, phase in enumerate(PHASES):
            name = f"sets.{number}.{index}.entry.weight"
            entry = weights[name]
            known = phase.neighbours
            more = described_by(phase, guided=True) - known - EXTRAS
            blank = torch.zeros(len(entry), more, 1, 1)
            widened[name] = torch.cat([entry[:, :known], blank, entry[:, known:]], 1)
    return widened
