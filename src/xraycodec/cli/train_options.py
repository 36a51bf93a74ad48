"""Options and steps that every ``xrc train`` command shares."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import click

from xraycodec.errors import ImageError, missing_package

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from xraycodec.evaluation.crops import Crops
    from xraycodec.training.lattice.images import Radiographs
    from xraycodec.training.session import Progress

Command = Callable[..., Any]


class _Name(click.ParamType[str]):
    """The name of a model pack, which becomes that of a file."""

    name = "NAME"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        from xraycodec.exact.pack import NAME

        text = str(value)
        if not NAME.fullmatch(text):
            self.fail(f"{text!r} is not of the form {NAME.pattern}.", param, ctx)
        return text


def name(default: str | None, shown: str) -> Command:
    """``--name``."""
    return click.option(
        "--name",
        type=_Name(),
        default=default,
        show_default=shown,
        help="Name of the model pack and its file. It does not replace a pack of this name that the"
        " package ships: xrc compress --model takes the file.",
    )


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


def steps(default: int) -> Command:
    """``--steps``."""
    return click.option(
        "--steps",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="Of the optimiser.",
    )


def minutes(command: Command) -> Command:
    """``--minutes``."""
    return click.option(
        "--minutes",
        type=click.FloatRange(0, min_open=True),
        help="End the schedule after this time instead, if steps have not ended it.",
    )(command)


def channels(default: int) -> Command:
    """``--channels``."""
    return click.option(
        "--channels",
        type=click.IntRange(8, 256),
        default=default,
        show_default=True,
        help="Width of the networks.",
    )


def batch(default: int) -> Command:
    """``--batch``."""
    return click.option(
        "--batch",
        type=click.IntRange(1),
        default=default,
        show_default=True,
        help="Crops in a batch.",
    )


def crop(command: Command) -> Command:
    """``--crop``, of whole radiographs."""
    return click.option(
        "--crop",
        type=click.Choice(["64", "128", "256", "512"]),
        default="256",
        show_default=True,
        help="Side of a crop in pixels.",
    )(command)


def learning_rate(default: float) -> Command:
    """``--learning-rate``."""
    return click.option(
        "--learning-rate", type=float, default=default, show_default=True, help="After the warm-up."
    )


def quantise_from(command: Command) -> Command:
    """``--quantise-from``."""
    return click.option(
        "--quantise-from",
        type=click.FloatRange(0, 1),
        default=0.7,
        show_default=True,
        help="Share of the schedule after which weights and activations are rounded.",
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
            missing_package("training needs", "torch==2.13.0", "train")
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


def load_split_images(
    load: Callable[[Path, str, Path], Radiographs], data: Path, out: Path, crop: int, least: int
) -> tuple[Radiographs, Radiographs]:
    """Return the images of training and validation, kept beside ``out`` for the next run.

    Args:
        load: from a folder, the images of a split, kept in a folder.
        data: folder of radiographs.
        out: of the run.
        crop: side of a crop in pixels.
        least: sides that images need for that, in pixels.
    """
    try:
        found = [load(data, split, out.parent / "images") for split in ("train", "validation")]
    except (OSError, ValueError, ImageError) as error:
        raise click.ClickException(f"the images cannot be read: {error}") from error
    train, validation = found
    if min(train.shape[1:] + validation.shape[1:]) < least:
        raise click.ClickException(
            f"the images have {train.shape[1]} x {train.shape[2]} pixels; crops of {crop} need at"
            f" least {least}"
        )
    return train, validation


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


def print_line(line: Progress, validation: str | None) -> None:
    """Print a line of the metrics, and below it what was validated, if anything was."""
    text = (
        f"step {line.step}  {line.minutes:.1f} min  loss {line.loss:.4f}"
        f"  rate {line.learning_rate:.1e}  {line.megapixels_per_second:.3f} MP/s"
    )
    click.echo(text if validation is None else f"{text}\n  validation: {validation}")


def write_pack(pack: bytes, name: str, out: Path, use: str, beside: str = "the weights") -> None:
    """Write the model pack of a run, and say how to encode with it.

    Args:
        pack: its bytes.
        name: of the pack.
        out: folder of the run.
        use: the options of ``xrc compress`` that take the file, without it.
        beside: what else was written.
    """
    from xraycodec.exact.pack import SUFFIX
    from xraycodec.files import write_atomically

    path = out / f"{name}{SUFFIX}"
    write_atomically(path, pack, overwrite=True)
    click.echo(
        f"wrote {path} ({len(pack):,} bytes) and {beside} to go on from;"
        f" xrc compress {use} {path} encodes with it"
    )
