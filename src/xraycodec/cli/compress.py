"""``xrc compress``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from xraycodec.cli import codec_options, options
from xraycodec.cli.batch import Batch, Done, Others, Sizes
from xraycodec.cli.processing import for_each
from xraycodec.cli.progress import Progress
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import (
    IMAGE_SUFFIXES,
    XRC_SUFFIX,
    Source,
    Wanted,
    find_sources,
    read_head,
)
from xraycodec.cli.targets import Targets
from xraycodec.errors import (
    CorruptError,
    CorruptImageError,
    OptionError,
    UnsupportedImageError,
    XrayCodecError,
)

if TYPE_CHECKING:
    from xraycodec.codecs.base import Codec
    from xraycodec.image import XRay
    from xraycodec.limits import Limits


def _is_image(path: Path) -> bool:
    from xraycodec.files.dicomdir import is_dicomdir
    from xraycodec.files.signatures import sniff

    try:
        return not is_dicomdir(path) and sniff(read_head(path)) is not None
    except OSError:
        return True  # reading it fails once more, and is reported then


def _members(path: Path, report: Report) -> list[Source] | None:
    """The files of a DICOM file set, if ``path`` is its DICOMDIR."""
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
    sources = []
    for file in files:
        image = file.record_type == "IMAGE"
        other = "" if image else f"a {file.record_type} record, no image"
        sources.append(Source(str(file.path), file.path, file.below, other))
    if all(source.other for source in sources):
        report.note(str(path), "no image belongs to it")
    return sources


_IMAGES = Wanted("an", "image file", _is_image, IMAGE_SUFFIXES, _members)


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
@codec_options.model
@click.option("--no-verify", is_flag=True, help="Do not check each output by decoding it.")
@options.others
@options.jobs
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
    others: Others | None,
    skip_existing: bool,
    jobs: int,
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
    batch = Batch(others, skip_existing, jobs)
    threads = batch.threads_each(threads)
    chosen = codec_options.codec_asked_for(codec, threads)
    limits = options.limits_asked_for()
    report = Report(as_json, quiet, verbose)
    sort = others is not None
    sources = find_sources(inputs, _IMAGES, report, recursive=recursive, sort=sort)
    targets = Targets(output, sources, _add_suffix, recursive=recursive, overwrite=force)
    report.results_to_stderr = targets.standard_output

    def make(source: Source, _: Path | None, progress: Progress) -> Done:
        image, notes = _read_image(source, limits)
        data = _compress(image, chosen, limits, threads, progress, check=not no_verify)
        return _done(image, data, chosen, codec, notes, verified=not no_verify)

    sizes = Sizes("pixel_bytes", "size_bytes", packing=True)
    return for_each(report, sources, make, targets=targets, batch=batch, sizes=sizes)


def _read_image(source: Source, limits: Limits) -> tuple[XRay, tuple[str, ...]]:
    """Decode an input; return also what to note of it: what the image does not keep.

    Raises:
        OptionError: it is an .xrc file already.
        CorruptImageError: it is of no image format; others than `UnsupportedImageError`, since
            whatever is called an image and is none is a failure, however others are treated.
        XrayCodecError, OSError: it cannot be read or decoded.
    """
    from xraycodec.container import SIGNATURE
    from xraycodec.files import decode, sniff
    from xraycodec.files.left_out import left_out

    data = source.read(limits)
    if data.startswith(SIGNATURE):
        raise OptionError(
            "it is an .xrc file already; xrc decompress gives its image back, and xrc transcode"
            " writes it as DICOM"
        )
    try:
        image = decode(data, source.name, limits=limits)
    except UnsupportedImageError as error:
        if sniff(data) is None:
            raise CorruptImageError(str(error)) from error
        raise
    names = left_out(data, image)
    return image, (f"not kept of this file: {', '.join(names)}",) if names else ()


def _compress(
    image: XRay, codec: Codec, limits: Limits, threads: int, progress: Progress, *, check: bool
) -> bytes:
    """Compress an image, and decode it again to check it, which counts for half of the progress.

    Raises:
        CorruptError: decoding gave another image.
    """
    from xraycodec.pipeline import compress as compress_image
    from xraycodec.pipeline import verify

    if not check:
        return compress_image(image, codec, progress=progress)

    def first_half(done: int, total: int) -> None:
        progress(done, 2 * total)

    def second_half(done: int, total: int) -> None:
        progress(total + done, 2 * total)

    data = compress_image(image, codec, progress=first_half)
    # The original is here: a constant image is a fact, not a claim of the file.
    limits = replace(limits, free_pixels=limits.max_pixels)
    found = verify(data, original=image, limits=limits, threads=threads, progress=second_half)
    if not found.identical:
        raise CorruptError("verification failed: decoding gave other pixels")
    return data


def _done(
    image: XRay,
    data: bytes,
    codec: Codec,
    name: str,
    notes: tuple[str, ...],
    *,
    verified: bool,
) -> Done:
    from xraycodec.container import read_header

    ratio = image.size_bytes / len(data)
    bound = read_header(data).max_error
    values = {
        "codec": name,
        "pixel_bytes": image.size_bytes,
        "size_bytes": len(data),
        "ratio": round(ratio, 4),
        "rate_bpp": round(8 * len(data) / image.pixels.size, 5),
        "lossless": bound == 0,
        "max_error": bound,
        "verified": verified,
        **_nominal(codec),
    }
    size = f"{human_size(image.size_bytes)} -> {human_size(len(data))}, {ratio:.2f}:1"
    return Done(size + _loss(bound), values, data, notes=notes)


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


def _add_suffix(path: Path, _: str) -> Path:
    return path.with_name(path.name + XRC_SUFFIX)
