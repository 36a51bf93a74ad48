"""``xrc info``."""

from __future__ import annotations

from typing import Any

import click

from xraycodec.cli import options
from xraycodec.cli.batch import Done
from xraycodec.cli.decoding import check_is_xrc
from xraycodec.cli.processing import for_each
from xraycodec.cli.report import Report, human_size
from xraycodec.cli.sources import XRC_FILES, Source, find_sources
from xraycodec.container import NO_MODEL, Inspection


@click.command()
@options.inputs
@options.recursive
@options.limits
@options.reporting
def info(
    inputs: tuple[str, ...], recursive: bool, as_json: bool, quiet: bool, verbose: bool
) -> int:
    """Show what .xrc files hold, without decoding them; no model is needed, but named if found.

    An INPUT is a file, or - for standard input. A damaged one is shown as far as it can be read,
    and ends in exit code 1. Damage that only decoding can find needs xrc verify.
    """
    from xraycodec.container import inspect

    limits = options.limits_asked_for()
    report = Report(as_json, quiet, verbose)
    sources = find_sources(inputs, XRC_FILES, report, recursive=recursive)

    def make(source: Source, *_: object) -> Done:
        data = source.read(limits)
        check_is_xrc(data)
        inspection = inspect(data, limits)
        values = describe(inspection)
        return Done(as_text(values), values, problem="; ".join(inspection.problems))

    return for_each(report, sources, make)


def describe(inspection: Inspection) -> dict[str, Any]:
    """Return the facts of an inspection as JSON can hold them."""
    from xraycodec.codecs.registry import name_of

    values: dict[str, Any] = {"size_bytes": inspection.size_bytes}
    header = inspection.header
    if header is not None:
        pixel_bytes = header.pixel_count * header.bits_stored / 8
        values |= {
            "codec": name_of(header.codec),
            "frames": header.frames,
            "rows": header.rows,
            "columns": header.columns,
            "bits_stored": header.bits_stored,
            "signed": header.signed,
            "photometric_interpretation": header.photometric_interpretation,
            "tile": header.tile,
            "tiles": header.tile_count,
            "exact": header.exact,
            "lossless": header.max_error == 0,
            "max_error": header.max_error,
            "model": header.model.hex() if header.model != NO_MODEL else None,
            "model_name": _model_name(header.model),
            "pixel_bytes": pixel_bytes,
            "ratio": round(pixel_bytes / inspection.size_bytes, 4),
            "rate_bpp": round(8 * inspection.size_bytes / header.pixel_count, 5),
        }
        if header.layers > 1:
            values |= {"layers": header.layers, "layers_intact": inspection.layers_intact}
        if header.codec == "RNNC" and inspection.parameters is not None:
            values |= _rnn_conv(inspection.parameters)
        if header.codec == "WAVE" and inspection.parameters is not None:
            values |= _wavelet(inspection.parameters, inspection.layer_bytes)
        if header.codec == "TODE":
            values |= {"iterations": header.layers}
    return values | {
        "payload_bytes": inspection.payload_bytes,
        "dicom_bytes": inspection.metadata_bytes,
        "tiles_intact": inspection.tiles_intact,
        "pixel_sha256": inspection.pixel_hash.hex() if inspection.pixel_hash else None,
        "chunks": [
            {"type": chunk.type, "offset": chunk.offset, "length": chunk.length}
            for chunk in inspection.chunks
        ],
        "problems": list(inspection.problems),
    }


def _model_name(digest: bytes) -> str | None:
    """Return what the model pack is called, if it is at hand."""
    from xraycodec.errors import ModelError
    from xraycodec.exact.pack import find_pack

    if digest == NO_MODEL:
        return None
    try:
        return find_pack(digest).name
    except ModelError:
        return None


def _rnn_conv(parameters: bytes) -> dict[str, Any]:
    from xraycodec.codecs.rnn_conv.parameters import Parameters
    from xraycodec.errors import FormatError

    try:
        beta = Parameters.from_bytes(parameters).beta
    except FormatError:
        return {}
    return {"beta": beta, "nominal_ratio": 256 / beta}


def _wavelet(parameters: bytes, layer_bytes: tuple[int, ...]) -> dict[str, Any]:
    """How it was quantised, what was taken off the image, and the parts above each other."""
    from xraycodec.codecs.wavelet.geometry import LAYERS
    from xraycodec.codecs.wavelet.parameters import STEP_BITS, Parameters
    from xraycodec.errors import FormatError

    try:
        read = Parameters.from_bytes(parameters)
    except FormatError:
        return {}
    facts: dict[str, Any] = {
        "step": read.step / (1 << STEP_BITS),
        "margins": read.margins is not None,
        "shutter_bytes": len(read.shutter.stream) if read.shutter else 0,
    }
    completion = read.completion
    if completion is None:
        return facts
    return facts | {
        "base_bytes": sum(layer_bytes[:LAYERS]),
        "completion_bytes": sum(layer_bytes[LAYERS:]),
        "completion_model": completion.model.hex(),
        "completion_model_name": _model_name(completion.model),
    }


def as_text(values: dict[str, Any]) -> str:
    """Return the facts as people read them."""
    if "codec" not in values:
        return f"{human_size(values['size_bytes'])}, header unreadable"
    frames = f" x {values['frames']} frames" if values["frames"] > 1 else ""
    guarantee = (
        "lossless"
        if values["lossless"]
        else "no error bound"
        if values["max_error"] is None
        else f"error at most {values['max_error']}"
    )
    nominal = f" (nominal {values['nominal_ratio']:g})" if "nominal_ratio" in values else ""
    tiles = f"{values['tiles']} tile{'s' if values['tiles'] > 1 else ''}"
    layers = ""
    if "iterations" in values:
        layers = f", {values['iterations']} iteration{'s' if values['iterations'] > 1 else ''}"
    elif "layers" in values:
        layers = f", {values['layers']} layers"
    if "layers" in values and values["layers_intact"] < values["layers"]:
        layers += f" ({values['layers_intact']} intact)"
    name = f"{values['model_name']}, " if values["model_name"] else ""
    lines = [
        f"{values['columns']} x {values['rows']}{frames}, {values['bits_stored']} bits"
        f"{' signed' if values['signed'] else ''}, {values['photometric_interpretation']}",
        f"  codec    {values['codec']}, {guarantee}, {tiles} of {values['tile'] or 'a frame'}"
        f"{layers}",
        f"  size     {human_size(values['size_bytes'])} of {human_size(values['pixel_bytes'])},"
        f" {values['ratio']:.2f}:1{nominal}, {values['rate_bpp']:.3f} bpp",
        *_parts(values),
        f"  DICOM    {human_size(values['dicom_bytes']) if values['dicom_bytes'] else 'none'}",
        f"  model    {name}{values['model'] or 'none'}",
        f"  pixels   SHA-256 {values['pixel_sha256'] or 'unreadable'}",
    ]
    return "\n".join(lines)


def _parts(values: dict[str, Any]) -> list[str]:
    """What a wavelet file is made of: a line, and one for base and completion if it has both."""
    if "step" not in values:
        return []
    lines = [
        f"  wavelet  step {values['step']:.4g}"
        + (", margins" if values["margins"] else "")
        + (f", shutter of {values['shutter_bytes']} bytes" if values["shutter_bytes"] else "")
    ]
    if "base_bytes" not in values:
        return lines
    base, completion = values["base_bytes"], values["completion_bytes"]
    ratio = f" ({values['pixel_bytes'] / base:.2f}:1)" if base else ""
    model = values["completion_model_name"] or values["completion_model"]
    return [
        *lines,
        f"  parts    base {human_size(base)}{ratio}, completion {human_size(completion)}, {model}",
    ]
