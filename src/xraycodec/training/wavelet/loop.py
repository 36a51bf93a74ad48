"""Train the wavelet codec's networks: seeded, resumable, metrics as JSON lines."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xraycodec.errors import ModelError
from xraycodec.training.wavelet.network import Shape, WaveletNetwork
from xraycodec.training.wavelet.transform import analyse
from xraycodec.training.wavelet.weights import SUFFIX, load_weights

CHECKPOINT_VERSION = 1
VALIDATION_STEPS = (2.0, 5.0, 12.0, 30.0)
"""Quantisation steps of the validation, in grey levels of 8 bits."""
WHOLE_BELOW = 2
"""Level whose low-pass band stands for a whole image."""
THRIFT = 0.12
"""The encoder's own, which validation uses."""

Radiographs = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Settings:
    """What a training run depends on, and all of it.

    Attributes:
        shape: sizes of the networks.
        batch: crops in a batch.
        crop: side of a crop in pixels, a power of two.
        finest, coarsest: quantisation steps are drawn between these, evenly by their logarithms.
        thrift: range that Lagrange multipliers are drawn from, in squared steps a bit.
        halved: share of crops that are taken at half their resolution, with half the noise.
        whole: images of which each step codes the levels above ``WHOLE_BELOW``, beside the
            crops: in these, the coarse levels are all borders.
        dead_zone_steps: steps at the beginning that quantise by a dead zone, as rates mean nothing.
        error_weight: bits that a squared step of error is worth; 1 / THRIFT is what rate-distortion
            asks for.
        steps: of the optimiser.
        minutes: the schedule ends when this much time has passed, if steps have not ended it.
        learning_rate: of Adam after the warm-up; falls by a half cosine to a hundredth.
        quantise_from: share of the schedule after which weights and activations are rounded.
        ema: decay of the averaged weights, which are validated and exported.
    """

    shape: Shape = field(default_factory=Shape)
    batch: int = 8
    crop: int = 256
    finest: float = 1.2
    coarsest: float = 56.0
    thrift: tuple[float, float] = (0.06, 0.2)
    halved: float = 0.2
    whole: int = 6
    dead_zone_steps: int = 200
    error_weight: float = 8.0
    steps: int = 10_000
    minutes: float | None = None
    learning_rate: float = 2e-3
    warm_up: int = 50
    quantise_from: float = 0.7
    ema: float = 0.998
    seed: int = 2019
    device: str = "cpu"
    validate_every: int = 300
    validation_images: int = 16
    validation_crop: int = 512
    checkpoint_seconds: float = 120.0


@dataclass(frozen=True)
class Progress:
    """One line of the metrics file; rates and errors are those of the middles of images."""

    step: int
    loss: float
    learning_rate: float
    megapixels_per_second: float
    minutes: float
    validation: dict[str, tuple[float, float]] | None = None
    """By quantisation step: bits per pixel and PSNR in dB."""


class Trainer:
    """Holds everything that a checkpoint holds; ``run`` goes on until the schedule ends."""

    def __init__(
        self, settings: Settings, train: Radiographs, validation: Radiographs, folder: Path
    ) -> None:
        self.settings, self.train, self.folder = settings, train, folder
        torch.manual_seed(settings.seed)
        self.network = self._arranged(WaveletNetwork(settings.shape))
        self.average = {k: v.detach().clone() for k, v in self.network.state_dict().items()}
        self.optimiser = torch.optim.Adam(
            self.network.parameters(), settings.learning_rate, betas=(0.9, 0.99)
        )
        self.step = 0
        self.minutes = 0.0
        self._whole = low_pass_bands(train) if settings.whole else np.empty(0, np.float32)
        self._validation = validation[: settings.validation_images]

    def _arranged(self, network: WaveletNetwork) -> WaveletNetwork:
        # Channels last is the order that CPU convolutions are fast in.
        network = network.to(self.settings.device)
        return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]

    @property
    def checkpoint(self) -> Path:
        return self.folder / "checkpoint.pt"

    def save(self) -> None:
        partial = self.checkpoint.with_suffix(".partial")
        state = {
            "version": CHECKPOINT_VERSION,
            "shape": asdict(self.settings.shape),
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

        Raises:
            ModelError: it holds networks of other sizes.
        """
        if path.suffix == SUFFIX:
            weights = load_weights(path, self.settings.shape)
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
        wanted = asdict(self.settings.shape)
        if found.get("version") != CHECKPOINT_VERSION or found["shape"] != wanted:
            raise ModelError(
                f"{path} holds networks of {found.get('shape')}, checkpoint version"
                f" {found.get('version')}; this run has {wanted}, {CHECKPOINT_VERSION}"
            )
        return found

    def averaged(self) -> WaveletNetwork:
        """Return a copy of the networks with the averaged weights, rounding on."""
        network = WaveletNetwork(self.settings.shape)
        network.load_state_dict(self.average)
        network.quantise()
        return self._arranged(network).eval()

    def validate(self) -> dict[str, tuple[float, float]]:
        """Rate and PSNR of the averaged, rounded networks at each step of validation."""
        network = self.averaged()
        found = {}
        for step in VALIDATION_STEPS:
            bits, squares, pixels = 0.0, 0.0, 0
            for image in self._validation:
                cut = self.settings.validation_crop
                top, left = ((side - cut) // 2 for side in image.shape)
                crop = image[top : top + cut, left : left + cut]
                x = torch.from_numpy(crop.astype(np.float32))[None, None].to(self.settings.device)
                with torch.no_grad():
                    coded = network(x / step, THRIFT)
                decoded = (coded.pixels * step).round().clamp(0, 255)
                bits += float(coded.bits.sum())
                squares += float((decoded - x).square().sum())
                pixels += x.numel()
            psnr = 10 * math.log10(255**2 * pixels / squares)
            found[f"{step:g}"] = (round(bits / pixels, 5), round(psnr, 3))
        return found

    def _done(self) -> float:
        """Share of the schedule that has passed."""
        settings = self.settings
        late = 0.0 if settings.minutes is None else self.minutes / settings.minutes
        return min(1.0, max(self.step / settings.steps, late))

    def _learning_rate(self) -> float:
        settings = self.settings
        warm = min(1.0, (self.step + 1) / max(1, settings.warm_up))
        cosine = 0.5 * (1 + math.cos(math.pi * self._done()))
        return settings.learning_rate * warm * (0.01 + 0.99 * cosine)

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train to the end of the schedule, reporting every 50 steps."""
        settings = self.settings
        saved = time.monotonic()
        recent: list[float] = []
        pixels, began = 0, time.monotonic()
        with (self.folder / "metrics.jsonl").open("a") as metrics:
            while self._done() < 1:
                started = time.monotonic()
                rate = self._learning_rate()
                self.network.quantise(on=self._done() >= settings.quantise_from)
                recent.append(self._train_once(rate))
                pixels += settings.batch * settings.crop**2
                self.minutes += (time.monotonic() - started) / 60
                last = self._done() >= 1
                due = last or self.step % settings.validate_every == 0
                if due or self.step % 50 == 0:
                    speed = pixels / (time.monotonic() - began) / 1e6
                    line = Progress(
                        self.step,
                        float(np.mean(recent)),
                        rate,
                        round(speed, 4),
                        round(self.minutes, 2),
                        self.validate() if due else None,
                    )
                    recent.clear()
                    pixels, began = 0, time.monotonic()
                    metrics.write(json.dumps(asdict(line)) + "\n")
                    metrics.flush()
                    report(line)
                if last or time.monotonic() - saved > settings.checkpoint_seconds:
                    self.save()
                    saved = time.monotonic()

    def _train_once(self, rate: float) -> float:
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        crops, steps, thrift = draw(self.train, settings, self.step)
        x = torch.from_numpy(crops).to(settings.device)
        width = torch.from_numpy(steps).to(settings.device)
        dead_zone = 0.4 if self.step < settings.dead_zone_steps else None
        coded = self.network(x / width.view(-1, 1, 1, 1), thrift, dead_zone)
        # Fine steps give most bits; without a weight, coarse ones would hardly be learned.
        weight = (width / 8) ** 0.6
        costs = coded.bits + settings.error_weight * coded.errors
        loss = (weight * costs).sum() / x.numel()
        if settings.whole:
            loss = loss + self._whole_images(thrift, dead_zone)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(settings.ema, self.step / (self.step + 9))
        with torch.no_grad():
            for name, value in self.network.state_dict().items():
                self.average[name].lerp_(value, 1 - decay)
        return float(loss.detach())

    def _whole_images(self, thrift: float, dead_zone: float | None) -> Tensor:
        """The loss of the coarse levels of whole images, a pixel."""
        settings = self.settings
        bands, steps = draw_whole(self._whole, settings, self.step)
        x = torch.from_numpy(bands).to(settings.device)
        width = torch.from_numpy(steps).to(settings.device)
        coded = self.network(x / width.view(-1, 1, 1, 1), thrift, dead_zone, WHOLE_BELOW)
        weight = (width / 8) ** 0.6
        costs = coded.bits + settings.error_weight * coded.errors
        loss: Tensor = (weight * costs).sum() / (x.numel() * 4**WHOLE_BELOW)
        return loss


@torch.no_grad()
def low_pass_bands(images: Radiographs) -> npt.NDArray[np.float32]:
    """Low-pass bands of whole images at ``WHOLE_BELOW``, ``(image, row, column)``."""
    found = []
    for image in images:
        low = torch.from_numpy(image.astype(np.float32))[None, None]
        for _ in range(WHOLE_BELOW):
            low, _ = analyse(low)
        found.append(low[0, 0].numpy())
    return np.stack(found)


def draw_whole(
    bands: npt.NDArray[np.float32], settings: Settings, step: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Whole images of a step, ``(image, 1, row, column)`` of their bands, and their steps."""
    generator = np.random.default_rng((settings.seed, step, 1))
    chosen = generator.integers(len(bands), size=settings.whole)
    found = bands[chosen][:, None]
    for axis in (2, 3):
        if generator.random() < 0.5:
            found = np.flip(found, axis)
    return np.ascontiguousarray(found), _steps(generator, settings, settings.whole)


def _steps(
    generator: np.random.Generator, settings: Settings, count: int
) -> npt.NDArray[np.float32]:
    low, high = math.log2(settings.finest), math.log2(settings.coarsest)
    return np.exp2(generator.uniform(low, high, count)).astype(np.float32)


def draw(
    images: Radiographs, settings: Settings, step: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], float]:
    """Crops of a step: ``(crop, 1, row, column)``, their quantisation steps, the multiplier."""
    generator = np.random.default_rng((settings.seed, step))
    crops = np.empty((settings.batch, 1, settings.crop, settings.crop), np.float32)
    for crop in crops:
        image = images[generator.integers(len(images))]
        halved = generator.random() < settings.halved
        side = settings.crop * (2 if halved else 1)
        # Borders are not like the rest, and whole images have them on every side.
        beyond = side // 4
        top, left = (
            min(max(generator.integers(-beyond, size - side + beyond + 1), 0), size - side)
            for size in image.shape
        )
        pixels = image[top : top + side, left : left + side].astype(np.float32)
        if halved:
            pixels = pixels.reshape(settings.crop, 2, settings.crop, 2).mean((1, 3))
        if generator.random() < 0.5:
            pixels = pixels.T
        if generator.random() < 0.5:
            pixels = pixels[::-1]
        if generator.random() < 0.5:
            pixels = pixels[:, ::-1]
        crop[0] = 255 - pixels if generator.random() < 0.5 else pixels
    steps = _steps(generator, settings, settings.batch)
    return crops, steps, float(generator.uniform(*settings.thrift))
