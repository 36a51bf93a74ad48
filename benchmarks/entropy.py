"""Speed and size of the entropy coder on one core: `python benchmarks/entropy.py`.

Values are drawn from 128 two-sided geometric ("Laplacian") distributions, from one that is nearly
always 0 to one that is nearly flat over its 256 symbols, in random order: the hard case for
caches and branch prediction. Tables and values are in step, so that the ideal size is known.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from xraycodec import entropy

SYMBOLS = 1 << 22
TABLES = 128
REPEATS = 5


def laplacian_tables(tables: int = TABLES) -> entropy.FrequencyTables:
    """Tables of rising scale, from 0.15 to 100, over at most the integers -128 to 127."""
    counts, minimums = [], []
    for scale in np.geomspace(0.15, 100, tables):
        reach = int(np.clip(np.ceil(12 * scale), 1, 128))
        symbols = np.arange(-reach, min(reach, 127) + 1)
        weights = np.rint(np.exp(-np.abs(symbols) / scale) * 1e9).astype(np.int64)
        counts.append(np.append(weights, 0))
        minimums.append(-reach)
    return entropy.FrequencyTables.from_counts(counts, minimums)


def draw_values(
    tables: entropy.FrequencyTables, symbols: int, rng: np.random.Generator
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.uint16], float]:
    """Draw in-table values at the tables' own frequencies; return also their ideal size, bits."""
    table_index = rng.integers(0, len(tables), symbols, dtype=np.uint16)
    values = np.empty(symbols, np.int32)
    ideal_bits = 0.0
    for table in range(len(tables)):
        frequencies = tables.frequencies_of(table).astype(np.int64)
        here = np.flatnonzero(table_index == table)
        slots = rng.integers(0, (1 << 16) - frequencies[-1], here.size)
        entries = np.searchsorted(np.cumsum(frequencies), slots, side="right")
        values[here] = entries + tables.minimums[table]
        ideal_bits += float(np.sum(16 - np.log2(frequencies[entries])))
    return values, table_index, ideal_bits


def measure(symbols: int = SYMBOLS) -> dict[str, float]:
    """Code `symbols` values five times each way and take the best times."""
    tables = laplacian_tables()
    values, table_index, ideal_bits = draw_values(tables, symbols, np.random.default_rng(1))
    entropy.encode(values[:1], table_index[:1], tables)  # compiles; builds the look-up
    encode_seconds, data = _best(lambda: entropy.encode(values, table_index, tables))
    decode_seconds, decoded = _best(lambda: entropy.decode(data, table_index, tables))
    if not np.array_equal(decoded, values):
        raise RuntimeError("decoded values differ from those encoded")
    return {
        "encode_msymbols_per_s": round(symbols / encode_seconds / 1e6, 1),
        "decode_msymbols_per_s": round(symbols / decode_seconds / 1e6, 1),
        "bits_per_symbol": round(8 * len(data) / symbols, 6),
        "ideal_bits_per_symbol": round(ideal_bits / symbols, 6),
    }


def _best(run: Callable[[], Any]) -> tuple[float, Any]:
    seconds = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        result = run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds), result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the figures here as well")
    options = parser.parse_args()
    figures = json.dumps(measure(), indent=2)
    print(figures)
    if options.json is not None:
        options.json.write_text(figures + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
