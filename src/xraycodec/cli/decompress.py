"""``xrc decompress``."""

from __future__ import annotations

from pathlib import Path

import click
from click.core import ParameterSource

from xraycodec.cli import options
from xraycodec.cli.batch import Batch, Done, Others, Sizes
from xraycodec.cli.decoding import Region, Unit, Wanted, check_input, decode
from xraycodec.cli.processing import for_each
from xraycodec.cli.progress import Progress
from xraycodec.cli.report import Report
from xraycodec.cli.sources import IMAGE_SUFFIXES, XRC_FILES, XRC_SUFFIX, Source, find_sources
from xraycodec.cli.targets import Targets
from xraycodec.errors import OptionError
from xraycodec.files.dicom_lossy import UID_POLICIES, UidPolicy
from xraycodec.image import XRay

SUFFIXES = {
    "dicom": ".dcm",
    "png": ".png",
    "tiff": ".tif",
    "pgm": ".pgm",
    "npy": ".npy",
    "jpegxl": ".jxl",
}


def _region(ctx: click.Context, param: click.Parameter, value: str | None) -> Region | None:
    if value is None:
        return None
    try:
        row, column, rows, columns = (int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not of the form ROW,COLUMN,ROWS,COLUMNS.", ctx, param
        ) from None
    if min(row, column) < 0 or min(rows, columns) < 1:
        raise click.BadParameter(
            f"{value!r} begins before pixel 0 or has no pixel; ROW and COLUMN count from 0.",
            ctx,
            param,
        )
    return row, column, rows, columns


@click.command()
@options.inputs
@options.output
@options.force
@options.recursive
@click.option(
    "--format",
    "file_format",
    type=click.Choice(list(SUFFIXES)),
    help="Format of the outputs; without it their suffix decides.",
)
@click.option(
    "--scale",
    type=click.Choice(["1", "2", "4", "8"]),
    default="1",
    show_default=True,
    help="lattice: give every SCALEth row and column only, picked and not averaged. wavelet: give a"
    " smaller image, averaged; of a file with a completion, that of its lossy base.",
)
@click.option(
    "--region",
    callback=_region,
    metavar="ROW,COLUMN,ROWS,COLUMNS",
    help="lattice, wavelet: give this part of every frame only: its first row and column, counted"
    " from 0, and its size, all in pixels of the image at full size.",
)
@click.option(
    "--iterations",
    type=click.IntRange(min=1),
    metavar="K",
    help="toderici: give the image as the first K iterations of the file alone have it.",
)
@click.option(
    "--layers",
    type=click.IntRange(min=1),
    metavar="N",
    help="wavelet, toderici: give the image as the first N layers of the file alone have it. Of a"
    " wavelet file that a completion makes lossless or bounded, 4 are its lossy base. A layer of"
    " toderici is an iteration.",
)
@click.option(
    "--partial",
    is_flag=True,
    help="wavelet, toderici: of a file that was cut off, give the image that its whole layers hold,"
    " with a warning and a name that says how many. Without it such a file is a failure.",
)
@click.option(
    "--uid-policy",
    type=click.Choice(UID_POLICIES),
    default="standard",
    show_default=True,
    help="SOP Instance UID of DICOM outputs. standard: the source's for lossless files, a new one,"
    " with a reference to the source, for lossy ones; keep: the source's; new: a new one.",
)
@options.others
@options.jobs
@options.models
@options.limits
@options.threads
@options.reporting
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    force: bool,
    recursive: bool,
    file_format: str | None,
    scale: str,
    region: Region | None,
    iterations: int | None,
    layers: int | None,
    partial: bool,
    uid_policy: UidPolicy,
    others: Others | None,
    skip_existing: bool,
    jobs: int,
    threads: int,
    as_json: bool,
    quiet: bool,
    verbose: bool,
) -> int:
    """Decompress .xrc files.

    An INPUT is a file, or - for standard input. It is kept: chest.dcm.xrc gives chest.dcm beside
    it, as DICOM, and with --format png chest.png, unless -o says otherwise. A name without suffix,
    as DICOM files often have, stays DICOM. Standard output needs --format.

    With --scale or --region, only what they need is read of a file, which may even be cut off
    behind it, and names say so: chest.scale4.dcm, chest.region-0-512-256-256.dcm. What is read is
    checked by its checksums, but not by the hash of the pixels, which is of the whole image. A
    part has none of the source's DICOM data set: as DICOM, it is a new secondary capture.

    The pixels of a lossy file are marked as such in DICOM outputs, and become a new instance unless
    --uid-policy says otherwise; every other attribute is as the source had it.

    A file that was cut off is a failure. Of wavelet and toderici files, --partial gives the image
    in the quality of the layers that are whole, as chest.layers3-of-8.png. --layers asks for fewer
    than a file has, reads only these, and gives names such as chest.layers4.png; --iterations does
    so for toderici.
    """
    from xraycodec.files import encode
    from xraycodec.files.dicom_writer import to_data_set, to_file

    limits = options.limits_asked_for()
    report = Report(as_json, quiet, verbose)
    if iterations is not None and layers is not None:
        raise click.UsageError("--iterations and --layers ask for the same; give one")
    asked = layers if iterations is None else iterations
    unit: Unit = "layers" if iterations is None else "iterations"
    wanted = Wanted(int(scale), region, asked, unit, partial)
    told = click.get_current_context().get_parameter_source("uid_policy")
    if file_format not in (None, "dicom") and told is not ParameterSource.DEFAULT:
        raise click.UsageError(f"--uid-policy goes with DICOM outputs, not with {file_format}")
    if wanted.is_part and wanted.layers is not None:
        raise click.UsageError(f"--{wanted.unit} goes with neither --scale nor --region")
    if partial and wanted.is_less:
        raise click.UsageError("--partial goes with whole images, not with a part or some layers")
    batch = Batch(others, skip_existing, jobs)
    sort = others is not None
    sources = find_sources(inputs, XRC_FILES, report, recursive=recursive, sort=sort)
    targets = Targets(
        output,
        sources,
        lambda path, mark: _output_name(path, file_format, wanted.mark() + mark),
        recursive=recursive,
        overwrite=force,
    )
    report.results_to_stderr = targets.standard_output
    if targets.standard_output and file_format is None:
        raise click.UsageError("standard output has no suffix; say --format")

    def make(source: Source, target: Path | None, progress: Progress) -> Done:
        decoded = decode(source, wanted, limits, batch.threads_each(threads), progress)
        image = decoded.image
        chosen = file_format or _format_for(target, image)
        dicom: dict[str, object] = {}
        if chosen == "dicom":
            dataset = to_data_set(image, uid_policy=uid_policy)
            data = to_file(dataset)
            dicom["sop_instance_uid"] = str(dataset.file_meta.MediaStorageSOPInstanceUID)
        else:
            data = encode(image, chosen)
        frames, rows, columns = image.frames.shape
        values = {
            "format": chosen,
            "frames": frames,
            "rows": rows,
            "columns": columns,
            "bits_stored": image.bits_stored,
            "pixel_bytes": image.size_bytes,
            "lossy": bool(image.losses),
            **dicom,
            **decoded.values,
        }
        size = f"{columns} x {rows}" + (f" x {frames} frames" if frames > 1 else "")
        return Done(
            f"{size}, {image.bits_stored} bits{decoded.text}",
            values,
            data,
            decoded.mark,
            notes=tuple(f"warning: {warning}" for warning in decoded.warnings),
            warnings=(decoded.loss,) if decoded.loss else (),
        )

    read = "bytes_read" if wanted.is_less else "size_bytes"
    sizes = Sizes(read, "pixel_bytes", packing=False)
    return for_each(
        report, sources, make, targets=targets, batch=batch, sizes=sizes, check=check_input
    )


def _output_name(path: Path, file_format: str | None, mark: str) -> Path:
    """Return the name of an output beside its input; a part's has a mark.

    Raises:
        OptionError: the input's name does not give one.
    """
    if path.suffix.lower() != XRC_SUFFIX:
        raise OptionError(f"the name does not end in {XRC_SUFFIX}; name the output with -o")
    path = path.with_suffix("")
    stem, suffix = path.name, ""
    if path.suffix.lower() in IMAGE_SUFFIXES:
        stem, suffix = path.stem, path.suffix
    if file_format is not None:
        suffix = SUFFIXES[file_format]
    if mark and not suffix:
        raise OptionError(f"{path.name} has no suffix to tell the format; say --format")
    return path.with_name(stem + mark + suffix)


def _format_for(target: Path | None, image: XRay) -> str:
    """Return the format that the output's name asks for.

    Raises:
        OptionError: none that can be written.
    """
    from xraycodec.files import format_of_suffix

    assert target is not None  # standard output comes with --format
    suffix = target.suffix[1:]
    if image.dicom is not None and (not suffix or suffix.isdecimal()):
        return "dicom"
    try:
        return format_of_suffix(target)
    except OptionError as error:
        raise OptionError(f"{error}; or say --format") from error
