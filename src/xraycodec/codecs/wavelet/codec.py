"""The ``wavelet`` codec: a learned context model and a learned synthesis around the 9/7 wavelet.

The encoder is here; `decoding` is the way back.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from xraycodec.codecs.base import (
    Codec,
    Encoded,
    Part,
    Progress,
    check_threads,
    header_for,
    no_progress,
    whole,
)
from xraycodec.codecs.lattice.codec import PROFILES, Profile
from xraycodec.codecs.lattice.threads import run_jobs, split_threads
from xraycodec.codecs.wavelet import completion, completion_encoding
from xraycodec.codecs.wavelet.content import Content
from xraycodec.codecs.wavelet.decoding import decode_part, payloads_of
from xraycodec.codecs.wavelet.encoder import LEAST, Encoder, Thrift
from xraycodec.codecs.wavelet.geometry import FRACTION, LAYERS, levels
from xraycodec.codecs.wavelet.model import CODEC_ID, Model, model_by_name
from xraycodec.codecs.wavelet.parameters import STEP_BITS, Parameters
from xraycodec.codecs.wavelet.target import (
    PRESETS,
    PSNR_TOLERANCE,
    SIZE_TOLERANCE,
    bounds_of,
    no_step,
    search,
    step_of_quality,
)
from xraycodec.codecs.wavelet.walk import walk
from xraycodec.container import Buffer, Container, Header, build
from xraycodec.errors import OptionError
from xraycodec.image import Pixels, XRay

MODEL = "wavelet"
_COMPLETION_MODELS: dict[Profile, str] = {"best": "lattice-guided", "fast": "lattice-fast"}
DEFAULT_QUALITY = 50.0
MOST_EFFORT = 1
_PRICE = 0.12
"""Squared steps that a bit is worth: the slope of rate and distortion (spec/wavelet.md, 8)."""
_JOINED_BYTES = 1 << 14
"""Files up to about this size have one layer; the container makes chunks of as much."""
_PLAIN_ROUNDING = 102
"""Of effort 0, in 2^-8 steps: a dead zone instead of a choice by cost."""
_PSNR_WITHOUT_ERROR = 200.0
"""In dB: above all that can be asked for, yet finite, for a search between it and others."""


@dataclass(frozen=True)
class Wavelet(Codec):
    """Lossy compression of whole frames at any rate, from one model.

    ::

        pixels ─▶ steps ─▶ 9/7 wavelet ─▶ walk (choose, code, correct) ─▶ four layers of payloads

    At most one of ``quality``, ``psnr``, ``ratio``, ``size``, ``step`` and ``preset`` says how
    much is lost; without, it is a quality of 50. With ``max_error`` they say so of the base, on
    top of which the file then has a completion.

    Attributes:
        quality: 0 to 100, for the step of quantisation, relative to the image's range of values.
        psnr: at least so many dB over all frames, by the peak of the bits stored.
        ratio: at least so many bits of pixels, at the bits stored, to one of the file.
        size: of the file in bytes, at most.
        step: of quantisation, in grey levels.
        preset: a ratio that a guideline names, one of `PRESETS`.
        effort: 0 quantises by a dead zone, 1 chooses coefficients by rate and distortion.
        max_error: largest difference of any pixel from the original once the completion is
            decoded, in grey levels; 0 is lossless, ``None`` leaves the base without a completion.
        profile: which model codes the completion: best, with the base for a guide, or fast.
        completion_model: another lattice model pack for it, by its name or by the path of its
            ``.xrcpack`` file.
        threads: to compute with, 0 for every core; the same bytes for any number.
        model: the model pack, by its name or by the path of its ``.xrcpack`` file.
    """

    codec_id: ClassVar[str] = CODEC_ID
    layers_refine: ClassVar[bool] = True

    quality: float | None = None
    psnr: float | None = None
    ratio: float | None = None
    size: int | None = None
    step: float | None = None
    preset: str | None = None
    effort: int = 1
    max_error: int | None = None
    profile: Profile = "best"
    completion_model: str | Path | None = None
    threads: int = 0
    model: str | Path = MODEL

    def __post_init__(self) -> None:
        asked = {
            "quality": (self.quality, 0.0, 100.0),
            "psnr": (self.psnr, 1.0, 150.0),
            "ratio": (self.ratio, 1.0, 1e6),
            "size": (self.size, 1, 1 << 40),
            "step": (self.step, 1 / (1 << STEP_BITS), 65536.0),
        }
        given = [name for name, (value, _, _) in asked.items() if value is not None]
        given += ["preset"] if self.preset is not None else []
        if len(given) > 1:
            raise OptionError(f"{' and '.join(given)} were given; wavelet takes one of them")
        for name, (value, low, high) in asked.items():
            if value is not None and not low <= value <= high:  # NaN is not, either
                raise OptionError(f"{name} {value:g}; wavelet takes {low:g} to {high:g}")
        if self.preset is not None and self.preset not in PRESETS:
            raise OptionError(f"preset {self.preset!r}; wavelet has {', '.join(PRESETS)}")
        if not 0 <= self.effort <= MOST_EFFORT:
            raise OptionError(f"effort {self.effort}; wavelet takes 0 to {MOST_EFFORT}")
        if self.max_error is not None and not 0 <= self.max_error < 1 << 16:
            raise OptionError(f"maximum error {self.max_error}; wavelet takes 0 to 65535")
        if self.profile not in PROFILES:
            raise OptionError(f"profile {self.profile!r}; wavelet has {', '.join(PROFILES)}")
        if self.profile != PROFILES[0] and self.max_error is None:
            raise OptionError(
                f"profile {self.profile} is of a completion; it needs a maximum error"
            )
        if self.completion_model is not None and self.max_error is None:
            raise OptionError(
                f"model {self.completion_model} is of a completion; it needs a maximum error"
            )
        if self.completion_model is not None and self.profile != PROFILES[0]:
            raise OptionError(
                f"profile {self.profile} and model {self.completion_model} were given for the"
                " completion; a profile is a model"
            )
        check_threads(self.threads)

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        if self.max_error is None:
            return self.encode_base(image, progress)
        later = completion_encoding.tile_count(image)
        base = self.encode_base(image, lambda done, total: progress(done, total + later))
        pack = self.completion_model or _COMPLETION_MODELS[self.profile]
        return completion_encoding.complete(
            image, base, self.max_error, pack, self.threads, progress
        )

    def encode_base(self, image: XRay, progress: Progress) -> Encoded:
        """Encode the image as it is without a completion, or below one."""
        content = Content.of(image.frames)
        lowest, highest = content.lowest, content.highest
        bounds = bounds_of(lowest, highest)
        first = step_of_quality(
            DEFAULT_QUALITY if self.quality is None else self.quality, lowest, highest
        )
        if self.step is not None:
            first = round(self.step * (1 << STEP_BITS))
            if first < bounds[0]:
                raise OptionError(
                    f"step {self.step:g}; values from {lowest} to {highest} take"
                    f" {bounds[0] / (1 << STEP_BITS):g} or more"
                )

        def at(step: int, progress: Progress = no_progress) -> Encoded:
            return self._encode(image, content, step, progress)

        if self.psnr is not None:
            return _at_psnr(at, image, self.psnr, first, bounds)
        ratio = PRESETS[self.preset] if self.preset is not None else self.ratio
        size = max(1, math.floor(image.size_bytes / ratio)) if ratio is not None else self.size
        if size is not None:
            return _at_size(at, image, size, first, bounds)
        return at(first, progress)

    def _encode(
        self,
        image: XRay,
        content: Content,
        step: int,
        progress: Progress,
    ) -> Encoded:
        frames, margins = content.at(step)
        shutter = content.shutter
        parameters = Parameters(
            step,
            content.lowest,
            content.highest,
            margins=margins,
            shutter=shutter.coded if shutter else None,
        )
        pool_threads, inner_threads = split_threads(self.threads, len(frames))
        model = model_by_name(self.model, inner_threads)
        decoded = np.empty_like(image.frames)

        def work(number: int) -> Encoder:
            coder, pixels = self._frame(frames[number], parameters, model, inner_threads)
            if shutter:
                shutter.put_back(pixels)
            decoded[number] = pixels
            return coder

        coders = run_jobs(work, range(len(frames)), pool_threads, progress)
        payloads = self._payloads(coders)
        parameters = replace(parameters, blocks=any(coder.blocks for coder in coders))
        header = header_for(
            image,
            self.codec_id,
            tile=0,
            exact=True,
            max_error=None,
            model=model.digest,
            layers=len(payloads) // len(frames),
        )
        return Encoded(header, parameters.to_bytes(), payloads, decoded)

    def _frame(
        self, frame: npt.NDArray[np.integer], parameters: Parameters, model: Model, threads: int
    ) -> tuple[Encoder, npt.NDArray[np.int32]]:
        """What was coded of a frame, and what it decodes to."""
        from xraycodec.codecs.wavelet.transform import analyse

        shapes = levels(*frame.shape)
        bands, low = analyse(parameters.to_steps(frame))
        thrift = Thrift(_PLAIN_ROUNDING, 0, (1 << FRACTION) - _PLAIN_ROUNDING - 1)
        if self.effort:
            thrift = Thrift(1 << 7, round(_PRICE * (1 << 16)), LEAST)
        coder = Encoder(bands, low, shapes, model, thrift, threads)
        found = walk(shapes[0], model, coder)
        return coder, parameters.to_pixels(found)

    def _payloads(self, coders: Sequence[Encoder]) -> list[bytes]:
        """Payloads of all frames in coding order: in four layers, or in one if that is shorter.

        A reader takes a file as small as that whole anyway, so that layers would cost and not pay;
        unless there is to be something on top of them.
        """
        coded = [coder.payloads() for coder in coders]
        size = sum(len(payload) for frame in coded for payload in frame)
        alone = self.max_error is None and all(coder.joinable for coder in coders)
        if alone and size < _JOINED_BYTES:
            return [coder.joined() for coder in coders]
        return [frame[layer] for layer in range(LAYERS) for frame in coded]

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        header = container.header
        payloads = dict(enumerate(container.payloads))
        return decode_part(header, container.parameters, payloads, whole(header), threads, progress)

    @staticmethod
    def decode_prefix(
        header: Header,
        parameters: bytes,
        payloads: Sequence[Buffer],
        threads: int,
        progress: Progress = no_progress,
    ) -> Pixels:
        return decode_part(
            header, parameters, dict(enumerate(payloads)), whole(header), threads, progress,
            layers=len(payloads) // header.tile_count,
        )  # fmt: skip

    @staticmethod
    def header_of(header: Header, layers: int) -> Header:
        if completion.is_layered(header) and layers < header.layers:
            header = completion.base_of(header)
        return replace(header, layers=min(layers, header.layers))

    @staticmethod
    def payloads_of(header: Header, part: Part) -> list[int]:
        return payloads_of(header, part)

    @staticmethod
    def decode_part(
        header: Header,
        parameters: bytes,
        payloads: Mapping[int, Buffer],
        part: Part,
        threads: int,
        progress: Progress = no_progress,
    ) -> Pixels:
        return decode_part(header, parameters, payloads, part, threads, progress)


def _at_size(
    at: Callable[[int], Encoded], image: XRay, size: int, first: int, bounds: tuple[int, int]
) -> Encoded:
    """The best encoding whose file is not above a size; ``at`` encodes with a step."""

    def attempt(step: int) -> tuple[Encoded, float]:
        encoded = at(step)
        return encoded, math.log2(_file_size(image, encoded) / size)

    least = math.log2(1 - SIZE_TOLERANCE)
    found = search(attempt, first, bounds, lambda x: least <= x <= 0, from_below=True)
    if found is None:
        raise no_step(f"a file of {size} bytes or less")
    return found


def _at_psnr(
    at: Callable[[int], Encoded], image: XRay, psnr: float, first: int, bounds: tuple[int, int]
) -> Encoded:
    """The smallest encoding whose PSNR is not below a bound; ``at`` encodes with a step."""
    octaves_per_db = math.log2(10) / 20

    def attempt(step: int) -> tuple[Encoded, float]:
        encoded = at(step)
        return encoded, (_psnr(image, encoded.pixels) - psnr) * octaves_per_db

    most = PSNR_TOLERANCE * octaves_per_db
    found = search(attempt, first, bounds, lambda x: 0 <= x <= most, from_below=False)
    if found is None:
        raise no_step(f"a PSNR of {psnr:g} dB")
    return found


def _file_size(image: XRay, encoded: Encoded) -> int:
    """Bytes of the whole file, its DICOM data set included."""
    data = build(
        encoded.header,
        encoded.parameters,
        encoded.payloads,
        bytes(32),
        image.dicom,
        dicom_file=image.dicom_file,
        losses=image.losses,
        spare_bits=image.spare_bits,
    )
    return len(data)


def _psnr(image: XRay, pixels: Pixels) -> float:
    """In dB, over all frames, by the peak of the bits stored."""
    total = 0.0
    for found, frame in zip(pixels, image.frames, strict=True):
        difference = found.astype(np.float64) - frame
        total += float(np.vdot(difference, difference))
    if not total:
        return _PSNR_WITHOUT_ERROR
    return 10 * math.log10(image.peak**2 * image.frames.size / total)
