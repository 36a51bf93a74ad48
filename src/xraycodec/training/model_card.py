"""The model card beside a pack: what made it and what validation says of it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from xraycodec.evaluation.crops import CROP_COUNTS


def command_of(training: Mapping[str, Any]) -> str:
    """Return the ``xrc train`` command that gives these settings."""
    flags = {"compile", "augment"}
    left_out = {"step", "ema", "checkpoint_seconds"}
    parts = ["xrc train rnn-conv --data DATA --out runs/RUN"]
    for key, value in training.items():
        if key in flags:
            parts += [f"--{key}"] if value else []
        elif key not in left_out:
            parts.append(f"--{key.replace('_', '-')} {value}")
    return " ".join(parts)


def model_card(name: str, pack: bytes, training: Mapping[str, Any], metrics: Path) -> str:
    """Return the card as Markdown, from the settings and the last validation of a run."""
    validated: dict[str, float] = {}
    for line in metrics.read_text().splitlines():
        found = json.loads(line)["psnr_db"]
        validated = found or validated
    rows = "\n".join(
        f"| {256 // int(beta)} | {beta} | {psnr:.2f} |" for beta, psnr in validated.items()
    )
    mixed = (
        f" before its weights went back to {training['mixing']:g} of the way from those of --init"
        if "mixing" in training
        else ""
    )
    return f"""# {name}

- RNN-Conv, configuration `{training["config"]}`, segments of {training["segment"]} x \
{training["segment"]} pixels, one network for beta = 1 to 128.
- Trained on {CROP_COUNTS["train"]:,} random crops of the training patients of its data folder;
  patients do not cross splits.
- Steps: {training["step"]}, seed {training["seed"]}, averaged weights (decay {training["ema"]}).
- File: {len(pack):,} bytes, SHA-256 `{hashlib.sha256(pack).hexdigest()}`.

Command:

```
{command_of(training)}
```

Mean PSNR over the first 128 validation crops, at the last validation of the run{mixed}:

| ratio 256/beta | beta | PSNR dB |
|---|---|---|
{rows}

Figures on the test split are in `benchmarks/results/`; `make bench-evaluation` measures them again.
The decoder computes in float32: `spec/rnn-conv.md` gives the tolerance.
"""
