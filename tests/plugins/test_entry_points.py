"""What pyproject.toml tells numcodecs and zarr, so that stores are read without more imports."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
import zarr
from plugin_building import pixels

from xraycodec.plugins import numcodecs as for_numcodecs
from xraycodec.plugins import zarr as for_zarr

PROJECT = Path(__file__).parents[2] / "pyproject.toml"

READ = """
import sys, numpy, zarr
found = zarr.open_array(sys.argv[1], mode="r")[:]
assert (found == numpy.load(sys.argv[2])).all()
"""


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    """Of a process in which the entry points of pyproject.toml are installed."""
    project = tomllib.loads(PROJECT.read_text())["project"]
    folder = tmp_path / "site" / "xraycodec_entries-1.dist-info"
    folder.mkdir(parents=True)
    lines = []
    for group, entries in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {target}" for name, target in entries.items())]
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: xraycodec-entries\nVersion: 1\n")
    (folder / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return os.environ | {"PYTHONPATH": str(folder.parent)}


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_stores_are_read_without_importing_the_plug_in(tmp_path, environment, zarr_format):
    array = pixels((2, 40, 50))
    np.save(tmp_path / "expected.npy", array)
    settings = (
        {"compressors": for_numcodecs.XrcCodec(profile="fast"), "zarr_format": 2}
        if zarr_format == 2
        else {"serializer": for_zarr.XrcCodec(profile="fast")}
    )
    store = tmp_path / "study.zarr"
    stored = zarr.create_array(
        store, shape=array.shape, chunks=(1, 40, 50), dtype=array.dtype, **settings
    )
    stored[:] = array
    done = subprocess.run(
        [sys.executable, "-c", READ, store, tmp_path / "expected.npy"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
