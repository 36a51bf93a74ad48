"""``xrc train lattice``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xraycodec.cli import train_options
from xraycodec.codecs.lattice.geometry import SETS

if TYPE_CHECKING:
    from xraycodec.training.lattice.images import Radiographs
    from xraycodec.training.lattice.loop import Progress as Line
    from xraycodec.training.lattice.loop import Trainer
    from xraycodec.training.lattice.samples import Guides

GUIDED_IMAGES = 300
"""Training images that guided networks learn from."""
CARD_IMAGES = 40
"""Training images that a pack's own linear predictions are fitted to."""


class _Numbers(click.ParamType[tuple[tuple[int, ...], ...]]):
    """Positive numbers, with commas between those of a set of levels and slashes between sets."""

    def __init__(self, phases: int) -> None:
        self.phases = phases
        self.name = "/".join([",".join("N" * phases)] * SETS)

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[tuple[int, ...], ...]:
        sets = str(value).split("/")
        sets = sets * SETS if len(sets) == 1 else sets
        try:
            numbers = tuple(tuple(int(part) for part in one.split(",")) for one in sets)
        except ValueError:
            self.fail(f"{value} is not of the form {self.name}.", param, ctx)
        if [len(one) for one in numbers] != [self.phases] * SETS or min(map(min, numbers)) < 1:
            self.fail(f"{value} is not of the form {self.name}, each 1 or more.", param, ctx)
        return numbers


@click.command("lattice")
@train_options.folders
@train_options.name("lattice-best", "lattice-best")
@click.option(
    "--channels",
    type=_Numbers(1),
    default="48/48/64",
    show_default=True,
    help="Width of the networks: of level 0, of level 1, of level 2 and up; one number for all.",
)
@click.option(
    "--pairs",
    type=_Numbers(3),
    default="1,1,1/2,1,1/2,2,2",
    show_default=True,
    help="Residual pairs of the three phases, for each set of levels as above.",
)
@click.option(
    "--components",
    type=click.IntRange(1, 8),
    default=1,
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
@train_options.steps(10_000)
@train_options.minutes
@train_options.batch(4)
@click.option(
    "--coarse",
    type=click.IntRange(0),
    default=1,
    show_default=True,
    help="Crops more in a batch of level 1, and as many of level 2.",
)
@train_options.crop
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
@train_options.learning_rate(2e-3)
@train_options.quantise_from
@train_options.start
@train_options.device
def lattice(
    data: Path,
    out: Path,
    name: str,
    channels: tuple[tuple[int], ...],
    pairs: tuple[tuple[int, ...], ...],
    components: int,
    no_carry: bool,
    no_fit: bool,
    guided: bool,
    batch: int,
    coarse: int,
    crop: str,
    deep: float,
    near: float,
    init: Path | None,
    **schedule: Any,
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
        Shape(tuple(width for (width,) in channels), pairs, components, not no_carry, guided),
        Draw(
            batch=batch,
            crop=int(crop),
            coarse=0 if guided else coarse,
            deep=deep,
            near=near,
            fitted=not no_fit,
        ),
        **schedule,
    )
    out.mkdir(parents=True, exist_ok=True)
    least = 2 * settings.draw.crop + 2  # images of half the size are cut as well
    train, validation = train_options.load_split_images(
        load_images, data, out, settings.draw.crop, least
    )
    guides = None
    if guided:
        held_out = validation[: settings.validation_images]
        guides = (
            _guides(train, GUIDED_IMAGES, out, settings.seed),
            _guides(held_out, len(validation), out, settings.seed),
        )
    trainer = Trainer(settings, train, validation, out, guides)
    train_options.begin(trainer, init, out)
    trainer.run(_print_line)
    return _export(trainer, name, train, out, guides and guides[0])


def _guides(images: Radiographs, most: int, out: Path, seed: int) -> Guides:
    from xraycodec.training.lattice.guides import load_guides, spread

    click.echo(f"bases of {min(len(images), most)} images, if they are not kept", err=True)
    return load_guides(images, spread(len(images), most), out.parent / "images", seed)


def _print_line(line: Line) -> None:
    validation = None
    if line.lossless_bpp is not None:
        validation = (
            f"lossless {line.lossless_bpp:.4f} bpp, maximum error 2 {line.near_bpp:.4f} bpp"
        )
    train_options.print_line(line, validation)


def _export(
    trainer: Trainer, name: str, images: Radiographs, out: Path, guides: Guides | None
) -> int:
    from xraycodec.codecs.lattice.fitting import fit_image
    from xraycodec.codecs.lattice.guided import fit_guided
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
    save_weights(trainer.average, trainer.settings.shape, out / f"{name}.safetensors")
    use = "--codec lattice --model"
    if guides is not None:
        use = "--codec wavelet --max-error 0 --completion-model"
    train_options.write_pack(pack, name, out, use)
    return 0
