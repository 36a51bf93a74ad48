"""Files of weights to go on from: safetensors, with a word on the networks that they are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from xraycodec.errors import ModelError

SUFFIX = ".safetensors"
SHAPE = "shape"
"""Key of the sizes of networks, which are JSON."""


def write_average(average: Mapping[str, Tensor], shape: Mapping[str, object], path: Path) -> None:
    """Write averaged weights, a state dictionary, in float32, and the sizes of their networks."""
    tensors = {name: value.float().contiguous().cpu() for name, value in average.items()}
    save_file(tensors, path, {SHAPE: json.dumps(shape)})


def read_tensors(path: Path, key: str = SHAPE) -> tuple[dict[str, Tensor], str | None]:
    """Return the tensors of a file, and what it says under ``key``.

    Raises:
        ModelError: no such file, or not of this kind.
    """
    try:
        with safe_open(path, "pt") as file:
            said = (file.metadata() or {}).get(key)
            return {name: file.get_tensor(name) for name in file.keys()}, said  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path} holds no weights: {error}") from error
