"""Shared fixtures and settings: Hypothesis, and the real radiographs, where they can be found."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Same examples on every run, and no limit that a loaded machine could exceed.
settings.register_profile(
    "xraycodec",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("xraycodec")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder with real radiographs: XRAYCODEC_DATA, or shared/data beside the checkout."""
    default = Path(__file__).parents[2] / "shared" / "data"
    path = Path(os.environ.get("XRAYCODEC_DATA", default))
    if not (path / "deep").is_dir():
        pytest.skip(f"no radiographs at {path}; set XRAYCODEC_DATA")
    return path
