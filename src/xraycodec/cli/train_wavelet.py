"""``xrc train wavelet``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xraycodec.cli import train_options

if TYPE_CHECKING:
    from xraycodec.training.wavelet.loop import Progress as Line
    from xraycodec.training.wavelet.loop import Trainer


@click.command("wavelet")
@train_options.folders
@train_options.name("wavelet", "wavelet")
@train_options.channels(32)
@click.option(
    "--finish-channels",
    type=click.IntRange(8, 256),
    default=24,
    show_default=True,
    help="Width of the network that corrects the image itself.",
)
@train_options.steps(10_000)
@train_options.minutes
@click.option(
    "--finish-minutes",
    type=click.FloatRange(0),
    default=20.0,
    show_default=True,
    help="After the other networks, for the one that corrects the image.",
)
@train_options.batch(8)
@train_options.crop
@click.option(
    "--whole",
    type=click.IntRange(0),
    default=6,
    show_default=True,
    help="Whole images in a batch, for their coarse levels.",
)
@train_options.learning_rate(2e-3)
@train_options.quantise_from
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
    finish_minutes: float,
    crop: str,
    whole: int,
    init: Path | None,
    **more: Any,
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
        Shape(channels, finish=(finish_channels, 1)), crop=int(crop), whole=whole, **more
    )
    out.mkdir(parents=True, exist_ok=True)
    least = max(2 * settings.crop, settings.validation_crop)
    train, validation = train_options.load_split_images(
        load_plain_images, data, out, settings.crop, least
    )
    sides = train.shape[1:]
    if whole and any(side & (side - 1) for side in sides):
        raise click.ClickException(
            f"the images have {sides[0]} x {sides[1]} pixels; --whole needs powers of two"
        )
    trainer = Trainer(settings, train, validation, out)
    train_options.begin(trainer, init, out)
    trainer.run(_print_line)
    network = trainer.averaged()
    if finish_minutes:
        train_finish(
            network,
            train,
            validation,
            settings,
            FinishSettings(minutes=finish_minutes),
            out,
            lambda line: click.echo(f"finish: {line}"),
        )
        trainer.average = network.state_dict()
    return _export(trainer, name, out)


def _print_line(line: Line) -> None:
    validation = None
    if line.validation is not None:
        validation = ", ".join(
            f"step {step}: {rate:.4f} bpp {psnr:.2f} dB"
            for step, (rate, psnr) in line.validation.items()
        )
    train_options.print_line(line, validation)


def _export(trainer: Trainer, name: str, out: Path) -> int:
    from xraycodec.training.wavelet.export import export
    from xraycodec.training.wavelet.weights import save_weights

    settings = trainer.settings
    save_weights(trainer.average, settings.shape, out / f"{name}.safetensors")
    pack = export(
        trainer.averaged(), name, {"training": {"steps": trainer.step, "seed": settings.seed}}
    )
    train_options.write_pack(pack, name, out, "--codec wavelet --model")
    return 0
