"""``xrc train toderici``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xraycodec.cli import train_options

if TYPE_CHECKING:
    from xraycodec.evaluation.crops import Crops

TABLE_PIXELS = 1 << 21
"""Of the training crops that frequency tables are counted over; each goes through 32 iterations."""


@click.command("toderici")
@train_options.folders
@click.option(
    "--config",
    type=click.Choice(["compact", "paper"]),
    default="compact",
    show_default=True,
    help="Widths of the layers.",
)
@click.option(
    "--segment",
    type=click.Choice(["32", "64", "128", "256"]),
    default="128",
    show_default=True,
    help="Side of the crops in pixels.",
)
@click.option(
    "--steps",
    type=click.IntRange(1),
    default=20_000,
    show_default=True,
    help="Batches in all.",
)
@train_options.minutes
@train_options.batch(8)
@click.option(
    "--span",
    type=click.Choice(["2", "4", "8", "16", "32"]),
    default="8",
    show_default=True,
    help="Iterations between two steps of the optimiser.",
)
@train_options.learning_rate(1e-3)
@click.option(
    "--warm-up",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    help="Steps over which the learning rate rises.",
)
@train_options.loss
@click.option("--augment", is_flag=True, help="Turn and flip crops.")
@train_options.start
@train_options.precision
@train_options.device
@click.option(
    "--validate-every",
    type=click.IntRange(1),
    default=500,
    show_default=True,
    help="Steps between validations.",
)
@train_options.name(None, "toderici-CONFIG")
def toderici(data: Path, out: Path, init: Path | None, name: str | None, **values: Any) -> int:
    """Train the baseline of Toderici et al. and export a model pack with its card.

    One network serves every segment size and rate. An interrupted run goes on when the same
    command is given again.
    """
    train_options.need_torch()
    from xraycodec.training.toderici.loop import Settings, Trainer

    settings = Settings(segment=int(values.pop("segment")), span=int(values.pop("span")), **values)
    out.mkdir(parents=True, exist_ok=True)
    crops = train_options.load_split_crops(data, settings.segment, settings.seed, out)
    trainer = Trainer(settings, crops["train"], crops["validation"], out)
    train_options.begin(trainer, init, out)
    trainer.run(click.echo)
    return _export(out, name or f"toderici-{settings.config}", crops["train"])


def _export(run: Path, name: str, crops: Crops) -> int:
    from safetensors.torch import save_file

    from xraycodec.files import write_atomically
    from xraycodec.training.toderici.export import export_pack, load_network, model_card

    network, training = load_network(run / "checkpoint.pt")
    pack = export_pack(network, name, crops[: TABLE_PIXELS // training["segment"] ** 2], training)
    card = model_card(name, pack, training, run / "metrics.jsonl")
    write_atomically(run / f"{name}.md", card.encode(), overwrite=True)
    halves = {key: value.half().contiguous() for key, value in network.state_dict().items()}
    save_file(halves, run / f"{name}.safetensors", {"configuration": network.config.name})
    train_options.write_pack(
        pack, name, run, "--codec toderici --model", "its card and its weights"
    )
    return 0
