"""A trained RNN-Conv model: both networks, dequantiser and frequency tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from xraycodec.entropy import FrequencyTables
from xraycodec.errors import ModelError
from xraycodec.exact.float_shapes import Shape
from xraycodec.exact.pack import (
    SUFFIX,
    ModelPack,
    find_pack,
    named_pack,
    pack_folders,
)
from xraycodec.exact.session import Network

BLOCK = 16
MAX_BETA = 128
MAX_SEGMENT = 1 << 16
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
    pack.check_codec(CODEC_ID)
    pack.integer("block", BLOCK, BLOCK)
    segment, beta = pack.integer("segment", 1, MAX_SEGMENT), pack.integer("beta", 1, MAX_BETA)
    remainder = pack.integer("remainder", 1, beta - 1) if "remainder" in pack.properties else None
    try:
        dequantiser = np.frombuffer(pack.member("dequantiser.f32"), "<f4").astype(np.float32)
        dequantiser = dequantiser.reshape(beta, 2 * CODE_LIMIT + 1)
    except ValueError as error:
        raise ModelError(f"'dequantiser.f32' of model pack {pack.name!r}: {error}") from error
    tables = FrequencyTables.from_bytes(pack.member("frequencies.bin"))
    ordered = np.isfinite(dequantiser).all() and (np.diff(dequantiser) > 0).all()
    if not ordered:
        raise ModelError(f"model pack {pack.name!r} has codes whose latents do not rise")
    if len(tables) != beta:
        raise ModelError(
            f"model pack {pack.name!r} has {beta} channels and {len(tables)} frequency tables"
        )
    image, latents = Shape(1, BLOCK), Shape(beta, 1)
    analysis = _network(pack, "analysis.onnx", image, latents, threads)
    synthesis = _network(pack, "synthesis.onnx", latents, image, threads)
    return Model(digest, segment, beta, analysis, synthesis, dequantiser, tables, remainder)


def _network(pack: ModelPack, member: str, taken: Shape, given: Shape, threads: int) -> Network:
    try:
        return Network(pack.member(member), taken, given, threads)
    except ModelError as error:
        raise ModelError(f"{member!r} of model pack {pack.name!r}: {error}") from error


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
    except ModelError as error:
        found = (path.stem for folder in pack_folders() for path in folder.glob(f"*{SUFFIX}"))
        at_hand = sorted({stem for stem in found if stem.startswith("rnn-conv-")})
        if name in at_hand:
            raise
        raise ModelError(f"{error}; at hand: {', '.join(at_hand) or 'none'}") from None
