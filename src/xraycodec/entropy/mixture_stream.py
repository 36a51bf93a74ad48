"""Streams of the mixture coder as bytes: spec/mixture.md, section 6.

A stream is a state of 64 bits and then words of 32, all little-endian.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from xraycodec.errors import CorruptError

WORD = np.dtype("<u4")


@dataclass(eq=False)
class Stream:
    """A stream and how far it is read.

    Attributes:
        words: of 32 bits, the two of the first state among them.
        state: of the decoder.
        position: of the next word; beyond the last one if they ran out.
    """

    words: npt.NDArray[np.uint32]
    state: np.uint64
    position: int

    @property
    def spent(self) -> bool:
        """Whether it has been read to its end: no word is left, the state is an encoder's first."""
        from xraycodec.entropy.mixture_kernels import INITIAL  # imports numba

        return self.position == len(self.words) and int(self.state) == INITIAL


def open_stream(data: bytes | memoryview, place: str) -> Stream:
    """Begin to read a stream; ``place`` names it in messages.

    Raises:
        CorruptError: no stream has this length or begins so.
    """
    from xraycodec.entropy.mixture_kernels import INITIAL, STATE_WORDS

    if len(data) < STATE_WORDS * WORD.itemsize or len(data) % WORD.itemsize:
        raise CorruptError(f"{place} has a stream of {len(data)} bytes; allowed are 8, 12, 16 ...")
    words = np.frombuffer(data, WORD).astype(np.uint32)
    state = int(words[0]) | int(words[1]) << 32
    if state < INITIAL:
        raise CorruptError(f"{place} begins with state {state}, under 2^32")
    return Stream(words, np.uint64(state), STATE_WORDS)


def stream_of(starts: npt.NDArray[np.uint32], sizes: npt.NDArray[np.uint32]) -> bytes:
    """Return the stream of intervals that are given in the order of decoding."""
    from xraycodec.entropy.mixture_kernels import STATE_WORDS, push_all

    words = np.empty(STATE_WORDS + starts.size, np.uint32)
    first = push_all(starts, sizes, words)
    return words[first:].astype(WORD, copy=False).tobytes()
