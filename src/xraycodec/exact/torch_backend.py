"""Exact networks in torch, on a processor or a GPU. Needs torch, which this package does not.

A convolution is a sum of matrix products in float32, one for each position in the kernel, and
never torch's own convolution, whose Winograd and FFT algorithms have fractions between. Any
partial sum of these products is an integer below 2^24, so it is exact whatever the library does.
TF32 and bfloat16 products are turned off all the same, although no factor has more than the
8 significant bits that they keep.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import pad

from xraycodec.errors import ModelError
from xraycodec.exact.operators import (
    ACTIVATION_LIMIT,
    INPUT,
    ZERO_POINT,
    Addition,
    Convolution,
    Graph,
    Head,
    Operator,
    spent,
)

_FULL = ("ieee", "none")


@contextmanager
def _full_precision(device: torch.device) -> Iterator[None]:
    """Keep float32 products in float32, whatever the process has chosen for its own."""
    backends: Any = torch.backends  # its type stubs lack mkldnn.matmul
    libraries = (backends.cuda.matmul, backends.mkldnn.matmul)
    before = [(library, library.fp32_precision) for library in libraries]
    changed = [(library, value) for library, value in before if value not in _FULL]
    for library, _ in changed:
        library.fp32_precision = "ieee"
    try:
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for library, value in changed:
            library.fp32_precision = value


class TorchInterpreter:
    """A proven graph, its weights on one device."""

    def __init__(self, graph: Graph, device: str = "") -> None:
        """Move the weights to ``device``: CUDA where there is one by default, else the processor.

        Raises:
            ModelError: there is no such device.
        """
        self._graph = graph
        self._spent = spent(graph)
        try:
            self.device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
            self._parameters = {
                operator.name: self._prepare(operator)
                for operator in graph.operators
                if not isinstance(operator, Addition)
            }
        except (RuntimeError, AssertionError) as error:  # an assertion: built without CUDA
            raise ModelError(f"torch has no device {device!r}: {error}") from error

    def _prepare(self, operator: Convolution | Head) -> tuple[Tensor, Tensor, Tensor]:
        """Weight ``(kernel position, output, input)``, bias and scale ``(output, 1)``."""
        weight = torch.tensor(operator.weight).reshape(*operator.weight.shape[:2], -1)
        if isinstance(operator, Convolution):
            scale = torch.tensor(np.exp2(-operator.shift.astype(np.float32)))
        else:
            scale = torch.tensor(np.left_shift(np.int32(1), operator.exponent))
        return (
            weight.permute(2, 0, 1).to(self.device, torch.float32).contiguous(),
            torch.tensor(operator.bias)[:, None].to(self.device, torch.float32),
            scale[:, None].to(self.device),
        )

    def __call__(self, x: npt.NDArray[np.uint8]) -> dict[str, npt.NDArray[Any]]:
        """Evaluate on ``(batch, channel, row, column)``; see ``reference.evaluate``.

        Raises:
            ModelError: torch fails, as it does without memory.
        """
        try:
            with _full_precision(self.device):
                held = {INPUT: torch.tensor(x, device=self.device)}
                for operator, freed in zip(self._graph.operators, self._spent, strict=True):
                    held[operator.name] = self._apply(operator, held)
                    for name in freed:
                        del held[name]
                return {name: held[name].cpu().numpy() for name in self._graph.outputs}
        except RuntimeError as error:
            raise ModelError(f"torch fails on an input of {x.shape}: {error}") from error

    def _apply(self, operator: Operator, held: dict[str, Tensor]) -> Tensor:
        source = held[operator.source]
        if isinstance(operator, Addition):
            total = source.to(torch.int16) + held[operator.change] - ZERO_POINT
            return total.clamp_(0, ACTIVATION_LIMIT).to(torch.uint8)
        weight, bias, scale = self._parameters[operator.name]
        images, _, height, width = source.shape
        if isinstance(operator, Head):
            acc = self._sums(source, weight, bias, 1).to(torch.int32) * scale
            return acc.reshape(images, -1, height, width)
        acc = self._sums(source, weight, bias, operator.weight.shape[-1])
        zero = ZERO_POINT if operator.signed else 0
        y = acc.mul_(scale).round_().add_(zero).clamp_(0, ACTIVATION_LIMIT)
        return y.to(torch.uint8).reshape(images, -1, height, width)

    @staticmethod
    def _sums(source: Tensor, weight: Tensor, bias: Tensor, kernel: int) -> Tensor:
        """Return ``(batch, channel, pixel)`` sums in float32."""
        images, channels, height, width = source.shape
        padded = pad(source, [kernel // 2] * 4).to(torch.float32)
        acc = bias.expand(images, -1, height * width).clone()
        for position, factor in enumerate(weight):
            r, c = divmod(position, kernel)
            shifted = padded[:, :, r : r + height, c : c + width]
            acc.baddbmm_(factor.expand(images, -1, -1), shifted.reshape(images, channels, -1))
        return acc
