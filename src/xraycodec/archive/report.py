"""What is to be said of an archive: totals, ratios, failures, and what keeping it costs."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from xraycodec.archive import manifest_sql as sql
from xraycodec.archive.manifest import Manifest
from xraycodec.errors import CorruptError

DEFAULT_PRICE = 23.0
DEFAULT_CURRENCY = "USD"
TERABYTE = 10**12
MONTHS_A_YEAR = 12
_MOST_BARS = 30
_WIDTHS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0)


@dataclass(frozen=True)
class Price:
    """What storage costs.

    Attributes:
        per_terabyte_month: for 10^12 bytes.
        currency: that it is in.
    """

    per_terabyte_month: float = DEFAULT_PRICE
    currency: str = DEFAULT_CURRENCY

    def of(self, size_bytes: float) -> float:
        """Of a month."""
        return size_bytes / TERABYTE * self.per_terabyte_month


def summarise(manifest: Manifest, price: Price) -> dict[str, Any]:
    """Return the report of an archive, as JSON can hold it; memory does not grow with files.

    Sizes are of files in bytes, ``pixel_bytes`` is of pixels at their bits stored, and ratios are
    of these to the whole ``.xrc`` file, as ``xrc compress`` prints them.

    Raises:
        CorruptError: the manifest is damaged, or has figures that no build writes.
    """
    for (number,) in manifest.query(sql.IMPOSSIBLE):
        raise CorruptError(f"{manifest.path}: row {number} has figures that no build writes")
    counts = manifest.counts()
    row = next(manifest.query(sql.TOTALS))
    done, size_bytes, output_bytes, pixel_bytes, seconds, verified, lowest, highest = row
    codec, settings = manifest.codec() or (None, {})
    return {
        "manifest": os.fspath(manifest.path),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "xraycodec": manifest.setting("xraycodec"),
        "target": manifest.setting("target"),
        "codec": codec,
        "settings": settings,
        "files": {state.value: count for state, count in counts.items()},
        "verified": verified,
        "size_bytes": size_bytes,
        "output_bytes": output_bytes,
        "saved_bytes": size_bytes - output_bytes,
        "pixel_bytes": pixel_bytes,
        "ratio": round(pixel_bytes / output_bytes, 4) if output_bytes else None,
        "file_ratio": round(size_bytes / output_bytes, 4) if output_bytes else None,
        "core_seconds": round(seconds, 3),
        "seconds_per_file": round(seconds / done, 6) if done else None,
        "ratios": _histogram(manifest, lowest, highest),
        "failures": [
            {
                "class": sql.text_from_sql(name),
                "files": count,
                "example": sql.text_from_sql(path),
                "error": sql.text_from_sql(error),
            }
            for name, count, path, error in manifest.query(sql.FAILURES)
        ],
        "storage": {
            "price_per_terabyte_month": price.per_terabyte_month,
            "currency": price.currency,
            "originals_per_month": round(price.of(size_bytes), 4),
            "archive_per_month": round(price.of(output_bytes), 4),
            "saved_per_year": round(MONTHS_A_YEAR * price.of(size_bytes - output_bytes), 4),
        },
    }


def _histogram(
    manifest: Manifest, lowest: float | None, highest: float | None
) -> list[dict[str, float]]:
    """Files by ratio, in bars of equal width; empty ones between others are there, too."""
    if lowest is None or highest is None:
        return []
    width = next(
        (width for width in _WIDTHS if (highest - lowest) / width < _MOST_BARS),
        math.ceil((highest - lowest) / _MOST_BARS),
    )
    rows = dict(
        manifest.query(
            "SELECT CAST(ratio / ? AS INTEGER), count(*) FROM file WHERE state = 'done' GROUP BY 1",
            width,
        )
    )
    return [
        {
            "from": round(number * width, 6),
            "to": round((number + 1) * width, 6),
            "files": rows.get(number, 0),
        }
        for number in range(min(rows), max(rows) + 1)
    ]
