"""Train the last correction by itself: all other networks stay, so crops are decoded once.

The gain of a correction is a tenth of a decibel where rates are bits: in one loss with them it
hardly learns.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from xraycodec.training import session
from xraycodec.training.lattice.images import Radiographs
from xraycodec.training.wavelet.loop import THRIFT, Settings, draw
from xraycodec.training.wavelet.network import WaveletNetwork


@dataclass(frozen=True)
class FinishSettings:
    """What the training of the last correction depends on.

    Attributes:
        crops: decoded at a time, and gone through ``passes`` times before others are.
        held_out: crops by which the gain is measured.
        quantise_from: share of the time after which weights and activations are rounded.
    """

    minutes: float = 25.0
    crops: int = 960
    passes: int = 3
    held_out: int = 96
    batch: int = 8
    learning_rate: float = 3e-3
    quantise_from: float = 0.6
    ema: float = 0.995
    seed: int = 77


@dataclass(frozen=True)
class _Pool:
    """Decoded crops: original and decoded pixels in steps, states as stored bytes."""

    originals: Tensor
    decoded: Tensor
    states: Tensor


@torch.no_grad()
def _decode(
    network: WaveletNetwork, images: Radiographs, settings: Settings, count: int, first: int
) -> _Pool:
    originals, decoded, states = [], [], []
    for step in range(first, first + -(-count // settings.batch)):
        crops, steps, _ = draw(images, settings, step)
        x = torch.from_numpy(crops) / torch.from_numpy(steps).view(-1, 1, 1, 1)
        coded = network(x, THRIFT)
        originals.append(x)
        decoded.append(coded.pixels)
        states.append((coded.state * 32).round().clamp(0, 255).to(torch.uint8))
    return _Pool(torch.cat(originals), torch.cat(decoded), torch.cat(states))


def train_finish(
    network: WaveletNetwork,
    train: Radiographs,
    validation: Radiographs,
    drawn: Settings,
    settings: FinishSettings,
    folder: Path,
    report: Callable[[str], None],
) -> None:
    """Train ``network.finish`` in place, leaving its averaged weights.

    Args:
        network: all else of it stays as it is.
        train: 8-bit images, ``(image, row, column)``.
        validation: likewise, of other patients.
        drawn: how crops are drawn, as for the other networks.
        settings: of this training.
        folder: for metrics, one JSON line a pass, and for the averaged weights so far.
        report: called with each line of the metrics.
    """
    network.quantise()
    finish = network.finish
    held_out = _decode(network, validation, drawn, settings.held_out, 1 << 24)
    optimiser = torch.optim.Adam(finish.parameters(), settings.learning_rate, betas=(0.9, 0.99))
    average = session.weights_of(finish)
    order = np.random.default_rng(settings.seed)
    began, step, seen = time.monotonic(), 0, 0
    minutes = 0.0
    while minutes < settings.minutes:
        pool = _decode(network, train, drawn, settings.crops, (1 << 20) + seen)
        seen += -(-settings.crops // drawn.batch)
        for _ in range(settings.passes):
            losses = []
            for batch in np.array_split(
                order.permutation(len(pool.originals)), settings.crops // settings.batch
            ):
                minutes = (time.monotonic() - began) / 60
                done = min(1.0, minutes / settings.minutes)
                finish.quantised = done >= settings.quantise_from
                for group in optimiser.param_groups:
                    group["lr"] = settings.learning_rate * (0.01 + 0.99 * session.half_cosine(done))
                loss = _loss(network, pool, torch.from_numpy(batch))
                optimiser.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
                step += 1
                losses.append(float(loss.detach()))
                session.follow(average, finish, settings.ema, step)
            kept = session.weights_of(finish)
            finish.load_state_dict(average)
            finish.quantised = True
            with torch.no_grad():
                gain = -float(_loss(network, held_out, torch.arange(len(held_out.originals))))
            torch.save(average, folder / "finish.pt")
            finish.load_state_dict(kept)
            line = {
                "step": step,
                "minutes": round(minutes, 2),
                "gain_db": round(-float(np.mean(losses)), 4),
                "validation_gain_db": round(gain, 4),
            }
            session.append_line(folder / "finish.jsonl", line)
            report(str(line))
            if minutes >= settings.minutes:
                break
    finish.load_state_dict(average)
    network.quantise()


def _loss(network: WaveletNetwork, pool: _Pool, chosen: Tensor) -> Tensor:
    """Mean of what the correction does to the error of each crop, in dB: negative is better."""
    found = network.finished(pool.decoded[chosen], pool.states[chosen].float() / 32)
    after = (found - pool.originals[chosen]).square().mean((1, 2, 3))
    before = (pool.decoded[chosen] - pool.originals[chosen]).square().mean((1, 2, 3))
    return 10 * torch.log10((after + 1e-6) / (before + 1e-6)).mean()
