"""Counts to frequencies without a float: spec/entropy.md, section 6."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

_MAX_SUM = 1 << 47
"""Counts add up to less, so that 2^16 times a count is an int64."""


def normalise(counts: npt.NDArray[np.integer[Any]], total: int) -> npt.NDArray[np.int64]:
    """Scale one table's counts ``(entry,)`` to frequencies of at least 1 that add up to `total`.

    Entries whose share is below 1 get 1; the others divide what is left in proportion to their
    counts, by largest remainder, ties to the lower index. Counts that are all 0 count as all 1.

    Raises:
        ValueError: as `FrequencyTables.from_counts` says.
    """
    _check(counts, total)
    shares = counts.astype(np.int64)
    if not shares.any():
        shares = np.ones_like(shares)

    # An entry raised to 1 takes more than its share, which shrinks the others': look again.
    # The largest count always stays, since at least one slot is left for each entry that does.
    sharing = np.ones(shares.size, bool)
    while True:
        slots = total - int(np.count_nonzero(~sharing))
        seen = int(shares[sharing].sum())
        below = sharing & (shares * slots < seen)
        if not below.any():
            break
        sharing &= ~below

    frequencies = np.ones(shares.size, np.int64)
    quotients, remainders = np.divmod(shares[sharing] * slots, seen)
    largest_first = np.argsort(-remainders, kind="stable")
    quotients[largest_first[: slots - int(quotients.sum())]] += 1
    frequencies[sharing] = quotients
    return frequencies


def _check(counts: npt.NDArray[np.integer[Any]], total: int) -> None:
    if counts.ndim != 1 or counts.dtype.kind not in "iu":
        raise ValueError(
            f"counts are {counts.dtype} of shape {counts.shape}; allowed is a vector of integers"
        )
    if not 2 <= counts.size <= total:
        raise ValueError(
            f"{counts.size} counts; allowed are 2 (one symbol and the escape) to {total}"
        )
    if counts.min() < 0:
        raise ValueError(f"count {int(counts.argmin())} is {int(counts.min())}; allowed are 0 up")
    # Each is bounded first: no sum of 2^16 such counts overflows.
    if counts.max() >= _MAX_SUM or int(counts.sum(dtype=np.int64)) >= _MAX_SUM:
        raise ValueError(f"counts add up to {_MAX_SUM} or more; scale them down")
