"""``xrc demo``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import codec_options, options
from xraycodec.cli.batch import Done
from xraycodec.cli.processing import for_each
from xraycodec.cli.progress import Progress
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import STANDARD, Source
from xraycodec.errors import OptionError

if TYPE_CHECKING:
    from xraycodec.demo.run import Trip
    from xraycodec.image import XRay


@click.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "-o",
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for the results; those of an earlier demo are replaced.",
)
@codec_options.paper_ratio
@options.reporting
def demo(
    file: str | None, output: Path, ratio: float, as_json: bool, quiet: bool, verbose: bool
) -> int:
    """Compress FILE without and with loss, decompress it, and print what that cost.

    The lossless codec is lattice, the lossy one rnn-conv, of which a picture is written beside the
    original.

    Without FILE, a synthetic chest radiograph is computed: Beer-Lambert through simple anatomy,
    quantum noise, 12 bits, as DICOM.
    """
    from xraycodec.demo.phantom import chest_phantom
    from xraycodec.demo.run import demonstrate
    from xraycodec.files import decode

    report = Report(as_json, quiet, verbose)
    phantom = Source("synthetic chest radiograph", None, Path("phantom.dcm"))
    if file is None:
        source = phantom
    elif file == STANDARD:
        source = Source("standard input", None, Path("stdin"))
    else:
        source = Source(file, Path(file), Path(Path(file).name))

    def make(source: Source, _: Path | None, progress: Progress) -> Done:
        if source.path is not None and source.path.resolve().parent == output.resolve():
            raise OptionError(f"{output} is its folder, where results could replace it; give -o")
        image = chest_phantom() if source is phantom else decode(source.read(), source.name)
        outcome = demonstrate(image, source.below.stem, output, ratio, progress)
        rows, columns = image.frames.shape[1:]
        lines = [
            f"{columns} x {rows}, {image.bits_stored} bits",
            *_trip_lines("lossless, lattice: every pixel came back", outcome.lossless, image),
            *_trip_lines(
                f"lossy, rnn-conv at the paper's {outcome.nominal_ratio:g}:1", outcome.lossy, image
            ),
            f"    PSNR  {outcome.fidelity.psnr_db:.2f} dB",
            f"    SSIM  {outcome.fidelity.ssim:.4f}",
            *(f"  wrote   {path}" for path in outcome.files),
        ]
        values = asdict(outcome) | {"files": [str(path) for path in outcome.files]}
        return Done("\n".join(lines), values)

    return for_each(report, [source], make)


def _trip_lines(title: str, trip: Trip, image: XRay) -> list[str]:
    return [
        f"  {title}",
        f"    size  {human_size(image.size_bytes)} -> {human_size(trip.size_bytes)},"
        f" {trip.ratio:.2f}:1, {trip.rate_bpp:.3f} bits per pixel",
        f"    time  {trip.compress_seconds:.1f} s to compress,"
        f" {trip.decompress_seconds:.1f} s to decompress",
    ]
