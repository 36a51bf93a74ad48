"""Train the lattice networks: seeded, resumable, metrics as JSON lines."""

from __future__ import annotations

import json
import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from xraycodec.errors import ModelError
from xraycodec.training.lattice.network import LatticeNetwork, Shape
from xraycodec.training.lattice.samples import Batch, Draw, Guides, draw_batch, validation_batches
from xraycodec.training.lattice.weights import SUFFIX, load_weights, with_guide

CHECKPOINT_VERSION = 1
NEAR_STEP = 5
"""Quantisation step of the near-lossless validation: a maximum error of 2."""

Radiographs = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """What a training run depends on, and all of it.

    Attributes:
        shape: sizes of the networks.
        draw: how crops are drawn.
        steps: of the optimiser.
        minutes: the schedule ends when this much time has passed, if steps have not ended it.
        learning_rate: of Adam after the warm-up; falls by a half cosine to a hundredth.
        quantise_from: share of the schedule after which weights and activations are rounded.
        ema: decay of the averaged weights, which are validated and exported.
    """

    shape: Shape = field(default_factory=Shape)
    draw: Draw = field(default_factory=Draw)
    steps: int = 10_000
    minutes: float | None = None
    learning_rate: float = 2e-3
    warm_up: int = 50
    quantise_from: float = 0.7
    ema: float = 0.998
    seed: int = 2019
    device: str = "cpu"
    validate_every: int = 200
    validation_images: int = 32
    checkpoint_seconds: float = 180.0


@dataclass(frozen=True)
class Progress:
    """One line of the metrics file; rates are bits per pixel of the middles of images."""

    step: int
    loss: float
    learning_rate: float
    megapixels_per_second: float
    minutes: float
    lossless_bpp: float | None = None
    near_bpp: float | None = None


class Trainer:
    """Holds everything that a checkpoint holds; ``run`` goes on until the schedule ends."""

    def __init__(
        self,
        settings: Settings,
        train: Radiographs,
        validation: Radiographs,
        folder: Path,
        guides: tuple[Guides, Guides] | None = None,
    ) -> None:
        """Take the images, and guides of both splits if the networks take any."""
        self.settings, self.train, self.folder = settings, train, folder
        self._guides = guides[0] if guides else None
        of_validation = guides[1] if guides else None
        torch.manual_seed(settings.seed)
        self.network = LatticeNetwork(settings.shape).to(settings.device)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), settings.learning_rate, betas=(0.9, 0.99)
        )
        self.step = 0
        self.minutes = 0.0
        self._validation = {
            step: list(
                validation_batches(
                    validation[: settings.validation_images], settings.draw, step, of_validation
                )
            )
            for step in (1, NEAR_STEP)
        }

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        partial = self.checkpoint.with_suffix(".partial")
        state = {
            "version": CHECKPOINT_VERSION,
            "shape": self.settings.shape.facts(),
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "minutes": self.minutes,
        }
        torch.save(state, partial)
        partial.replace(self.checkpoint)

    def start_from(self, path: Path) -> None:
        """Take the averaged weights of another run: its safetensors file or its checkpoint.

        Networks with a guide begin as those of a safetensors file without one.

        Raises:
            ModelError: it holds networks of other sizes.
        """
        shape = self.settings.shape
        if path.suffix == SUFFIX and shape.guided:
            weights = with_guide(load_weights(path, replace(shape, guided=False)))
        elif path.suffix == SUFFIX:
            weights = load_weights(path, shape)
        else:
            weights = self._read(path)["average"]
        self.network.load_state_dict(weights)
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}

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

    def _read(self, path: Path) -> dict[str, Any]:
        found: dict[str, Any] = torch.load(
            path, map_location=self.settings.device, weights_only=True
        )
        wanted = self.settings.shape.facts()
        if found.get("version") != CHECKPOINT_VERSION or found["shape"] != wanted:
            raise ModelError(
                f"{path} holds networks of {found.get('shape')}, checkpoint version"
                f" {found.get('version')}; this run has {wanted}, {CHECKPOINT_VERSION}"
            )
        return found

    def averaged(self) -> LatticeNetwork:
        """Return a copy of the networks with the averaged weights, rounding on."""
        network = LatticeNetwork(self.settings.shape)
        network.load_state_dict(self.average)
        network.quantise()
        return network.to(self.settings.device).eval()

    def validate(self) -> tuple[float, float]:
        """Bits per pixel of the averaged, rounded networks: lossless and near-lossless."""
        network = self.averaged()
        rates = []
        with torch.no_grad():
            for batches in self._validation.values():
                bits = sum(float(sum(network(batch))) for batch in batches)
                rates.append(bits / sum(batch.pixels for batch in batches))
        return rates[0], rates[1]

    def _done(self) -> float:
        """Share of the schedule that has passed."""
        settings = self.settings
        late = 0.0 if settings.minutes is None else self.minutes / settings.minutes
        return min(1.0, max(self.step / settings.steps, late))

    def _learning_rate(self) -> float:
        settings = self.settings
        warm = min(1.0, (self.step + 1) / max(1, settings.warm_up))
        return settings.learning_rate * warm * _half_cosine(self._done(), 0.01)

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train to the end of the schedule, reporting every 50 steps."""
        settings = self.settings
        saved = time.monotonic()
        recent: list[float] = []
        pixels, began = 0, time.monotonic()
        with (
            (self.folder / "metrics.jsonl").open("a") as metrics,
            _drawn_ahead(self.train, settings, self.step, self._guides) as batches,
        ):
            while self._done() < 1:
                started = time.monotonic()
                rate = self._learning_rate()
                self.network.quantise(on=self._done() >= settings.quantise_from)
                batch = next(batches)
                recent.append(self._train_on(batch, rate))
                pixels += batch.pixels
                self.minutes += (time.monotonic() - started) / 60
                last = self._done() >= 1
                due = last or self.step % settings.validate_every == 0
                if due or self.step % 50 == 0:
                    speed = pixels / (time.monotonic() - began) / 1e6
                    lossless, near = self.validate() if due else (None, None)
                    line = Progress(
                        self.step,
                        float(np.mean(recent)),
                        rate,
                        round(speed, 4),
                        round(self.minutes, 2),
                        lossless,
                        near,
                    )
                    recent.clear()
                    pixels, began = 0, time.monotonic()
                    metrics.write(json.dumps(asdict(line)) + "\n")
                    metrics.flush()
                    report(line)
                if last or time.monotonic() - saved > settings.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()

    def _train_on(self, batch: Batch, rate: float) -> float:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        bits = self.network(batch)
        loss = torch.stack(bits).sum() / batch.pixels
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(self.settings.ema, self.step / (self.step + 9))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return float(loss.detach())


def _half_cosine(share: float, floor: float) -> float:
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * share))


@contextmanager
def _drawn_ahead(
    images: Radiographs, settings: Settings, first: int, guides: Guides | None, ahead: int = 4
) -> Iterator[Iterator[Batch]]:
    """Batches from step ``first`` on, drawn on a thread of their own."""
    ready: queue.Queue[Batch | BaseException] = queue.Queue(ahead)
    stopped = threading.Event()

    def draw() -> None:
        step = first
        while not stopped.is_set():
            drawn: Batch | BaseException
            try:
                drawn = draw_batch(images, settings.draw, settings.seed, step, guides)
            except Exception as error:  # raised again where the batch is taken
                drawn = error
            step += 1
            while not stopped.is_set():
                try:
                    ready.put(drawn, timeout=0.2)
                    break
                except queue.Full:
                    continue

    def take() -> Iterator[Batch]:
        while True:
            drawn = ready.get()
            if isinstance(drawn, BaseException):
                raise drawn
            yield drawn

    thread = threading.Thread(target=draw, name="draw", daemon=True)
    thread.start()
    try:
        yield take()
    finally:
        stopped.set()
        thread.join()
