"""``xrc compress``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import codec_options, options
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import XRC_SUFFIX, Source, Targets, Wanted, find_sources, for_each
from xraycodec.errors import CorruptError, XrayCodecError

if TYPE_CHECKING:
    from xraycodec.codecs.base import Codec


def _is_image(path: Path) -> bool:
    from xraycodec.files.dicomdir import is_dicomdir
    from xraycodec.files.signatures import HEAD_BYTES, sniff

    try:
        if is_dicomdir(path):
            return False
        with path.open("rb") as stream:
            return sniff(stream.read(HEAD_BYTES)) is not None
    except OSError:
        return True  # reading it fails once more, and is reported then


def _members(path: Path, report: Report) -> list[tuple[Path, Path]] | None:
    """The images of a DICOM file set, if ``path`` is its DICOMDIR."""
    from xraycodec.files.dicomdir import files_of, is_dicomdir

    try:
        if not is_dicomdir(path):
            return None
        files = files_of(path)
    except OSError:
        return None  # as above
    except XrayCodecError as error:
        report.error(str(path), error)
        return []
    for file in files:
        if file.record_type != "IMAGE":
            report.note(str(file.path), f"passed over: a {file.record_type} record, no image")
    images = [(file.path, file.below) for file in files if file.record_type == "IMAGE"]
    if not images:
        report.note(str(path), "no image belongs to it")
    return images


IMAGES = Wanted("image file", _is_image, _members)


@click.command()
@options.inputs
@options.output
@options.force
@options.recursive
@codec_options.codec(
    "lattice keeps every bit, or every pixel within --max-error; wavelet is lossy at any rate,"
    " the one to pick where loss is accepted; rnn-conv and toderici are lossy too, the codecs of a"
    " paper, and files of toderici refine the image step by step; stored keeps every bit without a"
    " model."
)
@codec_options.max_error
@codec_options.profile
@codec_options.ratio
@codec_options.wavelet
@codec_options.iterations
@codec_options.tile
@codec_options.configuration
@click.option("--no-verify", is_flag=True, help="Do not check each output by decoding it.")
@options.limits
@options.threads
@options.reporting
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    recursive: bool,
    codec: str,
    max_error: int,
    profile: str,
    ratio: float,
    iterations: int,
    tile: int | None,
    configuration: str,
    no_verify: bool,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Compress radiographs to .xrc files.

    An INPUT is DICOM, PNG, TIFF, PGM, NPY, JPEG XL, JPEG 2000, JPEG-LS or JPEG, or - for standard
    input. It is kept: chest.dcm gives chest.dcm.xrc beside it, unless -o says otherwise. A DICOMDIR
    stands for the images of its file set, whose folders -o repeats.

    Nothing is lost unless --max-error or --codec wavelet, rnn-conv or toderici allows it. Each
    output is decoded and compared with its input before it gets its name. The ratio printed for it
    is that of its pixels, at their bits stored, to the whole file.
    """
    from xraycodec.container import read_header
    from xraycodec.files import decode
    from xraycodec.pipeline import compress as compress_image
    from xraycodec.pipeline import verify

    chosen = codec_options.codec_asked_for(codec, threads)
    limits = options.limits_asked_for()
    # The original is at hand, so that it is no claim of a stranger that an image is constant.
    verifying = replace(limits, free_pixels=limits.max_pixels)
    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, IMAGES, report, recursive=recursive)
    targets = Targets(output, sources, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output

    def work(source: Source) -> None:
        target = targets.path_for(source, _add_suffix)
        image = decode(source.read(limits), source.name, limits=limits)
        with report.progress(source.name) as progress:
            data = compress_image(image, chosen, progress=progress)
        if not no_verify:
            with report.progress(f"{source.name} (verifying)") as progress:
                found = verify(
                    data, original=image, limits=verifying, threads=threads, progress=progress
                )
            if not found.identical:
                raise CorruptError("verification failed: decoding gave other pixels")
        targets.write(target, data)
        true_ratio = image.size_bytes / len(data)
        bound = read_header(data).max_error
        values = {
            "output": "-" if target is None else str(target),
            "codec": codec,
            "pixel_bytes": image.size_bytes,
            "size_bytes": len(data),
            "ratio": round(true_ratio, 4),
            "rate_bpp": round(8 * len(data) / image.pixels.size, 5),
            "lossless": bound == 0,
            "max_error": bound,
            "verified": not no_verify,
            **_nominal(chosen),
        }
        text = (
            f"{human_size(image.size_bytes)} -> {human_size(len(data))}, {true_ratio:.2f}:1"
            f"{_loss(bound)} -> {values['output']}"
        )
        report.result(source.name, text, values)

    return for_each(report, sources, work)


def _loss(bound: int | None) -> str:
    """What a result says of its pixels, where they are not all kept."""
    if bound is None:
        return ", no error bound"
    return f", error at most {bound}" if bound else ""


def _nominal(codec: Codec) -> dict[str, float]:
    """What a lossy codec was asked for; rnn-conv, as far as whole channels can follow."""
    match codec.codec_id:
        case "RNNC":
            from xraycodec.codecs.rnn_conv import RnnConv

            assert isinstance(codec, RnnConv)
            return {"nominal_ratio": 256 / codec.beta, "beta": codec.beta}
        case "TODE":
            from xraycodec.codecs.toderici import Toderici

            assert isinstance(codec, Toderici)
            return {"iterations": codec.iterations}
        case _:
            return {}


def _add_suffix(path: Path) -> Path:
    return path.with_name(path.name + XRC_SUFFIX)
