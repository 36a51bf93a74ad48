"""``xrc train``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from xraycodec.cli import train_options
from xraycodec.cli.train_lattice import lattice
from xraycodec.cli.train_toderici import toderici
from xraycodec.cli.train_wavelet import wavelet

if TYPE_CHECKING:
    from xraycodec.evaluation.crops import Crops
    from xraycodec.training.loop import Progress as Line
    from xraycodec.training.network import RNNConv

TABLE_CROPS = 2000
"""Training crops that the frequency tables are counted over."""


@click.group()
def train() -> None:
    """Train the networks of a codec."""


train.add_command(lattice)
train.add_command(toderici)
train.add_command(wavelet)


@train.command("rnn-conv")
@train_options.folders
@click.option(
    "--segment",
    type=click.Choice(["128", "256"]),
    default="128",
    show_default=True,
    help="Side of the crops in pixels.",
)
@click.option(
    "--config",
    type=click.Choice(["compact", "paper"]),
    default="compact",
    show_default=True,
    help="Widths of the layers.",
)
@click.option(
    "--steps",
    type=click.IntRange(0),
    default=12_500,
    show_default=True,
    help="Steps of the optimiser, one batch each; with 0 the weights of --init are exported.",
)
@train_options.batch(16)
@train_options.learning_rate(2e-4)
@click.option(
    "--final-learning-rate", type=float, default=2e-6, show_default=True, help="At the last step."
)
@click.option(
    "--warm-up",
    type=click.IntRange(0),
    default=100,
    show_default=True,
    help="Steps over which the learning rate rises.",
)
@train_options.loss
@click.option(
    "--start",
    type=click.Choice(["random", "linear"]),
    default="random",
    show_default=True,
    help="linear starts at the 16 x 16 block transform of the training crops.",
)
@click.option("--augment", is_flag=True, help="Turn and flip crops.")
@train_options.start
@train_options.precision
@click.option("--compile", "compiled", is_flag=True, help="Compile the network first (needs gcc).")
@train_options.device
@click.option(
    "--validate-every",
    type=click.IntRange(1),
    default=250,
    show_default=True,
    help="Steps between validations.",
)
@click.option(
    "--mixing",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    help="How far the weights that are exported go from those of --init to those of the run.",
)
@train_options.name(None, "rnn-conv-CONFIG-SEGMENT")
def rnn_conv(
    data: Path,
    out: Path,
    init: Path | None,
    name: str | None,
    compiled: bool,
    mixing: float,
    **values: Any,
) -> int:
    """Train RNN-Conv and export a model pack with its card.

    20,000 / 1,000 / 500 random crops from patients that are in one split only, Adam, batch 16
    and the L1 loss are the paper's; every departure is an option. An interrupted run goes on
    when the same command is given again.
    """
    train_options.need_torch()
    from xraycodec.training.export import load_network
    from xraycodec.training.loop import Settings, Trainer

    settings = Settings(segment=int(values.pop("segment")), compile=compiled, **values)
    if settings.steps == 0 and init is None:
        raise click.UsageError("--steps 0 exports the weights of --init, which is missing")
    if mixing < 1 and init is None:
        raise click.UsageError("--mixing goes from the weights of --init, which is missing")
    out.mkdir(parents=True, exist_ok=True)
    crops = train_options.load_split_crops(data, settings.segment, settings.seed, out)
    trainer = Trainer(settings, crops["train"], crops["validation"], out)
    train_options.begin(trainer, init, out)
    trainer.run(_print_line)
    start = None
    if mixing < 1 and init is not None:
        # What a run begins from follows from its settings alone, so that it need not be kept.
        beginning = Trainer(settings, crops["train"], crops["validation"], out)
        beginning.start_from(init)
        start = beginning.average
    network, training = load_network(trainer.checkpoint, start, mixing)
    if start is not None:
        training["mixing"] = mixing
    name = name or f"rnn-conv-{settings.config}-{settings.segment}"
    return _export(out, name, crops["train"], network, training)


def _print_line(line: Line) -> None:
    left = time.strftime("%H:%M:%S", time.gmtime(line.seconds_left))
    text = (
        f"step {line.step}/{line.steps}  loss {line.loss:.4f}  rate {line.learning_rate:.1e}"
        f"  {line.crops_per_second:.1f} crops/s  {left} left"
    )
    if line.psnr_db is not None:
        shown = "  ".join(f"{256 // beta}:1 {psnr:.2f}" for beta, psnr in line.psnr_db.items())
        text += f"\n  validation PSNR dB  {shown}"
    click.echo(text)


def _export(run: Path, name: str, crops: Crops, network: RNNConv, training: dict[str, Any]) -> int:
    from xraycodec.files import write_atomically
    from xraycodec.training.export import export_pack
    from xraycodec.training.model_card import model_card
    from xraycodec.training.weights import save_weights

    pack = export_pack(network, name, training["segment"], crops[:TABLE_CROPS], training)
    card = model_card(name, pack, training, run / "metrics.jsonl")
    write_atomically(run / f"{name}.md", card.encode(), overwrite=True)
    save_weights(network, run / f"{name}.safetensors")
    train_options.write_pack(
        pack, name, run, "--codec rnn-conv --model", "its card and its weights"
    )
    return 0
