"""``xrc train wavelet``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import train_options
from xraycodec.errors import ImageError

if TYPE_CHECKING:
    from xraycodec.training.wavelet.loop import Progress as Line
    from xraycodec.training.wavelet.loop import Trainer


@click.command("wavelet")
@train_options.folders
@click.option("--name", default="wavelet", show_default=True, help="Name of the model pack.")
@click.option(
    "--channels",
    type=click.IntRange(8, 256),
    default=32,
    show_default=True,
    help="Width of the networks.",
)
@click.option(
    "--finish-channels",
    type=click.IntRange(8, 256),
    default=24,
    show_default=True,
    help="Width of the network that corrects the image itself.",
)
@click.option(
    "--steps", type=click.IntRange(1), default=10_000, show_default=True, help="Of the optimiser."
)
@train_options.minutes
@click.option(
    "--finish-minutes",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    help="After the other networks, for the one that corrects the image.",
)
@click.option(
    "--batch", type=click.IntRange(1), default=8, show_default=True, help="Crops in a batch."
)
@click.option(
    "--crop",
    type=click.Choice(["64", "128", "256", "512"]),
    default="256",
    show_default=True,
    help="Side of a crop in pixels.",
)
@click.option(
    "--whole",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Whole images in a batch, for their coarse levels.",
)
@click.option(
    "--learning-rate", type=float, default=2e-3, show_default=True, help="After the warm-up."
)
@click.option(
    "--quantise-from",
    type=click.FloatRange(0, 1),
    default=0.7,
    show_default=True,
    help="Share of the schedule after which weights and activations are rounded.",
)
@click.option(
    "--dead-zone-steps",
    type=click.IntRange(0),
    default=200,
    show_default=True,
    help="Steps before coefficients are chosen by rate and distortion; 0 with --init.",
)
@train_options.start
@train_options.device
def wavelet(
    data: Path,
    out: Path,
    name: str,
    channels: int,
    finish_channels: int,
    steps: int,
    minutes: float | None,
    finish_minutes: float,
    batch: int,
    crop: str,
    whole: int,
    learning_rate: float,
    quantise_from: float,
    dead_zone_steps: int,
    init: Path | None,
    seed: int,
    device: str,
) -> int:
    """Train the networks of wavelet and export a model pack.

    Every image must have one size, whose sides are powers of two for --whole, and 8 bits. An
    interrupted run goes on when the same command is given again.
    """
    train_options.need_torch()
    from xraycodec.training.wavelet.finish import FinishSettings, train_finish
    from xraycodec.training.wavelet.images import load_plain_images
    from xraycodec.training.wavelet.loop import Settings, Trainer
    from xraycodec.training.wavelet.network import Shape

    settings = Settings(
        Shape(channels, finish=(finish_channels, 1)),
        batch=batch,
        crop=int(crop),
        whole=whole,
        dead_zone_steps=dead_zone_steps,
        steps=steps,
        minutes=minutes,
        learning_rate=learning_rate,
        quantise_from=quantise_from,
        seed=seed,
        device=device,
    )
    out.mkdir(parents=True, exist_ok=True)
    try:
        images = {
            split: load_plain_images(data, split, out.parent / "images")
            for split in ("train", "validation")
        }
    except (OSError, ValueError, ImageError) as error:
        raise click.ClickException(f"the images cannot be read: {error}") from error
    sides = images["train"].shape[1:]
    least = max(2 * settings.crop, settings.validation_crop)
    if min(sides + images["validation"].shape[1:]) < least:
        raise click.ClickException(
            f"the images have {sides[0]} x {sides[1]} pixels; crops of {crop} need at least {least}"
        )
    if whole and any(side & (side - 1) for side in sides):
        raise click.ClickException(
            f"the images have {sides[0]} x {sides[1]} pixels; --whole needs powers of two"
        )
    trainer = Trainer(settings, images["train"], images["validation"], out)
    train_options.begin(trainer, init, out)
    trainer.run(_print_line)
    network = trainer.averaged()
    if finish_minutes:
        train_finish(
            network,
            images["train"],
            images["validation"],
            settings,
            FinishSettings(minutes=finish_minutes),
            out,
            lambda line: click.echo(f"finish: {line}"),
        )
        trainer.average = network.state_dict()
    return _export(trainer, name, out)


def _print_line(line: Line) -> None:
    text = (
        f"step {line.step}  {line.minutes:.1f} min  loss {line.loss:.4f}"
        f"  rate {line.learning_rate:.1e}  {line.megapixels_per_second:.3f} MP/s"
    )
    if line.validation is not None:
        text += "\n  validation: " + ", ".join(
            f"step {step}: {rate:.4f} bpp {psnr:.2f} dB"
            for step, (rate, psnr) in line.validation.items()
        )
    click.echo(text)


def _export(trainer: Trainer, name: str, out: Path) -> int:
    from xraycodec.exact.pack import SUFFIX
    from xraycodec.files import write_atomically
    from xraycodec.training.wavelet.export import export
    from xraycodec.training.wavelet.weights import save_weights

    settings = trainer.settings
    save_weights(trainer.average, settings.shape, out / f"{name}.safetensors")
    pack = export(
        trainer.averaged(), name, {"training": {"steps": trainer.step, "seed": settings.seed}}
    )
    path = out / f"{name}{SUFFIX}"
    write_atomically(path, pack, overwrite=True)
    click.echo(f"wrote {path} ({len(pack):,} bytes) and the weights to go on from")
    return 0
