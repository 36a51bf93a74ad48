"""Train the wavelet codec's networks: seeded, resumable, metrics as JSON lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from xraycodec.training import session
from xraycodec.training.lattice.images import Radiographs
from xraycodec.training.wavelet.network import Coded, Shape, WaveletNetwork
from xraycodec.training.wavelet.transform import analyse
from xraycodec.training.wavelet.weights import load_weights
from xraycodec.training.weights_file import SUFFIX

VALIDATION_STEPS = (2.0, 5.0, 12.0, 30.0)
"""Quantisation steps of the validation, in grey levels of 8 bits."""
WHOLE_BELOW = 2
"""Level whose low-pass band stands for a whole image."""
THRIFT = 0.12
"""The encoder's own, which validation uses."""


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
class Progress(session.Progress):
    """One line of the metrics file; rates and errors are those of the middles of images."""

    validation: dict[str, tuple[float, float]] | None = None
    """By quantisation step: bits per pixel and PSNR in dB."""


class Trainer(session.Session):
    """Trains all networks but the last correction; ``run`` goes on until the schedule ends."""

    settings: Settings
    network: WaveletNetwork

    def __init__(
        self, settings: Settings, train: Radiographs, validation: Radiographs, folder: Path
    ) -> None:
        torch.manual_seed(settings.seed)
        network = _arranged(WaveletNetwork(settings.shape), settings.device)
        super().__init__(settings, asdict(settings.shape), network, folder)
        self.images = train
        self._whole = low_pass_bands(train) if settings.whole else np.empty(0, np.float32)
        self._validation = validation[: settings.validation_images]

    def start_from(self, path: Path) -> None:
        """Take the averaged weights of another run: its safetensors file or its checkpoint.

        Raises:
            ModelError: it holds networks of other sizes.
        """
        if path.suffix == SUFFIX:
            self.take(load_weights(path, self.settings.shape))
        else:
            self.take(self.average_in(path))

    def averaged(self) -> WaveletNetwork:
        """Return a copy of the networks with the averaged weights, rounding on."""
        network = WaveletNetwork(self.settings.shape)
        network.load_state_dict(self.average)
        network.quantise()
        return _arranged(network, self.settings.device).eval()

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

    def run(self, report: Callable[[Progress], None]) -> None:
        """Train to the end of the schedule, reporting every 50 steps."""
        for progress, due in self.train(self._loss):
            line = Progress(**asdict(progress))
            if due:
                line = replace(line, validation=self.validate())
            session.append_line(self.metrics, asdict(line))
            report(line)

    def _loss(self) -> tuple[Tensor, int]:
        """The loss of the next batch, a pixel, and the pixels of its crops."""
        settings = self.settings
        self.network.quantise(on=self.done() >= settings.quantise_from)
        crops, steps, thrift = draw(self.images, settings, self.step)
        loss = self._cost(crops, steps, thrift).sum() / crops.size
        if settings.whole:
            bands, steps = draw_whole(self._whole, settings, self.step)
            cost = self._cost(bands, steps, thrift, WHOLE_BELOW)
            loss = loss + cost.sum() / (bands.size * 4**WHOLE_BELOW)
        return loss, crops.size

    def _cost(
        self,
        images: npt.NDArray[np.float32],
        steps: npt.NDArray[np.float32],
        thrift: float,
        below: int = 0,
    ) -> Tensor:
        """Weighted rate and distortion of each image, ``(image,)``, in bits."""
        settings = self.settings
        dead_zone = 0.4 if self.step < settings.dead_zone_steps else None
        x = torch.from_numpy(images).to(settings.device)
        width = torch.from_numpy(steps).to(settings.device)
        coded: Coded = self.network(x / width.view(-1, 1, 1, 1), thrift, dead_zone, below)
        # Fine steps give most bits; without a weight, coarse ones would hardly be learned.
        weight = (width / 8) ** 0.6
        return weight * (coded.bits + settings.error_weight * coded.errors)


def _arranged(network: WaveletNetwork, device: str) -> WaveletNetwork:
    # Channels last is the order that CPU convolutions are fast in.
    network = network.to(device)
    return network.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


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
