from __future__ import annotations

import numpy as np
import pytest

from xraycodec.entropy.mixture_kernels import INITIAL, pop
from xraycodec.entropy.mixture_steps import PROBABILITY_BITS
from xraycodec.entropy.mixture_stream import open_stream, stream_of
from xraycodec.errors import CorruptError

HALF = 1 << (PROBABILITY_BITS - 1)


def intervals(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Halves of all slots, the lower and the upper one at random: a bit each."""
    upper = np.random.default_rng(3).integers(0, 2, count).astype(np.uint32)
    return upper * np.uint32(HALF), np.full(count, HALF, np.uint32)


@pytest.mark.parametrize("count", [0, 1, 31, 1000])
def test_a_stream_gives_its_intervals_and_is_spent(count: int) -> None:
    starts, sizes = intervals(count)
    data = stream_of(starts, sizes)
    assert len(data) == 8 + 4 * (count // 32)
    stream = open_stream(data, "here")
    for start, size in zip(starts, sizes, strict=True):
        assert not stream.spent
        slot = int(stream.state) & ((1 << PROBABILITY_BITS) - 1)
        assert start <= slot < start + size
        state, stream.position = pop.py_func(
            stream.words, stream.state, stream.position, np.uint64(slot - start), size
        )
        stream.state = np.uint64(state)
    assert stream.spent


def test_a_stream_with_words_left_is_not_spent() -> None:
    data = stream_of(*intervals(0))
    assert not open_stream(data + bytes(4), "here").spent


@pytest.mark.parametrize("size", [0, 4, 7, 9, 10])
def test_lengths_that_no_stream_has(size: int) -> None:
    with pytest.raises(CorruptError, match=f"here has a stream of {size} bytes; allowed are 8, 12"):
        open_stream(bytes(size), "here")


def test_a_state_that_no_stream_begins_with() -> None:
    with pytest.raises(CorruptError, match="here begins with state 4294967295, under 2"):
        open_stream((INITIAL - 1).to_bytes(8, "little"), "here")
