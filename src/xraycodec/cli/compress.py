"""``xrc compress``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import options
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import XRC_SUFFIX, Source, Targets, Wanted, find_sources, for_each
from xraycodec.errors import CorruptError

if TYPE_CHECKING:
    from xraycodec.codecs.base import Codec


def _is_image(path: Path) -> bool:
    from xraycodec.files.signatures import HEAD_BYTES, sniff

    try:
        with path.open("rb") as stream:
            return sniff(stream.read(HEAD_BYTES)) is not None
    except OSError:
        return True  # reading it fails once more, and is reported then


IMAGES = Wanted("image file", _is_image)


@click.command()
@options.inputs
@options.output
@options.force
@options.recursive
@click.option(
    "--codec",
    type=click.Choice(["rnn-conv", "stored"]),
    default="rnn-conv",
    show_default=True,
    help="rnn-conv is lossy; stored keeps every bit.",
)
@options.ratio
@click.option(
    "--tile",
    type=click.Choice(["128", "256"]),
    default="256",
    show_default=True,
    help="rnn-conv: side in pixels of the segments that its network was trained on.",
)
@click.option("--no-verify", is_flag=True, help="Do not check each output by decoding it.")
@options.threads
@options.reporting
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    recursive: bool,
    codec: str,
    ratio: float,
    tile: str,
    no_verify: bool,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compress radiographs to .xrc files.

    An INPUT is DICOM, PNG, TIFF, PGM, NPY, JPEG XL, JPEG 2000, JPEG-LS or JPEG, or - for standard
    input. It is kept: chest.dcm gives chest.dcm.xrc beside it, unless -o says otherwise.

    Each output is decoded to check it before it gets its name. The ratio printed for it is that
    of its pixels, at their bits stored, to the whole file.
    """
    from xraycodec.files import decode
    from xraycodec.pipeline import compress as compress_image
    from xraycodec.pipeline import verify

    chosen = _codec(codec, ratio, int(tile), threads)
    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, IMAGES, report, recursive=recursive)
    targets = Targets(output, sources, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output

    def work(source: Source) -> None:
        target = targets.path_for(source, _add_suffix)
        image = decode(source.read(), source.name)
        with report.progress(source.name) as progress:
            data = compress_image(image, chosen, progress=progress)
        if not no_verify:
            with report.progress(f"{source.name} (verifying)") as progress:
                if not verify(data, threads=threads, progress=progress).identical:
                    raise CorruptError("verification failed: decoding gave other pixels")
        targets.write(target, data)
        true_ratio = image.size_bytes / len(data)
        values = {
            "output": "-" if target is None else str(target),
            "codec": codec,
            "pixel_bytes": image.size_bytes,
            "size_bytes": len(data),
            "ratio": round(true_ratio, 4),
            "rate_bpp": round(8 * len(data) / image.pixels.size, 5),
            "verified": not no_verify,
            **_nominal(chosen),
        }
        text = f"{human_size(image.size_bytes)} -> {human_size(len(data))}, {true_ratio:.2f}:1"
        report.result(source.name, f"{text} -> {values['output']}", values)

    return for_each(report, sources, work)


def _codec(name: str, ratio: float, tile: int, threads: int) -> Codec:
    from xraycodec.codecs.rnn_conv import RnnConv
    from xraycodec.codecs.stored import Stored

    return Stored() if name == "stored" else RnnConv(ratio, tile, threads)


def _nominal(codec: Codec) -> dict[str, float]:
    """What rnn-conv was asked for, as far as whole channels can follow."""
    from xraycodec.codecs.rnn_conv import RnnConv

    if not isinstance(codec, RnnConv):
        return {}
    return {"nominal_ratio": 256 / codec.beta, "beta": codec.beta}


def _add_suffix(path: Path) -> Path:
    return path.with_name(path.name + XRC_SUFFIX)
