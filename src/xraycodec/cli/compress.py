"""``xrc compress``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from xraycodec.cli import options
from xraycodec.cli.report import Report, for_each, human_size
from xraycodec.cli.sources import Source, Targets, find_sources
from xraycodec.errors import CorruptError

SUFFIX = ".xrc"


def _is_image(path: Path) -> bool:
    from xraycodec.files import sniff

    with path.open("rb") as stream:
        return sniff(stream.read(4096)) is not None


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
@click.option(
    "--ratio",
    type=click.FloatRange(2, 256),
    default=8.0,
    show_default=True,
    help="rnn-conv: the paper's compression ratio, before its lossless stage.",
)
@click.option(
    "--tile",
    type=click.Choice(["128", "256"]),
    default="256",
    show_default=True,
    help="rnn-conv: side of the segments, each with its own network.",
)
@click.option("--no-verify", is_flag=True, help="Do not decode what was written to check it.")
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
    """Compress radiographs (DICOM, PNG, TIFF, PGM, NPY, JPEG XL ...) to .xrc files.

    Inputs are kept. chest.dcm becomes chest.dcm.xrc beside it unless -o says otherwise; - reads
    standard input. With -r, files that are no images are passed over. rnn-conv keeps the first
    256/ratio of its channels; the true ratio, printed for each file, is higher.
    """
    from xraycodec.codecs.base import Codec
    from xraycodec.codecs.rnn_conv import RnnConv
    from xraycodec.codecs.stored import Stored
    from xraycodec.files import decode, write_atomically
    from xraycodec.pipeline import compress as compress_image
    from xraycodec.pipeline import verify

    chosen: Codec = Stored() if codec == "stored" else RnnConv(ratio, int(tile), threads)
    sources = find_sources(inputs, recursive=recursive, wanted=_is_image)
    targets = Targets(output, sources, recursive=recursive)
    report = Report(as_json, quiet, verbose, results_to_stderr=targets.standard_output)

    def work(source: Source) -> None:
        target = None if targets.standard_output else targets.path_for(source, _add_suffix)
        if target is not None and target.exists() and not force:
            raise FileExistsError(f"{target} exists; -f overwrites it")
        image = decode(source.read(), source.name)
        with report.progress(source.name) as progress:
            data = compress_image(image, chosen, progress=progress)
        if not no_verify:
            with report.progress(f"{source.name} (verifying)") as progress:
                if not verify(data, threads=threads, progress=progress).identical:
                    raise CorruptError("verification failed: decoding gave other pixels")
        if target is None:
            sys.stdout.buffer.write(data)
        else:
            write_atomically(target, data, overwrite=force)
        true_ratio = image.size_bytes / len(data)
        values = {
            "output": "-" if target is None else str(target),
            "codec": codec,
            "pixel_bytes": image.size_bytes,
            "size_bytes": len(data),
            "ratio": round(true_ratio, 4),
            "rate_bpp": round(8 * len(data) / image.pixels.size, 5),
            "verified": not no_verify,
        }
        if isinstance(chosen, RnnConv):
            values |= {"nominal_ratio": 256 / chosen.beta, "beta": chosen.beta}
        text = f"{human_size(image.size_bytes)} -> {human_size(len(data))}, {true_ratio:.2f}:1"
        report.result(source.name, f"{text} -> {values['output']}", values)

    return for_each(report, sources, work)


def _add_suffix(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)
