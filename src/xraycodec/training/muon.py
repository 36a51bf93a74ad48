"""Muon (Jordan et al. 2024) for the convolutions, Adam for everything else.

Adam scales each weight by itself and crawls along the narrow valleys of a chain of nearly
linear layers. Muon replaces the momentum of a weight matrix by the nearest orthogonal matrix,
so that every direction of the layer moves at one pace.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, overload

import torch
from torch import Tensor, nn

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients of the quintic that drives all singular values towards 1 in five steps."""


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Replace the singular values of ``(rows, columns)`` by values near 1."""
    a, b, c = NEWTON_SCHULZ
    wide = matrix.shape[0] <= matrix.shape[1]
    x: Tensor = matrix if wide else matrix.T
    x = x / (matrix.norm() + 1e-12)
    for _ in range(steps):
        gram = x @ x.T
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.T


class Muon(torch.optim.Optimizer):
    """Momentum, orthogonalised per matrix; a weight ``(out, ...)`` counts as ``blocks`` of them.

    An update has the root mean square ``0.2 * lr`` of a typical Adam step (Liu et al. 2025), so
    that learning rates of Adam carry over.
    """

    def __init__(
        self, blocks: Iterable[tuple[nn.Parameter, int]], lr: float, momentum: float = 0.95
    ) -> None:
        groups = [{"params": [weight], "blocks": count} for weight, count in blocks]
        super().__init__(groups, {"lr": lr, "momentum": momentum, "blocks": 1})

    @overload
    def step(self, closure: None = None) -> None: ...
    @overload
    def step(self, closure: Callable[[], float]) -> float: ...
    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        assert closure is None
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if not state:
                    state["momentum"] = torch.zeros_like(weight)
                momentum = state["momentum"]
                momentum.lerp_(weight.grad, 1 - group["momentum"])
                direction = weight.grad.lerp(momentum, group["momentum"])
                for part, target in zip(
                    direction.chunk(group["blocks"]), weight.chunk(group["blocks"]), strict=True
                ):
                    matrix = part.reshape(len(part), -1)
                    if not matrix.any():
                        continue  # the forget gate of a single time step
                    size = 0.2 * max(matrix.shape) ** 0.5
                    target.sub_(orthogonalise(matrix).view_as(part), alpha=group["lr"] * size)
