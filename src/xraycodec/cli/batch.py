"""What batches are asked for, what each input gives, and the sum of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from xraycodec.cli.report import Report, human_size

Others = Literal["copy", "skip", "fail"]


@dataclass(frozen=True)
class Batch:
    """How to treat several inputs.

    Attributes:
        others: what becomes of files that the command does not serve; ``None`` passes over those
            below folders that are not images, and fails for the rest.
        skip_existing: whether inputs whose output is there are passed over.
        jobs: inputs to work on at a time; 0 for as many as there are cores.
    """

    others: Others | None = None
    skip_existing: bool = False
    jobs: int = 1

    @property
    def workers(self) -> int:
        return self.jobs or _cores()

    def threads_each(self, threads: int) -> int:
        """Threads for one input, of ``threads`` in all; 0 is every core."""
        return threads if self.workers == 1 else max(1, (threads or _cores()) // self.workers)


def _cores() -> int:
    from xraycodec.archive.run import cores

    return cores()


@dataclass(frozen=True, eq=False)
class Done:
    """What was made of one input.

    Attributes:
        text: the result in words; the output's name is added.
        values: the same for JSON.
        data: the output's content; ``None`` if there is no output.
        mark: that the output's name needs besides what every output of the command has.
        notes: worth knowing, and no failure.
        warnings: the same, but of loss: quiet users read them, too.
        problem: a failure, although there is a result.
    """

    text: str
    values: dict[str, Any]
    data: bytes | None = None
    mark: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True)
class Sizes:
    """Which values of each result the summary adds up.

    Attributes:
        before, after: their keys.
        packing: whether the ratio is that of before to after, or the other way round.
    """

    before: str
    after: str
    packing: bool


@dataclass
class Tally:
    """Counts and sums for the summary."""

    done: int = 0
    copied: int = 0
    existing: int = 0
    others: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def add(self, values: dict[str, Any]) -> None:
        self.done += 1
        for key, value in values.items():
            if isinstance(value, int | float):
                self.sums[key] = self.sums.get(key, 0) + value

    def tell(self, report: Report, sizes: Sizes) -> None:
        before, after = (self.sums.get(key, 0) for key in (sizes.before, sizes.after))
        whole, packed = (before, after) if sizes.packing else (after, before)
        ratio = whole / packed if packed else None
        parts = [f"{self.done} done"]
        if self.copied:
            parts.append(f"{self.copied} copied")
        parts += [f"{self.existing + self.others} skipped", f"{report.failed} failed"]
        size = f"; {human_size(before)} -> {human_size(after)}, {ratio:.2f}:1" if ratio else ""
        values = {
            "done": self.done,
            "copied": self.copied,
            "skipped_existing": self.existing,
            "skipped_others": self.others,
            "failed": report.failed,
            sizes.before: before,
            sizes.after: after,
            "ratio": round(ratio, 4) if ratio else None,
        }
        report.summary(", ".join(parts) + size, values)
