"""Options and steps that every ``xrc train`` command shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from xraycodec.errors import ImageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from xraycodec.evaluation.crops import Crops

Command = Callable[..., Any]


def folders(command: Command) -> Command:
    """``--data`` and ``--out``."""
    data = click.option(
        "--data",
        type=click.Path(exists=True, file_okay=False, path_type=Path),
        required=True,
        help="Folder in NIH's layout, or with train, validation and test in it.",
    )
    out = click.option(
        "--out",
        type=click.Path(file_okay=False, path_type=Path),
        required=True,
        help="Folder for checkpoint, metrics and model; training goes on from what it holds.",
    )
    return data(out(command))


def start(command: Command) -> Command:
    """``--init`` and ``--seed``."""
    init = click.option(
        "--init",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Start from the weights of another run: its .safetensors file or checkpoint.",
    )
    seed = click.option(
        "--seed", type=int, default=2019, show_default=True, help="Of crops and weights."
    )
    return init(seed(command))


def precision(command: Command) -> Command:
    """``--precision``."""
    return click.option(
        "--precision",
        type=click.Choice(["float32", "bfloat16"]),
        default="float32",
        show_default=True,
        help="bfloat16 is the faster where the processor has it.",
    )(command)


def minutes(command: Command) -> Command:
    """``--minutes``."""
    return click.option(
        "--minutes",
        type=click.FloatRange(0, min_open=True),
        help="End the schedule after this time instead, if steps have not ended it.",
    )(command)


def device(command: Command) -> Command:
    """``--device``."""
    return click.option("--device", default="cpu", show_default=True, help="cpu, cuda, cuda:1 ...")(
        command
    )


def loss(command: Command) -> Command:
    """``--loss``."""
    return click.option(
        "--loss",
        type=click.Choice(["l1", "log-mse"]),
        default="l1",
        show_default=True,
        help="l1 is the paper's; log-mse maximises the mean PSNR.",
    )(command)


def need_torch() -> None:
    """End with the command that installs torch where it is missing."""
    try:
        import torch  # noqa: F401
    except ImportError as error:
        raise click.ClickException(
            "training needs torch: pip install 'xraycodec[train]'"
        ) from error


def load_split_crops(data: Path, segment: int, seed: int, out: Path) -> dict[str, Crops]:
    """Return the crops of training and validation, kept beside ``out`` for the next run."""
    from xraycodec.evaluation.crops import load_crops

    try:
        return {
            split: load_crops(data, split, segment, seed, out.parent / "crops")
            for split in ("train", "validation")
        }
    except (OSError, ValueError, ImageError) as error:
        raise click.ClickException(f"the crops cannot be cut: {error}") from error


class Resumable(Protocol):
    """A trainer, as far as its start goes."""

    step: int

    @property
    def checkpoint(self) -> Path: ...

    @property
    def settings(self) -> DataclassInstance: ...

    def resume(self) -> None: ...

    def start_from(self, path: Path) -> None: ...


def begin(trainer: Resumable, init: Path | None, out: Path) -> None:
    """Go on from the run's own checkpoint, else from ``init``; keep the settings in ``out``."""
    if trainer.checkpoint.exists():
        trainer.resume()
        click.echo(f"resuming {trainer.checkpoint} at step {trainer.step}", err=True)
    elif init is not None:
        trainer.start_from(init)
    (out / "settings.json").write_text(json.dumps(asdict(trainer.settings), indent=1) + "\n")
