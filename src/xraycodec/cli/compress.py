"""``xrc compress``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from xraycodec.cli import options
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import XRC_SUFFIX, Source, Targets, Wanted, find_sources, for_each
from xraycodec.codecs.lattice.codec import DEFAULT_TILE, PROFILES
from xraycodec.codecs.registry import NAMES
from xraycodec.errors import CorruptError, OptionError, XrayCodecError

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

_TAKES = {
    "lattice": ("max_error", "profile", "tile"),
    "rnn-conv": ("ratio", "tile"),
    "toderici": ("iterations", "tile"),
    "stored": (),
}


@click.command()
@options.inputs
@options.output
@options.force
@options.recursive
@click.option(
    "--codec",
    type=click.Choice(NAMES),
    default="lattice",
    show_default=True,
    help="lattice keeps every bit, or every pixel within --max-error; rnn-conv and toderici are"
    " lossy without a bound, and files of toderici refine the image step by step; stored keeps"
    " every bit without a model.",
)
@click.option(
    "--max-error",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    metavar="D",
    help="lattice: no pixel of the decompressed image differs from the original by more than D"
    " grey levels; 0 is lossless.",
)
@click.option(
    "--profile",
    type=click.Choice(PROFILES),
    default="best",
    show_default=True,
    help="lattice: best gives the smallest files, fast takes less time.",
)
@options.ratio
@options.iterations
@click.option(
    "--tile",
    type=int,
    metavar="PIXELS",
    show_default=f"lattice {DEFAULT_TILE}, rnn-conv 256, toderici 256",
    help="Side of the tiles. lattice: a multiple of 8 from 64 to 4096; with small ones,"
    " decompress --region reads and computes less, but files are larger. rnn-conv: 128 or 256."
    " toderici: a multiple of 16 from 16 to 512.",
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
    max_error: int,
    profile: str,
    ratio: float,
    iterations: int,
    tile: int | None,
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

    Nothing is lost unless --max-error, --codec rnn-conv or --codec toderici allows it. Each output
    is decoded and compared with its input before it gets its name. The ratio printed for it is
    that of its pixels, at their bits stored, to the whole file.
    """
    from xraycodec.container import read_header
    from xraycodec.files import decode
    from xraycodec.pipeline import compress as compress_image
    from xraycodec.pipeline import verify

    chosen = _codec(codec, threads)
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
                found = verify(data, original=image, threads=threads, progress=progress)
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


def _codec(name: str, threads: int) -> Codec:
    """The codec called ``name`` with the settings that the command line gives.

    Raises:
        click.UsageError: a setting of another codec, or one that this codec cannot do.
    """
    context = click.get_current_context()
    given = {
        setting: context.params[setting]
        for setting in sorted({setting for settings in _TAKES.values() for setting in settings})
        if context.get_parameter_source(setting) is not ParameterSource.DEFAULT
    }
    for setting in given:
        if setting not in _TAKES[name]:
            takers = _listed([codec for codec, takes in _TAKES.items() if setting in takes])
            told = context.get_parameter_source("codec") is not ParameterSource.DEFAULT
            raise click.UsageError(
                f"--{setting.replace('_', '-')} goes with --codec {takers}, not with "
                + (name if told else f"the default, {name}; add --codec {takers}")
            )
    try:
        if name == "lattice":
            from xraycodec.codecs.lattice import Lattice

            return Lattice(**given, threads=threads)
        if name == "rnn-conv":
            from xraycodec.codecs.rnn_conv import RnnConv

            return RnnConv(**given, threads=threads)
        if name == "toderici":
            from xraycodec.codecs.toderici import Toderici

            return Toderici(**given, threads=threads)
    except OptionError as error:
        raise click.UsageError(str(error)) from error
    from xraycodec.codecs.stored import Stored

    return Stored()


def _listed(names: list[str]) -> str:
    """Names as a sentence has them: "a, b or c"."""
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


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
