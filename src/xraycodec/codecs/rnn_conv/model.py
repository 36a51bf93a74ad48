"""A trained RNN-Conv model: both networks, dequantiser and frequency tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec.entropy import FrequencyTables
from xraycodec.errors import ModelError
from xraycodec.exact.pack import (
    SEARCH_PATH,
    SUFFIX,
    ModelPack,
    find_pack,
    named_pack,
    pack_folders,
)
from xraycodec.exact.session import Network

BLOCK = 16
MAX_BETA = 128
CODE_LIMIT = 127
CODEC_ID = "RNNC"
CONFIGURATIONS = ("compact", "paper")
"""Widths of the networks: the package's own, and the paper's 62 million parameters."""

Codes = npt.NDArray[np.int8]
Latents = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Model:
    """A pack made ready to run.

    Attributes:
        digest: names the pack in streams.
        segment: side in pixels of the segments that it was trained on.
        beta: channels of the bottleneck, most important first.
        dequantiser: latent value of each code, ``(channel, code + 127)``, rising.
        tables: one frequency table per channel.
        remainder: channel that codes what the code of channel 0 leaves of it, if there is one;
            synthesis adds the two up.
    """

    digest: bytes
    segment: int
    beta: int
    analysis: Network
    synthesis: Network
    dequantiser: Latents
    tables: FrequencyTables
    remainder: int | None = None

    def quantise(self, latents: Latents) -> Codes:
        """Nearest code of each latent; ``(channel, P, Q)`` in and out."""
        codes = np.empty(latents.shape, np.int8)
        for channel, latent in enumerate(latents):
            levels = self.dequantiser[channel]
            values = latent
            if channel == self.remainder:
                values = latents[0] - self.dequantiser[0][codes[0].astype(np.intp) + CODE_LIMIT]
            halfway = (levels[1:] + levels[:-1]) / 2
            codes[channel] = np.searchsorted(halfway, values) - CODE_LIMIT
        return codes

    def dequantise(self, codes: Codes) -> Latents:
        """Latents of ``(channel, P, Q)`` codes; channels that were not kept come as zero."""
        latents = np.zeros((self.beta, *codes.shape[1:]), np.float32)
        for channel, values in enumerate(codes):
            latents[channel] = self.dequantiser[channel][values.astype(np.intp) + CODE_LIMIT]
        return latents


@lru_cache(maxsize=4)
def _load(digest: bytes, threads: int) -> Model:
    pack = find_pack(digest)
    if pack.codec != CODEC_ID:
        raise ModelError(f"model pack {pack.name} serves codec {pack.codec}, not {CODEC_ID}")
    try:
        properties: dict[str, Any] = dict(pack.properties)
        segment, block, beta = (int(properties[key]) for key in ("segment", "block", "beta"))
        remainder = properties.get("remainder")
        dequantiser = np.frombuffer(pack.members["dequantiser.f32"], "<f4").astype(np.float32)
        dequantiser = dequantiser.reshape(beta, 2 * CODE_LIMIT + 1)
        analysis, synthesis = pack.members["analysis.onnx"], pack.members["synthesis.onnx"]
        tables = FrequencyTables.from_bytes(pack.members["frequencies.bin"])
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise ModelError(f"model pack {pack.name} is incomplete: {error}") from error
    ordered = np.isfinite(dequantiser).all() and (np.diff(dequantiser) > 0).all()
    if block != BLOCK or not ordered:
        raise ModelError(f"model pack {pack.name} has another block size or unordered codes")
    if not 1 <= beta <= MAX_BETA or len(tables) != beta:
        raise ModelError(
            f"model pack {pack.name} has {beta} channels and {len(tables)} frequency tables;"
            f" allowed are 1 to {MAX_BETA} channels with a table each"
        )
    if remainder is not None and (type(remainder) is not int or not 1 <= remainder < beta):
        raise ModelError(
            f"model pack {pack.name} has its remainder in channel {remainder!r}; allowed are 1 to"
            f" {beta - 1}"
        )
    networks = Network(analysis, threads), Network(synthesis, threads)
    _check_shapes(pack.name, beta, *networks)
    return Model(digest, segment, beta, *networks, dequantiser, tables, remainder)


def _check_shapes(name: str, beta: int, analysis: Network, synthesis: Network) -> None:
    # One block through each: a network of other widths must not fail in the midst of an image.
    latents = analysis(np.zeros((1, 1, BLOCK, BLOCK), np.float32))
    pixels = synthesis(np.zeros((1, beta, 1, 1), np.float32))
    for found, due in ((latents, (1, beta, 1, 1)), (pixels, (1, 1, BLOCK, BLOCK))):
        if found.shape != due:
            raise ModelError(f"a network of model pack {name} gives {found.shape}, not {due}")


def model_for(digest: bytes, threads: int = 0) -> Model:
    """Return the model that a stream names, loaded once per thread count.

    Raises:
        ModelError: its pack is not at hand or does not fit.
    """
    return _load(digest, threads)


def pack_for_segment(segment: int, configuration: str = "compact") -> ModelPack:
    """Return the pack of a configuration that was trained on ``segment`` pixels.

    Raises:
        ModelError: it is not at hand, or damaged.
    """
    name = f"rnn-conv-{configuration}-{segment}"
    try:
        return named_pack(name)
    except ModelError:
        folders = pack_folders()
        found = {path.stem for folder in folders for path in folder.glob(f"rnn-conv-*{SUFFIX}")}
        if name in found:
            raise
        raise ModelError(
            f"no model pack {name}{SUFFIX} in {', '.join(map(str, folders))}; set {SEARCH_PATH} to"
            f" the folder that holds it; at hand: {', '.join(sorted(found)) or 'none'}"
        ) from None
