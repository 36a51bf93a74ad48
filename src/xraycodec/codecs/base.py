"""What a codec is: a frozen choice of settings that encodes, and a decoder found by its id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xraycodec.container import Container
from xraycodec.image import Pixels, XRay

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a codec hands to the container.

    Attributes:
        tiles: payloads in the order frame, row of tiles, column of tiles.
        parameters: the codec's own parameters, for the PARM chunk.
        pixels: what decoding ``tiles`` gives, ``(frame, row, column)``.
        tile: side of a tile in pixels, 0 if a frame is one tile.
        exact: the decoder's pixels are specified to the bit on every machine.
        max_error: bound on ``abs(source - pixels)`` that holds by construction, or ``None``.
        model: digest of the model pack, zeros without one.
    """

    tiles: Sequence[bytes]
    parameters: bytes
    pixels: Pixels
    tile: int
    exact: bool
    max_error: int | None
    model: bytes


class Codec(ABC):
    """Settings of one compression; subclasses are frozen dataclasses."""

    codec_id: ClassVar[str]
    """Four characters that name the codec in a stream."""

    @abstractmethod
    def encode(self, image: XRay, progress: Progress = no_progress) -> Encoded:
        """Compress every frame of ``image``."""

    @staticmethod
    @abstractmethod
    def decode(container: Container, threads: int, progress: Progress = no_progress) -> Pixels:
        """Return the pixels, ``(frame, row, column)``, of a parsed container.

        Raises:
            FormatError: parameters or payload are damaged.
            ModelError: the model pack that the stream names is not at hand.
        """
