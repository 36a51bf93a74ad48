"""What a codec is: a frozen choice of settings that encodes, and a decoder found by its id."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from xraycodec.container import NO_MODEL, Container, Header
from xraycodec.image import Pixels, XRay

Progress = Callable[[int, int], None]
"""Called with the steps done and the steps in all."""


def no_progress(done: int, total: int) -> None:
    """Report nothing."""


@dataclass(frozen=True, eq=False)
class Encoded:
    """What a codec hands to the container.

    Attributes:
        header: the image, the grid of tiles, and what the codec guarantees.
        parameters: the codec's own parameters, for the PARM chunk.
        tiles: payloads in the order frame, row of tiles, column of tiles.
        pixels: what decoding ``tiles`` gives, ``(frame, row, column)``.
    """

    header: Header
    parameters: bytes
    tiles: Sequence[bytes]
    pixels: Pixels


def header_for(
    image: XRay,
    codec: str,
    *,
    tile: int,
    exact: bool,
    max_error: int | None,
    model: bytes = NO_MODEL,
) -> Header:
    """Return the header of a stream that holds ``image``; see `Header` for the rest."""
    frames, rows, columns = image.frames.shape
    return Header(
        signed=image.signed,
        exact=exact,
        bits_stored=image.bits_stored,
        photometric_interpretation=image.photometric_interpretation,
        frames=frames,
        rows=rows,
        columns=columns,
        tile=tile,
        max_error=max_error,
        codec=codec,
        model=model,
    )


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
