"""Train the lattice networks: seeded, resumable, metrics as JSON lines."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor

from xraycodec.training import session
from xraycodec.training.lattice.images import Radiographs
from xraycodec.training.lattice.network import LatticeNetwork, Shape
from xraycodec.training.lattice.samples import Batch, Draw, Guides, draw_batches, validation_batches
from xraycodec.training.lattice.weights import load_to_begin
from xraycodec.training.weights_file import SUFFIX

NEAR_STEP = 5
"""Quantisation step of the near-lossless validation: a maximum error of 2."""


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
class Progress(session.Progress):
    """One line of the metrics file; rates are bits per pixel of the middles of images."""

    lossless_bpp: float | None = None
    near_bpp: float | None = None


class Trainer(session.Session):
    """Trains the networks of all levels; ``run`` goes on until the schedule ends."""

    settings: Settings
    network: LatticeNetwork

    def __init__(
        self,
        settings: Settings,
        train: Radiographs,
        validation: Radiographs,
        folder: Path,
        guides: tuple[Guides, Guides] | None = None,
    ) -> None:
        """Take the images, and guides of both splits if the networks take any."""
        torch.manual_seed(settings.seed)
        network = LatticeNetwork(settings.shape).to(settings.device)
        super().__init__(settings, settings.shape.facts(), network, folder)
        self.images = train
        self._guides = guides[0] if guides else None
        of_validation = guides[1] if guides else None
        self._validation = {
            step: list(
                validation_batches(
                    validation[: settings.validation_images], settings.draw, step, of_validation
                )
            )
            for step in (1, NEAR_STEP)
        }

    def start_from(self, path: Path) -> None:
        """Take the averaged weights of another run: its safetensors file or its checkpoint.

        Of a safetensors file, networks may also be smaller ones (`load_to_begin`).

        Raises:
            ModelError: a checkpoint of networks of other sizes.
        """
        if path.suffix == SUFFIX:
            self.take(load_to_begin(path, self.network))
        else:
            self.take(self.average_in(path))

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

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train to the end of the schedule, reporting every 50 steps."""
        with _drawn_ahead(self.images, self.settings, self.step, self._guides) as batches:
            for progress, due in self.train(lambda: self._loss(next(batches))):
                line = Progress(**asdict(progress))
                if due:
                    lossless, near = self.validate()
                    line = replace(line, lossless_bpp=lossless, near_bpp=near)
                session.append_line(self.metrics, asdict(line))
                report(line)

    def _loss(self, batches: list[Batch]) -> tuple[Tensor, int]:
        """Bits per pixel, those of coarser crops at half their weight, and pixels."""
        self.network.quantise(on=self.done() >= self.settings.quantise_from)
        total = torch.zeros(())
        for batch in batches:
            bits = torch.stack(self.network(batch)).sum()
            total = total + bits / batch.pixels * (0.5 if batch.lowest else 1.0)
        return total, sum(batch.pixels for batch in batches)


@contextmanager
def _drawn_ahead(
    images: Radiographs, settings: Settings, first: int, guides: Guides | None, ahead: int = 4
) -> Iterator[Iterator[list[Batch]]]:
    """Batches from step ``first`` on, drawn on a thread of their own."""
    ready: queue.Queue[list[Batch] | BaseException] = queue.Queue(ahead)
    stopped = threading.Event()

    def draw() -> None:
        step = first
        while not stopped.is_set():
            drawn: list[Batch] | BaseException
            try:
                drawn = draw_batches(images, settings.draw, settings.seed, step, guides)
            except Exception as error:  # raised again where the batch is taken
                drawn = error
            step += 1
            while not stopped.is_set():
                try:
                    ready.put(drawn, timeout=0.2)
                    break
                except queue.Full:
                    continue

    def take() -> Iterator[list[Batch]]:
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
