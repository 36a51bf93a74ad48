"""Train RNN-Conv: seeded, resumable, metrics as JSON lines."""

from __future__ import annotations

import math
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
from xraycodec.training import session, warm_start
from xraycodec.training.conditioning import condition
from xraycodec.training.network import CONFIGS, MAX_BETA, RNNConv
from xraycodec.training.remainder import add_remainder
from xraycodec.training.weights import load_weights
from xraycodec.training.weights_file import SUFFIX

REPORTED_BETAS = (128, 64, 32, 16, 8, 4, 2, 1)
CHECKPOINT_VERSION = 1
START_CROPS = 4000
"""Training crops that the block transforms of a linear start are learned from."""


@dataclass(frozen=True)
class Settings:
    """What a training run depends on, and all of it.

    The defaults are the paper's recipe; what improves on it has a name. ``loss`` is ``l1``, or
    ``log-mse``: the mean of log(mse) over the crops, which is their mean PSNR. ``start`` is
    ``random``, or ``linear``: at the block transform of `warm_start`. ``augment`` turns and flips
    crops. ``ema`` is the decay of the averaged weights that are validated and exported.
    """

    config: str = "compact"
    segment: int = 128
    steps: int = 12_500
    batch: int = 16
    learning_rate: float = 2e-4
    final_learning_rate: float = 2e-6
    warm_up: int = 100
    loss: str = "l1"
    start: str = "random"
    augment: bool = False
    ema: float = 0.998
    seed: int = 2019
    precision: str = "float32"
    compile: bool = False
    device: str = "cpu"
    validate_every: int = 250
    checkpoint_seconds: float = 180.0


@dataclass(frozen=True)
class Progress:
    """One line of the metrics file; ``psnr_db`` maps beta to the mean over validation crops."""

    step: int
    steps: int
    loss: float
    learning_rate: float
    crops_per_second: float
    seconds_left: float
    psnr_db: dict[int, float] | None = None


def learning_rate_at(settings: Settings, step: int) -> float:
    """Linear warm-up, then a half cosine down to the final rate."""
    if step < settings.warm_up:
        return settings.learning_rate * (step + 1) / settings.warm_up
    share = (step - settings.warm_up) / max(1, settings.steps - settings.warm_up)
    low = settings.final_learning_rate
    return low + (settings.learning_rate - low) * session.half_cosine(min(1.0, share))


def draw_betas(rng: np.random.Generator, count: int) -> Tensor:
    """Draw the kept channels of each crop: half the paper's ratios 4-32, half log-uniform."""
    common = rng.choice(np.array([64, 32, 32, 16, 8]), count)
    spread = np.floor(np.exp(rng.uniform(0, math.log(MAX_BETA + 1), count))).clip(1, MAX_BETA)
    return torch.from_numpy(np.where(rng.random(count) < 0.5, common, spread).astype(np.int64))


def draw_batch(crops: Crops, rng: np.random.Generator, settings: Settings) -> Tensor:
    """Draw ``(batch, 1, N, N)`` crops in 0 .. 1."""
    index = np.sort(rng.choice(len(crops), settings.batch, replace=False))
    pixels = torch.from_numpy(crops[index].astype(np.float32) / 255)[:, None]
    if settings.augment:
        turns, flips = rng.integers(4, size=len(pixels)), rng.integers(2, size=len(pixels))
        for k, (quarter_turns, flip) in enumerate(zip(turns, flips, strict=True)):
            turned = torch.rot90(pixels[k], int(quarter_turns), (1, 2))
            pixels[k] = turned.flip(2) if flip else turned.clone()
    return pixels.contiguous(memory_format=torch.channels_last)


def loss_of(name: str, output: Tensor, target: Tensor) -> Tensor:
    if name == "l1":
        return (output - target).abs().mean()
    mse = ((output - target) ** 2).mean((1, 2, 3))
    # The floor, 57 dB, keeps flat background from ruling the batch.
    return (mse + 2e-6).log().mean()


def validate(network: RNNConv, crops: Crops, device: str, batch: int = 16) -> dict[int, float]:
    """Mean PSNR in dB of the rounded 8-bit output, per beta; exact crops count as 100 dB."""
    totals = dict.fromkeys(REPORTED_BETAS, 0.0)
    with torch.no_grad():
        for start in range(0, len(crops), batch):
            pixels = torch.from_numpy(crops[start : start + batch].astype(np.float32))[:, None]
            pixels = pixels.to(device).contiguous(memory_format=torch.channels_last)
            y = network.quantiser(network.analysis(pixels / 255).float())
            for beta in REPORTED_BETAS:
                kept = torch.zeros_like(y)
                kept[:, :beta] = y[:, :beta]
                out = network.synthesis(kept).float().mul(255).round().clamp(0, 255)
                mse = ((out - pixels) ** 2).mean((1, 2, 3)).double()
                psnr = 10 * torch.log10(255**2 / mse.clamp_min(255**2 * 1e-10))
                totals[beta] += float(psnr.sum())
    return {beta: total / len(crops) for beta, total in totals.items()}


class Trainer:
    """Holds everything that a checkpoint holds; ``run`` goes on until ``settings.steps``."""

    def __init__(self, settings: Settings, train: Crops, validation: Crops, folder: Path) -> None:
        self.settings, self.train, self.validation, self.folder = (
            settings,
            train,
            validation,
            folder,
        )
        torch.manual_seed(settings.seed)
        self.network = RNNConv(CONFIGS[settings.config])
        if settings.start == "linear":
            warm_start.apply(self.network, train[:START_CROPS])
        add_remainder(self.network)
        if settings.start == "linear":
            self._condition()
        self.network.to(settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = session.weights_of(self.network)
        self.optimiser = torch.optim.Adam(self.network.parameters(), settings.learning_rate)
        self.step = 0

    def _condition(self) -> None:
        crops = self.train[: self.settings.batch].astype(np.float32) / 255
        device = next(self.network.parameters()).device
        condition(self.network, torch.from_numpy(crops)[:, None].to(device))

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
        }
        session.write_checkpoint(self.checkpoint, contents)

    def start_from(self, path: Path) -> None:
        """Take the weights of another run: its safetensors file, or its checkpoint's average."""
        if path.suffix == SUFFIX:
            load_weights(self.network, path)
        else:
            self.network.load_state_dict(self._read_checkpoint(path)["average"])
        add_remainder(self.network)
        self._condition()
        self.average = session.weights_of(self.network)

    def resume(self) -> None:
        """Go on from this run's own checkpoint."""
        state = self._read_checkpoint(self.checkpoint)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step = state["step"]

    def _read_checkpoint(self, path: Path) -> dict[str, Any]:
        state = torch.load(path, map_location=self.settings.device, weights_only=True)
        if state["version"] != CHECKPOINT_VERSION or (
            state["settings"]["config"] != self.settings.config
        ):
            raise ModelError(
                f"{path} holds configuration {state['settings']['config']!r}, checkpoint version"
                f" {state['version']}; this run is {self.settings.config!r}, {CHECKPOINT_VERSION}"
            )
        found: dict[str, Any] = state
        return found

    def averaged(self) -> RNNConv:
        """Return a copy of the network with the averaged weights."""
        network = RNNConv(self.network.config)
        network.load_state_dict(self.average)
        network.to(self.settings.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return network.eval()

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train to the end of the schedule; one of no steps validates what it started from."""
        settings = self.settings
        if settings.steps == 0:
            start = validate(self.averaged(), self.validation[:128], settings.device)
            session.append_line(self.folder / "metrics.jsonl", {"step": 0, "psnr_db": start})
        forward = torch.compile(self.network) if settings.compile else self.network
        bfloat16 = settings.precision == "bfloat16"
        started, first, saved = time.monotonic(), self.step, time.monotonic()
        recent: list[float] = []
        while self.step < settings.steps:
            # One generator a step: a resumed run draws what an unbroken one would.
            rng = np.random.default_rng((settings.seed, self.step))
            batch = draw_batch(self.train, rng, settings).to(settings.device)
            beta = draw_betas(rng, len(batch)).to(settings.device)
            rate = learning_rate_at(settings, self.step)
            with torch.autocast(settings.device, torch.bfloat16, enabled=bfloat16):
                output = forward(batch, beta)
            loss = loss_of(settings.loss, output.float(), batch)
            recent.append(session.descend(self.network, self.optimiser, loss, rate))
            self.step += 1
            # One step more than the other trainers count, as runs so far did.
            session.follow(self.average, self.network, settings.ema, self.step + 1)
            due = self.step % settings.validate_every == 0 or self.step == settings.steps
            if due or self.step % 25 == 0:
                speed = (self.step - first) / (time.monotonic() - started)
                psnr = (
                    validate(self.averaged(), self.validation[:128], settings.device)
                    if due
                    else None
                )
                line = Progress(
                    self.step,
                    settings.steps,
                    float(np.mean(recent)),
                    rate,
                    speed * settings.batch,
                    (settings.steps - self.step) / speed,
                    psnr,
                )
                recent.clear()
                session.append_line(self.folder / "metrics.jsonl", asdict(line))
                report(line)
            if time.monotonic() - saved > settings.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
        self.save()
