"""``xrc train lattice``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import train_options
from xraycodec.errors import ImageError

if TYPE_CHECKING:
    from xraycodec.training.lattice.loop import Progress as Line
    from xraycodec.training.lattice.loop import Radiographs, Trainer
    from xraycodec.training.lattice.samples import Guides

GUIDED_IMAGES = 200
"""Training images that guided networks learn from."""
CARD_IMAGES = 40
"""Training images that a pack's own linear predictions are fitted to."""


class _Pairs(click.ParamType[tuple[int, int, int]]):
    """Three numbers of residual pairs, one for each phase."""

    name = "A,B,C"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int, int]:
        try:
            first, second, third = (int(part) for part in str(value).split(","))
        except ValueError:
            self.fail(f"{value} is not three numbers such as 2,1,1.", param, ctx)
        if min(first, second, third) < 1:
            self.fail(f"{value}: each phase needs at least one pair.", param, ctx)
        return first, second, third


@click.command("lattice")
@train_options.folders
@click.option("--name", default="lattice-best", show_default=True, help="Name of the model pack.")
@click.option(
    "--channels",
    type=click.IntRange(8, 256),
    default=48,
    show_default=True,
    help="Width of the networks.",
)
@click.option(
    "--pairs",
    type=_Pairs(),
    default="2,1,1",
    show_default=True,
    help="Residual pairs of the three phases.",
)
@click.option(
    "--components",
    type=click.IntRange(1, 8),
    default=3,
    show_default=True,
    help="Logistic distributions in a mixture.",
)
@click.option("--no-carry", is_flag=True, help="Ablation: no state over phases and levels.")
@click.option("--no-fit", is_flag=True, help="Ablation: no linear prediction for each image.")
@click.option(
    "--guided",
    is_flag=True,
    help="For completions of the wavelet codec: networks that take its lossy base as a guide. Its"
    " model pack has to be at hand; bases of some images are made first and kept.",
)
@click.option(
    "--steps", type=click.IntRange(1), default=10_000, show_default=True, help="Of the optimiser."
)
@train_options.minutes
@click.option(
    "--batch", type=click.IntRange(1), default=4, show_default=True, help="Crops in a batch."
)
@click.option(
    "--crop",
    type=click.Choice(["64", "128", "256", "512"]),
    default="256",
    show_default=True,
    help="Side of a crop in pixels.",
)
@click.option(
    "--deep",
    type=click.FloatRange(0, 1),
    default=0.25,
    show_default=True,
    help="Share of images made 9 to 14 bits deep.",
)
@click.option(
    "--near",
    type=click.FloatRange(0, 1),
    default=0.15,
    show_default=True,
    help="Share of images quantised as for near-lossless coding.",
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
@train_options.start
@train_options.device
def lattice(
    data: Path,
    out: Path,
    name: str,
    channels: int,
    pairs: tuple[int, int, int],
    components: int,
    no_carry: bool,
    no_fit: bool,
    guided: bool,
    steps: int,
    minutes: float | None,
    batch: int,
    crop: str,
    deep: float,
    near: float,
    learning_rate: float,
    quantise_from: float,
    init: Path | None,
    seed: int,
    device: str,
) -> int:
    """Train the networks of lattice and export a model pack.

    Every image must have one size and 8 bits; deeper ones are made of them. An interrupted run
    goes on when the same command is given again.
    """
    train_options.need_torch()
    from xraycodec.training.lattice.images import load_images
    from xraycodec.training.lattice.loop import Settings, Trainer
    from xraycodec.training.lattice.network import Shape
    from xraycodec.training.lattice.samples import Draw

    settings = Settings(
        Shape(channels, pairs, components, not no_carry, guided),
        Draw(batch=batch, crop=int(crop), deep=deep, near=near, fitted=not no_fit),
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
            split: load_images(data, split, out.parent / "images")
            for split in ("train", "validation")
        }
    except (OSError, ValueError, ImageError) as error:
        raise click.ClickException(f"the images cannot be read: {error}") from error
    least = 2 * settings.draw.crop + 2  # images of half the size are cut as well
    if min(images["train"].shape[1:] + images["validation"].shape[1:]) < least:
        raise click.ClickException(
            f"the images have {images['train'].shape[1]} x {images['train'].shape[2]} pixels; crops"
            f" of {crop} need at least {least}"
        )
    guides = None
    if guided:
        guides = (
            _guides(images["train"], GUIDED_IMAGES, out, seed),
            _guides(
                images["validation"][: settings.validation_images],
                len(images["validation"]),
                out,
                seed,
            ),
        )
    trainer = Trainer(settings, images["train"], images["validation"], out, guides)
    train_options.begin(trainer, init, out)
    trainer.run(_print_line)
    return _export(trainer, name, images["train"], out, guides and guides[0])


def _guides(images: Radiographs, most: int, out: Path, seed: int) -> Guides:
    from xraycodec.training.lattice.guides import load_guides, spread

    click.echo(f"bases of {min(len(images), most)} images, if they are not kept", err=True)
    return load_guides(images, spread(len(images), most), out.parent / "images", seed)


def _print_line(line: Line) -> None:
    text = (
        f"step {line.step}  {line.minutes:.1f} min  loss {line.loss:.4f}"
        f"  rate {line.learning_rate:.1e}  {line.megapixels_per_second:.3f} MP/s"
    )
    if line.lossless_bpp is not None:
        text += (
            f"\n  validation: lossless {line.lossless_bpp:.4f} bpp, maximum error 2"
            f" {line.near_bpp:.4f} bpp"
        )
    click.echo(text)


def _export(
    trainer: Trainer, name: str, images: Radiographs, out: Path, guides: Guides | None
) -> int:
    from xraycodec.codecs.lattice.fitting import fit_image
    from xraycodec.codecs.lattice.guided import fit_guided
    from xraycodec.exact.pack import SUFFIX
    from xraycodec.files import write_atomically
    from xraycodec.training.lattice.export import export
    from xraycodec.training.lattice.weights import save_weights

    if guides is None:
        chosen = images[:: max(1, len(images) // CARD_IMAGES)]
        coefficients = fit_image([image.astype("i4") for image in chosen], 1, None, 10**6)
    else:
        few = slice(None, None, max(1, len(guides.images) // CARD_IMAGES))
        coefficients = fit_guided(
            [images[number].astype("i4") for number in guides.images[few]],
            [plane.astype("i4") for plane in guides.planes[few]],
            *(1, None, 10**5),
        )
    pack = export(
        trainer.averaged(),
        name,
        coefficients,
        {"training": {"steps": trainer.step, "seed": trainer.settings.seed}},
    )
    path = out / f"{name}{SUFFIX}"
    write_atomically(path, pack, overwrite=True)
    save_weights(trainer.average, trainer.settings.shape, out / f"{name}.safetensors")
    click.echo(f"wrote {path} ({len(pack):,} bytes) and the weights to go on from")
    return 0
