"""A stand-in for the model of RNN-Conv in the paper's widths, which the package does not hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from xraycodec.codecs.rnn_conv.model import pack_for_segment
from xraycodec.exact.pack import SEARCH_PATH, SUFFIX, named_pack, pack_folders

PAPER_128 = f"rnn-conv-paper-128{SUFFIX}"


@contextmanager
def models_in(folder: Path) -> Iterator[None]:
    """Search ``folder`` before the package's own folder, and no other."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(SEARCH_PATH, str(folder))
        named_pack.cache_clear()
        try:
            yield
        finally:
            named_pack.cache_clear()


@contextmanager
def paper_model_in(folder: Path) -> Iterator[bytes]:
    """Let the network for 256 pixels stand for the paper's for 128; yields its digest.

    Neither of the package's networks for other settings is the same, so that its digest tells it.
    """
    package = pack_folders()[-1]
    (folder / PAPER_128).write_bytes((package / f"rnn-conv-compact-256{SUFFIX}").read_bytes())
    with models_in(folder):
        yield pack_for_segment(128, "paper").digest
