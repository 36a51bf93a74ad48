"""Counters in Prometheus's text format (version 0.0.4)."""

from __future__ import annotations

import threading
from collections.abc import Iterable

_HELP = {
    "associations_total": "Associations from peers, by outcome.",
    "received_total": "Instances offered by C-STORE, by outcome.",
    "received_bytes_total": "Bytes of data sets taken in.",
    "prepared_total": "Deliveries prepared, by destination and outcome.",
    "preparation_seconds_total": "Time that preparation took, summed over processes.",
    "delivered_total": "Deliveries made, by destination.",
    "delivered_bytes_total": "Bytes of files delivered, by destination.",
    "attempts_failed_total": "Deliveries that have to be tried again, by destination and reason.",
    "failed_total": "Deliveries set aside after too many refusals, by destination.",
}
_PREFIX = "xrc_gateway_"
Labels = tuple[tuple[str, str], ...]


class Counters:
    """Counts since the process started; any thread may add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, Labels], float] = {}

    def add(self, name: str, amount: float = 1, **labels: str) -> None:
        """Add to a counter; ``name`` is one of those documented in ``docs/gateway.md``."""
        key = (name, tuple(sorted(labels.items())))
        assert name in _HELP
        with self._lock:
            self._values[key] = self._values.get(key, 0) + amount

    def value(self, name: str, **labels: str) -> float:
        with self._lock:
            return self._values.get((name, tuple(sorted(labels.items()))), 0)

    def total(self, name: str) -> float:
        """Sum over all labels."""
        with self._lock:
            return sum(value for (found, _), value in self._values.items() if found == name)

    def render(self) -> str:
        with self._lock:
            values = sorted(self._values.items())
        text = []
        for name, meaning in _HELP.items():
            found = [(labels, value) for (other, labels), value in values if other == name]
            text.append(_family(name, "counter", meaning, found))
        return "".join(text)


def gauge(name: str, meaning: str, values: Iterable[tuple[Labels, float]]) -> str:
    """One family of gauges."""
    return _family(name, "gauge", meaning, values)


def _family(name: str, kind: str, meaning: str, values: Iterable[tuple[Labels, float]]) -> str:
    lines = [f"# HELP {_PREFIX}{name} {meaning}", f"# TYPE {_PREFIX}{name} {kind}"]
    for labels, value in values:
        inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
        lines.append(
            f"{_PREFIX}{name}{{{inner}}} {value:.17g}" if inner else f"{_PREFIX}{name} {value:.17g}"
        )
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
