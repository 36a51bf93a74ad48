"""What a codec is: a frozen choice of settings that encodes, and a decoder found by its id."""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from xraycodec.container import NO_MODEL, Buffer, Container, Header
from xraycodec.errors import FormatError, OptionError
from xraycodec.image import Pixels, XRay

_GROUP_PIXELS = 1 << 23
"""Of frames that are decoded together where not all have to be."""

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
        payloads: of the tiles, in the order layer, frame, row of tiles, column of tiles.
        pixels: what decoding ``payloads`` gives, ``(frame, row, column)``.
    """

    header: Header
    parameters: bytes
    payloads: Sequence[bytes]
    pixels: Pixels


@dataclass(frozen=True)
class Part:
    """What to decode of every frame of a stream.

    Attributes:
        row, column: of the first pixel, in the image at its full size.
        rows, columns: size, in the image at its full size.
        level: 0 for the full size, 1 for half of it, 2 for a quarter, 3 for an eighth.
    """

    row: int
    column: int
    rows: int
    columns: int
    level: int = 0

    def scaled(self) -> tuple[slice, slice]:
        """Rows and columns of the image at the part's level."""
        up = (1 << self.level) - 1
        return (
            slice((self.row + up) >> self.level, (self.row + self.rows + up) >> self.level),
            slice(
                (self.column + up) >> self.level, (self.column + self.columns + up) >> self.level
            ),
        )


def whole(header: Header) -> Part:
    """All of an image."""
    return Part(0, 0, header.rows, header.columns)


def header_for(
    image: XRay,
    codec: str,
    *,
    tile: int,
    exact: bool,
    max_error: int | None,
    model: bytes = NO_MODEL,
    layers: int = 1,
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
        layers=layers,
    )


class Codec(ABC):
    """Settings of one compression; subclasses are frozen dataclasses."""

    codec_id: ClassVar[str]
    """Four characters that name the codec in a stream."""

    layers_refine: ClassVar[bool] = False
    """Whether the first layers of a stream alone give the whole image, coarser than all do."""

    frames_apart: ClassVar[bool] = True
    """Whether each frame of a stream decodes without the others."""

    def with_threads(self, threads: int) -> Self:
        """Return these settings with another number of threads; some codecs have just one.

        Raises:
            OptionError: a negative number.
        """
        check_threads(threads)
        return replace(self, threads=threads) if hasattr(self, "threads") else self  # type: ignore[type-var]

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

    @staticmethod
    def decode_prefix(
        header: Header,
        parameters: bytes,
        payloads: Sequence[Buffer],
        threads: int,
        progress: Progress = no_progress,
    ) -> Pixels:
        """Return the pixels, ``(frame, row, column)``, that the first layers alone give.

        Args:
            header: of the stream.
            parameters: of the stream.
            payloads: all of the first layers, as many of these as there are; at least one.
            threads: 0 for every core.
            progress: called with steps done and steps in all.

        Raises:
            OptionError: layers of this codec do not refine the image.
            FormatError: header, parameters or payloads are damaged.
            ModelError: the model pack that the stream names is not at hand.
        """
        raise no_prefix(header)

    @staticmethod
    def header_of(header: Header, layers: int) -> Header:
        """Return the header of a stream that had only the first layers of this one.

        It tells what their pixels promise, which may be less than all layers together do.

        Args:
            header: of the stream.
            layers: that there are, the first ones; layers that add nothing to the image until
                later ones follow are not counted in the result.
        """
        return replace(header, layers=layers)

    @staticmethod
    def payloads_of(header: Header, part: Part) -> list[int]:
        """Return the numbers of the payloads that a part needs, rising.

        Raises:
            OptionError: the codec decodes whole images only, or the image has no such part.
            CorruptError: a header that no stream of this codec has.
        """
        raise _whole_only(header)

    @staticmethod
    def decode_part(
        header: Header,
        parameters: bytes,
        payloads: Mapping[int, Buffer],
        part: Part,
        threads: int,
        progress: Progress = no_progress,
    ) -> Pixels:
        """Return the pixels of a part, ``(frame, row, column)``, at its level.

        Args:
            header: of the stream.
            parameters: of the stream.
            payloads: at least those that `payloads_of` names, by their numbers.
            part: of every frame.
            threads: 0 for every core.
            progress: called with steps done and steps in all.

        Raises:
            OptionError: the codec decodes whole images only, or the image has no such part.
            FormatError: header, parameters or payloads are damaged.
            ModelError: the model pack that the stream names is not at hand.
        """
        raise _whole_only(header)


def check_codec(given: Any) -> Codec:
    """Return ``given`` if it is a codec.

    Raises:
        OptionError: it is something else, such as a name or a class.
    """
    if not isinstance(given, Codec):
        named = given if isinstance(given, type | str) else type(given)
        raise OptionError(
            f"the codec is {getattr(named, '__name__', repr(named))}; allowed is an object such as"
            " xraycodec.Lattice()"
        )
    return given


def check_threads(threads: int) -> None:
    """Check a number of threads.

    Raises:
        OptionError: it is negative, or no integer.
    """
    try:
        negative = operator.index(threads) < 0
    except TypeError:
        raise OptionError(f"threads are {threads!r}; allowed is an integer") from None
    if negative:
        raise OptionError(f"{threads} threads; 0 uses every core")


def decode_in_groups(
    codec: type[Codec], container: Container, threads: int, progress: Progress = no_progress
) -> Iterator[Pixels]:
    """Decode a stream a few frames at a time, as many as keep every core at work.

    A codec that needs all frames together gives them together.

    Returns:
        Pixels ``(frame, row, column)`` of one group after the other.

    Raises:
        FormatError, ModelError: as `Codec.decode`.
    """
    header = container.header
    count = header.frames
    if codec.frames_apart:
        count = max(1, min(count, _GROUP_PIXELS // (header.rows * header.columns)))
    for first in range(0, header.frames, count):
        frames = range(first, min(first + count, header.frames))
        share = len(frames) / header.frames

        def report(done: int, total: int, first: int = first, share: float = share) -> None:
            # Groups have equal steps but for the last, which may be shorter.
            whole = round(total / share)
            progress(min(whole, round(first / header.frames * whole) + done), whole)

        try:
            yield codec.decode(container.of_frames(frames), threads, report)
        except FormatError as error:
            if count == header.frames:
                raise
            place = f"frames {frames.start} to {frames.stop - 1}"
            raise type(error)(f"{place}, counted from the first of these: {error}") from error


def no_prefix(header: Header) -> OptionError:
    """What to raise where the first layers alone do not give the whole image."""
    from xraycodec.codecs.registry import name_of  # which imports this module

    instead = (
        "its first layers are smaller images, which a scale asks for"
        if header.layers > 1
        else "it has one layer, needed whole"
    )
    return OptionError(
        f"codec {name_of(header.codec)!r} does not refine the image layer by layer; {instead}"
    )


def _whole_only(header: Header) -> OptionError:
    from xraycodec.codecs.registry import name_of  # which imports this module

    return OptionError(
        f"codec {name_of(header.codec)!r} decodes whole images only; lattice and wavelet"
        " have scales and regions"
    )
