"""Train the Toderici baseline: seeded, resumable, metrics as JSON lines.

A batch is iterated in spans of ``span`` iterations, with a step of the optimiser after each and no
gradient from one span into the one before: the paper unrolls 16 at once, which at 32 would not
fit a small machine. How many spans a batch gets is drawn, so that early iterations, which every
rate goes through, are seen most.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xraycodec.errors import ModelError
from xraycodec.evaluation.crops import Crops
from xraycodec.training import session
from xraycodec.training.loop import loss_of
from xraycodec.training.toderici.network import (
    CONFIGS,
    MAX_ITERATIONS,
    Toderici,
    detached,
)
from xraycodec.training.weights_file import SUFFIX, read_tensors

REPORTED = (1, 2, 4, 8, 16, 32)
"""Iterations at which validation reports: ratios 64, 32, 16, 8, 4, 2."""
CHECKPOINT_VERSION = 1
EXACT_DB = 100.0


@dataclass(frozen=True)
class Settings:
    """What a training run depends on, and all of it.

    The loss is the paper's, the mean absolute residual over iterations (equation 7), or
    ``log-mse``, the mean of log(mse): the mean PSNR over iterations and crops. ``minutes``, if
    given, ends the schedule of the learning rate by time instead of by steps.
    """

    config: str = "compact"
    segment: int = 128
    steps: int = 20_000
    minutes: float | None = None
    batch: int = 8
    span: int = 8
    learning_rate: float = 1e-3
    warm_up: int = 100
    loss: str = "l1"
    augment: bool = False
    ema: float = 0.998
    seed: int = 2019
    precision: str = "float32"
    device: str = "cpu"
    validate_every: int = 500
    validation_crops: int = 64
    checkpoint_seconds: float = 180.0


def draw_batch(crops: Crops, rng: np.random.Generator, settings: Settings) -> Tensor:
    """Draw ``(batch, 1, N, N)`` crops in 0 .. 1."""
    index = np.sort(rng.choice(len(crops), settings.batch, replace=False))
    pixels = torch.from_numpy(crops[index].astype(np.float32) / 255)[:, None]
    if settings.augment:
        for k in range(len(pixels)):
            turned = torch.rot90(pixels[k], int(rng.integers(4)), (1, 2))
            pixels[k] = turned.flip(2) if rng.integers(2) else turned.clone()
    return pixels


def draw_spans(rng: np.random.Generator, most: int) -> int:
    """Half of the batches get one span, a quarter two, and so on; the rest get all of them."""
    return min(most, int(rng.geometric(0.5)))


@torch.no_grad()
def validate(network: Toderici, crops: Crops, device: str, batch: int = 16) -> dict[int, float]:
    """Mean PSNR in dB of the rounded 8-bit output after each of `REPORTED` iterations."""
    totals = dict.fromkeys(REPORTED, 0.0)
    for start in range(0, len(crops), batch):
        pixels = torch.from_numpy(crops[start : start + batch].astype(np.float32))[:, None]
        pixels = (pixels / 255).to(device)
        states, residual = network.start(), pixels - 0.5
        for iteration in range(1, max(REPORTED) + 1):
            _, image, states = network.step(residual, states)
            residual = pixels - image
            if iteration in totals:
                error = (pixels * 255 - (image.float() * 255).round().clamp(0, 255)).double()
                mse = (error**2).mean((1, 2, 3)).clamp_min(255**2 * 10 ** (-EXACT_DB / 10))
                totals[iteration] += float((10 * torch.log10(255**2 / mse)).sum())
    return {iteration: total / len(crops) for iteration, total in totals.items()}


class Trainer:
    """Holds everything that a checkpoint holds; ``run`` goes on until the schedule ends."""

    def __init__(self, settings: Settings, train: Crops, validation: Crops, folder: Path) -> None:
        self.settings, self.train, self.folder = settings, train, folder
        self.validation = validation[: settings.validation_crops]
        torch.manual_seed(settings.seed)
        self.network = Toderici(CONFIGS[settings.config]).to(settings.device)
        self.average = session.weights_of(self.network)
        self.optimiser = torch.optim.Adam(self.network.parameters(), settings.learning_rate)
        self.step = 0
        self.minutes = 0.0

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        contents = {
            "version": CHECKPOINT_VERSION,
            "settings": asdict(self.settings),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
        }
        session.write_checkpoint(self.checkpoint, contents)

    def start_from(self, path: Path) -> None:
        """Take the weights of another run: its safetensors file, or its checkpoint's average."""
        if path.suffix == SUFFIX:
            state = {name: value.float() for name, value in read_tensors(path)[0].items()}
        else:
            state = _read_checkpoint(path, self.settings)["average"]
        try:
            self.network.load_state_dict(state)
        except RuntimeError as error:
            raise ModelError(
                f"{path} holds no {self.settings.config} Toderici network: {error}"
            ) from error
        self.average = session.weights_of(self.network)

    def resume(self) -> None:
        """Go on from this run's own checkpoint."""
        state = _read_checkpoint(self.checkpoint, self.settings)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.minutes = state["step"], state["minutes"]

    def averaged(self) -> Toderici:
        """Return a copy of the network with the averaged weights."""
        network = Toderici(self.network.config)
        network.load_state_dict(self.average)
        return network.to(self.settings.device).eval()

    @property
    def share(self) -> float:
        """How much of the schedule is over, 0 .. 1."""
        return session.share_done(self.settings, self.step, self.minutes)

    def learning_rate(self) -> float:
        """Linear warm-up, then a half cosine down to a hundredth."""
        return session.learning_rate_at(self.settings, self.step, self.share)

    def run(self, report: Callable[[str], None]) -> None:
        settings = self.settings
        clock, saved = time.monotonic(), time.monotonic()
        before, recent = self.minutes, []
        while self.share < 1:
            recent.append(self._batch())
            self.step += 1
            self.minutes = before + (time.monotonic() - clock) / 60
            due = self.step % settings.validate_every == 0 or self.share >= 1
            if due or self.step % 25 == 0:
                line: dict[str, Any] = {
                    "step": self.step,
                    "minutes": round(self.minutes, 2),
                    "loss": round(float(np.mean(recent)), 5),
                    "learning_rate": self.learning_rate(),
                }
                recent.clear()
                if due:
                    line["psnr_db"] = validate(self.averaged(), self.validation, settings.device)
                session.append_line(self.folder / "metrics.jsonl", line)
                report(_text(line))
            if time.monotonic() - saved > settings.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()

    def _batch(self) -> float:
        """Train on one batch; return the loss of its first span."""
        settings = self.settings
        # One generator a step: a resumed run draws what an unbroken one would.
        rng = np.random.default_rng((settings.seed, self.step))
        noise = torch.Generator(settings.device).manual_seed(int(rng.integers(1 << 62)))
        pixels = draw_batch(self.train, rng, settings).to(settings.device)
        rate = self.learning_rate()
        states, residual, first = self.network.start(), pixels - 0.5, 0.0
        side = settings.segment // 16
        for _ in range(draw_spans(rng, MAX_ITERATIONS // settings.span)):
            losses = []
            bfloat16 = settings.precision == "bfloat16"
            for _ in range(settings.span):
                shape = (settings.batch, 32, side, side)
                drawn = torch.rand(shape, generator=noise, device=settings.device)
                with torch.autocast(settings.device, torch.bfloat16, enabled=bfloat16):
                    _, image, states = self.network.step(residual, states, drawn)
                residual = pixels - image.float()
                losses.append(loss_of(settings.loss, image.float(), pixels))
            loss = torch.stack(losses).mean()
            loss_of_span = session.descend(self.network, self.optimiser, loss, rate)
            states, residual = detached(states), residual.detach()
            first = first or loss_of_span
        session.follow(self.average, self.network, settings.ema, self.step + 1)
        return first


def _read_checkpoint(path: Path, settings: Settings) -> dict[str, Any]:
    state = torch.load(path, map_location=settings.device, weights_only=True)
    found = (state["version"], state["settings"]["config"])
    if found != (CHECKPOINT_VERSION, settings.config):
        raise ModelError(
            f"{path} holds checkpoint version {found[0]}, configuration {found[1]!r}; this run is"
            f" {CHECKPOINT_VERSION}, {settings.config!r}"
        )
    checked: dict[str, Any] = state
    return checked


def _text(line: dict[str, Any]) -> str:
    text = (
        f"step {line['step']}  {line['minutes']:.1f} min  loss {line['loss']:.4f}"
        f"  rate {line['learning_rate']:.1e}"
    )
    if "psnr_db" in line:
        shown = (f"{64 / count:g}:1 {psnr:.2f}" for count, psnr in line["psnr_db"].items())
        text += "\n  validation PSNR dB  " + "  ".join(shown)
    return text
