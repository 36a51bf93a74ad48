"""Typed reading of TOML tables; every error names the key that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from xraycodec.errors import OptionError


class ConfigError(OptionError):
    """A configuration cannot be used.

    Attributes:
        key: path of the key, such as ``destination[0].port``.
    """

    def __init__(self, key: str, message: str) -> None:
        super().__init__(f"{key}: {message}")
        self.key = key


class Table:
    """A TOML table whose keys are taken one by one; `finish` refuses those that nobody took."""

    def __init__(self, values: Mapping[str, Any], path: str = "") -> None:
        self._values = dict(values)
        self._path = path
        self._known: list[str] = []

    def key(self, name: str) -> str:
        """Path of one of this table's keys."""
        return f"{self._path}.{name}" if self._path else name

    def error(self, name: str, message: str) -> ConfigError:
        return ConfigError(self.key(name), message)

    def text(self, name: str, default: str | None = None) -> str:
        """A string that is not empty; without ``default`` the key is required."""
        value = self._take(name, default)
        if not isinstance(value, str) or not (value or default == ""):
            raise self.error(name, f"{value!r}; allowed is a string that is not empty")
        return value

    def choice(self, name: str, allowed: tuple[str, ...], default: str | None = None) -> str:
        value = self._take(name, default)
        if value not in allowed:
            raise self.error(name, f"{value!r}; allowed are {', '.join(allowed)}")
        return str(value)

    def whole(self, name: str, low: int, high: int, default: int | None = None) -> int:
        value = self._take(name, default)
        # To Python, true and false are integers.
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self.error(name, f"{value!r}; allowed are whole numbers from {low} to {high}")
        return value

    def number(self, name: str, low: float, high: float, default: float | None = None) -> float:
        value = self._take(name, default)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not low <= value <= high:
            raise self.error(name, f"{value!r}; allowed are numbers from {low:g} to {high:g}")
        return float(value)

    def flag(self, name: str, default: bool) -> bool:
        value = self._take(name, default)
        if not isinstance(value, bool):
            raise self.error(name, f"{value!r}; allowed are true and false")
        return value

    def texts(self, name: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        value = self._take(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise self.error(name, f"{value!r}; allowed is a list of strings")
        return tuple(value)

    def file(self, name: str, folder: Path) -> Path:
        """An existing file; a relative path is relative to ``folder``."""
        path = self.optional_file(name, folder)
        if path is None:
            raise self.error(name, "is missing; it is required")
        return path

    def optional_file(self, name: str, folder: Path) -> Path | None:
        text = self.text(name, "")
        if not text:
            return None
        path = folder / text
        if not path.is_file():
            raise self.error(name, f"{path} is no file")
        return path

    def table(self, name: str) -> Table | None:
        """A table below this one, or ``None`` where there is none."""
        self._known.append(name)
        value = self._values.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, dict):
            raise self.error(name, f"{value!r}; allowed is a table, [{self.key(name)}]")
        return Table(value, self.key(name))

    def required_table(self, name: str) -> Table:
        table = self.table(name)
        if table is None:
            raise self.error(name, "is missing; it is required")
        return table

    def tables(self, name: str) -> Iterator[Table]:
        """Every table of an array of tables, ``[[name]]``."""
        self._known.append(name)
        values = self._values.pop(name, [])
        if not isinstance(values, list) or not all(isinstance(v, dict) for v in values):
            raise self.error(name, f"allowed is an array of tables, [[{self.key(name)}]]")
        for number, value in enumerate(values):
            yield Table(value, f"{self.key(name)}[{number}]")

    def finish(self) -> None:
        """Refuse keys that were not taken: a typing error must not pass as a default."""
        for name in self._values:
            raise self.error(name, f"is unknown; allowed are {', '.join(sorted(self._known))}")

    def _take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        value = self._values.pop(name, default)
        if value is None:
            raise self.error(name, "is missing; it is required")
        return value
