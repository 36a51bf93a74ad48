"""What a result depends on besides its job's own fields, as a short hash.

A result of an earlier run is taken only where models, versions of the libraries, the sources that
code and measure, and the files measured are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from xraycodec.errors import ModelError
from xraycodec.evaluation.benchmark.environment import processor, versions
from xraycodec.exact.pack import named_pack

_PACKAGE = Path(__file__).parents[2]
_MEASURING = (
    "evaluation/*.py",
    "evaluation/peers/*.py",
    "evaluation/benchmark/contestants.py",
    "evaluation/benchmark/crop_tasks.py",
    "evaluation/benchmark/figure2.py",
    "evaluation/benchmark/full_images.py",
    "evaluation/benchmark/lossless_stage.py",
    "evaluation/benchmark/speed.py",
)
_MEASURING_TOO = {"rnn-conv-paper": ("evaluation/benchmark/paper_widths.py",)}
"""Sources that the results of one codec alone depend on."""
_CODING = ("codecs/**/*.py", "container/*.py", "entropy/*.py", "exact/*.py", "tiling.py")
_PACKS = {
    "lattice": ("lattice-best",),
    "lattice-fast": ("lattice-fast",),
    "wavelet": ("wavelet",),
    "rnn-conv": ("rnn-conv-compact-128", "rnn-conv-compact-256"),
    "rnn-conv-paper": ("rnn-conv-paper-128",),
    "toderici": ("toderici-compact",),
}
_DIGITS = 12


def of_codec(codec: str) -> str:
    """Fingerprint of a codec and of what measures it."""
    measuring = _sources(_MEASURING + _MEASURING_TOO.get(codec, ()))
    facts = [measuring, *map("=".join, versions().items())]
    if codec in _PACKS:
        facts += [_sources(_CODING), *map(_digest, _PACKS[codec])]
    return _hash(facts)


def of_files(root: Path, names: Iterable[str]) -> str:
    """Fingerprint of files by their names below ``root`` and their sizes."""
    return _hash(f"{name} {(root / name).stat().st_size}" for name in names)


def of_machine() -> str:
    """Fingerprint of the machine, on which speeds depend."""
    return _hash([processor()])


def join(*parts: object) -> str:
    """One fingerprint of several facts."""
    return _hash(map(str, parts))


@lru_cache(maxsize=3)
def _sources(patterns: tuple[str, ...]) -> str:
    paths = sorted(path for pattern in patterns for path in _PACKAGE.glob(pattern))
    return _hash(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)


def _digest(pack: str) -> str:
    try:
        return named_pack(pack).digest.hex()
    except ModelError:
        return f"no {pack}"


def _hash(facts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:_DIGITS]
