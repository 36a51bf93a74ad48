"""Trained weights to go on from: a safetensors file of the averaged networks, in float32."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from xraycodec.codecs.lattice.geometry import EXTRAS, PHASES, SETS, described_by
from xraycodec.errors import ModelError
from xraycodec.training.lattice.network import LatticeNetwork, Shape
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


def load_to_begin(path: Path, network: LatticeNetwork) -> dict[str, Tensor]:
    """Weights to begin a run with: those of the file, as far as they fit.

    Networks with a guide begin as those without one; wider and deeper ones compute at first what
    the narrower did, and those with fewer components keep the mean of the components.

    Raises:
        ModelError: no such file.
    """
    weights, found = read_tensors(path)
    if found is None:
        raise ModelError(f"{path} does not say what networks its weights are of")
    if network.shape.guided and not json.loads(found).get("guided", False):
        weights = with_guide(weights)
    return grown(weights, network)


def grown(weights: dict[str, Tensor], network: LatticeNetwork) -> dict[str, Tensor]:
    """Weights of a network that begins with what others, narrower or shallower, have learned."""
    result = {name: value.detach().clone() for name, value in network.state_dict().items()}
    for name, fresh in result.items():
        known = weights.get(name)
        if known is None:
            if ".pairs." in name and ".1." in name.split(".pairs.")[1]:
                fresh.zero_()  # a pair more changes nothing at first
            continue
        if ".head." in name and len(known) != len(fresh):
            known = _fewer_components(known, (len(fresh) + 1) // 3)
        corner = tuple(slice(0, min(a, b)) for a, b in zip(known.shape, fresh.shape, strict=True))
        if known.ndim == 4:
            fresh[: corner[0].stop, corner[1].stop :] = 0  # new inputs change nothing at first
        fresh[corner] = known[corner]
    return result


def _fewer_components(head: Tensor, components: int) -> Tensor:
    """The rows of a head for a single distribution: the means over those of a mixture."""
    if components != 1:
        raise ModelError(f"a head of {len(head)} rows cannot become one of {components} components")
    known = (len(head) + 1) // 3
    return torch.stack([head[:known].mean(0), head[known : 2 * known].mean(0)])


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
