"""The lattice codec: lossless and near-lossless, exact on every machine (``spec/lattice.md``)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

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
from xraycodec.codecs.lattice.decoding import (
    MAX_TILE,
    MIN_TILE,
    TILE_STEP,
    decode_part,
    payloads_of,
)
from xraycodec.codecs.lattice.fitting import fit_image
from xraycodec.codecs.lattice.geometry import LAYERS
from xraycodec.codecs.lattice.levels import LevelMap, map_levels
from xraycodec.codecs.lattice.model import CODEC_ID, Coefficients, model_by_name
from xraycodec.codecs.lattice.parameters import Parameters
from xraycodec.codecs.lattice.threads import run_jobs, split_threads
from xraycodec.codecs.lattice.tiles import encode_tile
from xraycodec.codecs.lattice.walk import Setting
from xraycodec.container import Buffer, Container, Header
from xraycodec.errors import OptionError
from xraycodec.image import Pixels, XRay
from xraycodec.tiling import Window, windows

Profile = Literal["best", "fast"]
PROFILES: tuple[Profile, ...] = ("best", "fast")
DEFAULT_TILE = 512

LEAST_FITTED_PIXELS = 1 << 15
"""Of a frame: under so many, an image's own coefficients cost more than they gain."""
FITTED_TILES = 16
"""Most tiles that coefficients are fitted to."""


@dataclass(frozen=True)
class Lattice(Codec):
    """Settings of one compression.

    ::

        pixels ─▶ levels ─▶ tiles ─▶ walk ─▶ payloads, four layers to a tile
                    │                 │
                    └ coefficients ───┘

    Attributes:
        max_error: largest difference of any pixel from the original, in grey levels; 0 is
            lossless.
        profile: which of the package's models: best gives the smallest files, fast takes about
            half of the time.
        tile: side of a tile in pixels, a multiple of 8 from 64 to 4096.
        threads: to compute with, 0 for every core; the same bytes for any number.
        model: another model pack, by its name or by the path of its ``.xrcpack`` file.
    """

    codec_id: ClassVar[str] = CODEC_ID

    max_error: int = 0
    profile: Profile = "best"
    tile: int = DEFAULT_TILE
    threads: int = 0
    model: str | Path | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.max_error < 1 << 16:
            raise OptionError(f"maximum error {self.max_error}; lattice takes 0 to 65535")
        if self.profile not in PROFILES:
            raise OptionError(f"profile {self.profile!r}; lattice has {', '.join(PROFILES)}")
        if not MIN_TILE <= self.tile <= MAX_TILE or self.tile % TILE_STEP:
            raise OptionError(
                f"tile {self.tile}; lattice takes multiples of {TILE_STEP} from {MIN_TILE} to"
                f" {MAX_TILE}"
            )
        if self.model is not None and self.profile != PROFILES[0]:
            raise OptionError(
                f"profile {self.profile} and model {self.model} were given; a profile is a model"
            )
        check_threads(self.threads)

    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        frames = image.frames
        rows, columns = frames.shape[1:]
        # The bound that is asked for may be wider than any difference can be.
        max_error = min(self.max_error, (1 << image.bits_stored) - 1)
        mapped = map_levels(frames, lossless=max_error == 0)
        step = 2 * max_error + 1
        places = list(windows(rows, columns, self.tile, 0))
        pool_threads, network_threads = split_threads(self.threads, len(frames) * len(places))
        model = model_by_name(self.model or f"lattice-{self.profile}", network_threads)
        coefficients = None
        if mapped.peak and rows * columns >= LEAST_FITTED_PIXELS:
            coefficients = _fit(frames, places, mapped, step, model.coefficients)
        setting = Setting(model, coefficients or model.coefficients, step, mapped.peak)
        decoded = frames if max_error == 0 else np.empty_like(frames)
        jobs = [(number, window) for number in range(len(frames)) for window in places]

        def work(job: tuple[int, Window]) -> list[bytes]:
            number, window = job
            tile = mapped.to_levels(frames[number][window.inner])
            payloads, found = encode_tile(tile, setting)
            if max_error:  # else they are those that were given
                decoded[number][window.inner] = mapped.to_pixels(found)
            return payloads

        tiles = run_jobs(work, jobs, pool_threads, progress)
        header = header_for(
            image,
            self.codec_id,
            tile=self.tile,
            exact=True,
            max_error=max_error,
            model=model.digest,
            layers=LAYERS,
        )
        parameters = Parameters(mapped.lowest, mapped.peak, mapped.values, coefficients).to_bytes()
        payloads = [tile[layer] for layer in range(LAYERS) for tile in tiles]
        return Encoded(header, parameters, payloads, decoded)

    @staticmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        return decode_part(
            container.header,
            container.parameters,
            dict(enumerate(container.payloads)),
            whole(container.header),
            threads,
            progress,
        )

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


def _fit(
    frames: Pixels,
    places: Sequence[Window],
    mapped: LevelMap,
    step: int,
    prior: Coefficients,
) -> Coefficients:
    """Fit the linear predictions to tiles spread evenly over all frames."""
    count = len(frames) * len(places)
    chosen = range(0, count, -(-count // FITTED_TILES))
    tiles = [
        mapped.to_levels(frames[number // len(places)][places[number % len(places)].inner])
        for number in chosen
    ]
    return fit_image(tiles, step, prior)
