"""What training runs share: schedule, steps, averaged weights, lines of metrics, checkpoints.

`Session` is a run of networks for whole radiographs. RNN-Conv's and Toderici's runs count their
time and keep their settings in ways of their own, and take single functions from here.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from xraycodec.errors import ModelError

CHECKPOINT_VERSION = 1
REPORT_EVERY = 50
"""Steps between two lines of the metrics."""

Weights = dict[str, Tensor]
"""A state dictionary."""


class Settings(Protocol):
    """What a run's settings say, whatever its networks are.

    Attributes:
        steps: of the optimiser.
        minutes: the schedule ends when this much time has passed, if steps have not ended it.
        learning_rate: after the warm-up, which takes ``warm_up`` steps.
        ema: decay of the averaged weights.
        validate_every: steps.
        checkpoint_seconds: between two checkpoints.
    """

    @property
    def steps(self) -> int: ...
    @property
    def minutes(self) -> float | None: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def warm_up(self) -> int: ...
    @property
    def ema(self) -> float: ...
    @property
    def device(self) -> str: ...
    @property
    def validate_every(self) -> int: ...
    @property
    def checkpoint_seconds(self) -> float: ...


@dataclass(frozen=True)
class Progress:
    """What each line of the metrics begins with; a trainer adds what it validates."""

    step: int
    loss: float
    learning_rate: float
    megapixels_per_second: float
    minutes: float


def share_done(settings: Settings, step: int, minutes: float) -> float:
    """Share of a schedule that has passed, by steps or by time."""
    late = minutes / settings.minutes if settings.minutes else 0.0
    return min(1.0, max(step / settings.steps, late))


def half_cosine(share: float) -> float:
    """From 1 down to 0."""
    return 0.5 * (1 + math.cos(math.pi * share))


def learning_rate_at(settings: Settings, step: int, share: float) -> float:
    """Linear warm-up by steps, times a half cosine down to a hundredth by the share done."""
    warm = min(1.0, (step + 1) / max(1, settings.warm_up))
    return settings.learning_rate * warm * (0.01 + 0.99 * half_cosine(share))


def weights_of(network: nn.Module) -> Weights:
    """A copy of a network's weights."""
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def descend(
    network: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, learning_rate: float
) -> float:
    """Take one step down the clipped gradient; return the loss."""
    for group in optimiser.param_groups:
        group["lr"] = learning_rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
    optimiser.step()
    return float(loss.detach())


@torch.no_grad()
def follow(average: Weights, network: nn.Module, ema: float, steps: int) -> None:
    """Move averaged weights towards a network's; after few steps further than ``ema`` says."""
    decay = min(ema, steps / (steps + 9))
    for name, value in network.state_dict().items():
        average[name].lerp_(value, 1 - decay)


def write_checkpoint(path: Path, contents: Mapping[str, object]) -> None:
    """Put a checkpoint into its place once it is whole."""
    partial = path.with_suffix(".partial")
    torch.save(dict(contents), partial)
    partial.replace(path)


def append_line(path: Path, facts: Mapping[str, object]) -> None:
    """Add a line to a file of metrics."""
    with path.open("a") as metrics:
        metrics.write(json.dumps(facts) + "\n")


class Session:
    """Networks in training, with all that a checkpoint holds of them.

    A trainer builds on it and brings settings, networks, losses and validation; nothing here calls
    a method of the trainer.

    Attributes:
        settings: of the run.
        network: in training.
        folder: of checkpoint and metrics.
        average: of the weights, which is validated and exported.
        step: steps of the optimiser so far.
        minutes: spent on them so far.
    """

    settings: Settings
    network: nn.Module

    def __init__(
        self,
        settings: Settings,
        shape: Mapping[str, object],
        network: nn.Module,
        folder: Path,
    ) -> None:
        """Begin; ``shape`` is by what a checkpoint is known to be of networks like these."""
        self.settings, self.network, self.folder = settings, network, folder
        self._shape = dict(shape)
        self.average = weights_of(network)
        self.optimiser = torch.optim.Adam(
            network.parameters(), settings.learning_rate, betas=(0.9, 0.99)
        )
        self.step = 0
        self.minutes = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    @property
    def metrics(self) -> Path:
        return self.folder / "metrics.jsonl"

    def save(self) -> None:
        """Write the checkpoint."""
        contents = {
            "version": CHECKPOINT_VERSION,
            "shape": self._shape,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
        }
        write_checkpoint(self.checkpoint, contents)

    def resume(self) -> None:
        """Go on from this run's own checkpoint.

        Raises:
            ModelError: it holds networks of other sizes.
        """
        state = self._read(self.checkpoint)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.minutes = state["step"], state["minutes"]

    def average_in(self, checkpoint: Path) -> Weights:
        """The averaged weights in another run's checkpoint.

        Raises:
            ModelError: it holds networks of other sizes.
        """
        found: Weights = self._read(checkpoint)["average"]
        return found

    def _read(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(
            path, map_location=self.settings.device, weights_only=True
        )
        if found.get("version") != CHECKPOINT_VERSION or found["shape"] != self._shape:
            raise ModelError(
                f"{path} holds networks of {found.get('shape')}, checkpoint version"
                f" {found.get('version')}; this run has {self._shape}, {CHECKPOINT_VERSION}"
            )
        return found

    def take(self, weights: Weights) -> None:
        """Begin with these weights."""
        self.network.load_state_dict(weights)
        self.average = weights_of(self.network)

    def done(self) -> float:
        """Share of the schedule that has passed."""
        return share_done(self.settings, self.step, self.minutes)

    def train(self, draw: Callable[[], tuple[Tensor, int]]) -> Iterator[tuple[Progress, bool]]:
        """Train to the end of the schedule, keeping checkpoints.

        Args:
            draw: gives the loss of the next batch and how many pixels it has.

        Yields:
            Every `REPORT_EVERY` steps, and when validation is due: the progress, and whether it is.
        """
        settings = self.settings
        saved = began = time.monotonic()
        losses: list[float] = []
        pixels = 0
        while self.done() < 1:
            started = time.monotonic()
            rate = learning_rate_at(settings, self.step, self.done())
            loss, count = draw()
            losses.append(descend(self.network, self.optimiser, loss, rate))
            self.step += 1
            follow(self.average, self.network, settings.ema, self.step)
            pixels += count
            self.minutes += (time.monotonic() - started) / 60
            last = self.done() >= 1
            due = last or self.step % settings.validate_every == 0
            if due or self.step % REPORT_EVERY == 0:
                speed = round(pixels / (time.monotonic() - began) / 1e6, 4)
                mean = float(np.mean(losses))
                yield Progress(self.step, mean, rate, speed, round(self.minutes, 2)), due
                losses.clear()
                pixels, began = 0, time.monotonic()
            if last or time.monotonic() - saved > settings.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
