"""Train a candidate as the wavelet is trained: its crops, its steps, its loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xraycodec.training import session
from xraycodec.training.candidates.network import Coded, TransformNetwork
from xraycodec.training.lattice.images import Radiographs
from xraycodec.training.wavelet.loop import Settings, draw

START_BATCHES = 12
"""Batches of crops that the linear transform is learned from."""
START_DRAW = 2**31
"""Number of the first of them: later than any step of a run."""
TYPICAL_STEP = 8.0


class CandidateTrainer(session.Session):
    """Trains one of the networks; ``run`` goes on until the schedule ends.

    Of the settings it takes what does not tell of the wavelet alone: crops, steps of quantisation,
    multipliers, weight of the error, schedule and seed.
    """

    settings: Settings
    network: TransformNetwork

    def __init__(
        self, settings: Settings, train: Radiographs, folder: Path, *, recurrent: bool
    ) -> None:
        torch.manual_seed(settings.seed)
        network = TransformNetwork(recurrent)
        batches = [draw(train, settings, START_DRAW + number)[0] for number in range(START_BATCHES)]
        network.start(np.concatenate(batches)[:, 0], settings.finest, TYPICAL_STEP)
        # Channels last is the order that CPU convolutions are fast in.
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        super().__init__(settings, {"recurrent": recurrent}, network, folder)
        self._recurrent = recurrent
        self.images = train

    def averaged(self) -> TransformNetwork:
        """Return a copy of the networks with the averaged weights."""
        network = TransformNetwork(self._recurrent)
        network.load_state_dict(self.average)
        return network.to(memory_format=torch.channels_last).eval()  # type: ignore[call-overload, no-any-return]

    def run(self, report: Callable[[session.Progress], None]) -> None:
        """Train to the end of the schedule, reporting every 50 steps."""
        for progress, _ in self.train(self._loss):
            session.append_line(self.metrics, asdict(progress))
            report(progress)

    def _loss(self) -> tuple[Tensor, int]:
        """The loss of the next batch, a pixel, and the pixels of its crops."""
        crops, steps, thrift = draw(self.images, self.settings, self.step)
        width = torch.from_numpy(steps)
        x = torch.from_numpy(crops) / width.view(-1, 1, 1, 1)
        coded: Coded = self.network(x, thrift)
        # As the wavelet's: fine steps give most bits, coarse ones would hardly be learned.
        weight = (width / 8) ** 0.6
        cost = weight * (coded.bits + self.settings.error_weight * coded.errors)
        return cost.sum() / crops.size, crops.size
