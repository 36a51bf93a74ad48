"""The MONAI reader: alone, against the abstract class that MONAI documents, and with MONAI."""

from __future__ import annotations

import importlib
import importlib.util
import math
import sys
from abc import ABC, abstractmethod
from types import ModuleType

import numpy as np
import pytest
from plugin_building import damaged, pixels, write_xrc

from xraycodec import CorruptError, OptionError, XRay

HAS_MONAI = importlib.util.find_spec("monai") is not None


class ImageReader(ABC):
    """What https://docs.monai.io documents of `monai.data.image_reader.ImageReader`."""

    @abstractmethod
    def verify_suffix(self, filename): ...

    @abstractmethod
    def read(self, data, **kwargs): ...

    @abstractmethod
    def get_data(self, img): ...


@pytest.fixture
def reader_class(monkeypatch):
    """The reader on MONAI's base class, or on the one above where there is no MONAI."""
    name = "xraycodec.plugins.monai"
    if not HAS_MONAI:
        for package in ("monai", "monai.data", "monai.data.image_reader"):
            monkeypatch.setitem(sys.modules, package, ModuleType(package))
        sys.modules["monai.data.image_reader"].ImageReader = ImageReader
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module(name).XrcReader
    if not HAS_MONAI:
        sys.modules.pop(name)


@pytest.fixture
def path(tmp_path):
    return write_xrc(tmp_path / "x.xrc", XRay(pixels(), 12, "MONOCHROME1"))


@pytest.mark.parametrize(
    ("names", "expected"),
    [("x.xrc", True), (["x.xrc", "y.XRC"], True), (["x.xrc", "y.png"], False), ("x.xrc.gz", False)],
)
def test_suffixes(reader_class, names, expected):
    assert reader_class().verify_suffix(names) is expected


@pytest.mark.parametrize("as_name", [str, lambda path: path, lambda path: path.as_uri()])
def test_an_image(reader_class, path, as_name):
    reader = reader_class(auto_mkdir=False)  # for URLs alone
    array, meta = reader.get_data(reader.read(as_name(path)))
    np.testing.assert_array_equal(array, pixels().T)
    np.testing.assert_array_equal(meta.pop("spatial_shape"), [56, 40])
    assert math.isnan(meta.pop("original_channel_dim"))
    assert meta == {"bits_stored": 12, "photometric_interpretation": "MONOCHROME1"}


def test_rows_first_and_scales(reader_class, path):
    reader = reader_class(scale=2, reverse_indexing=False, threads=1)
    array, meta = reader.get_data(reader.read(path))
    np.testing.assert_array_equal(array, pixels()[::2, ::2])
    np.testing.assert_array_equal(meta["spatial_shape"], [20, 28])
    array, _ = reader.get_data(reader.read(path, scale=4))
    np.testing.assert_array_equal(array, pixels()[::4, ::4])


def test_frames_and_lists_are_channels(reader_class, path, tmp_path):
    frames = pixels((3, 20, 30))
    cine = write_xrc(tmp_path / "cine.xrc", XRay(frames, 12))
    reader = reader_class()
    array, meta = reader.get_data(reader.read(cine))
    np.testing.assert_array_equal(array, frames.swapaxes(1, 2))
    assert meta["original_channel_dim"] == 0
    np.testing.assert_array_equal(meta["spatial_shape"], [30, 20])
    array, meta = reader.get_data(reader.read([path, path]))
    np.testing.assert_array_equal(array, [pixels().T] * 2)
    assert meta["original_channel_dim"] == 0
    with pytest.raises(RuntimeError, match=r"shapes \[\(20, 30\), \(40, 56\)\]"):
        reader.get_data(reader.read([path, cine]))


def test_refusals(reader_class, path):
    reader = reader_class()
    with pytest.raises(OptionError, match="unknown arguments mode; allowed are scale, threads"):
        reader.read(path, mode="r")
    with pytest.raises(OptionError, match="no file"):
        reader.read([])
    with pytest.raises(OptionError, match="scale 3"):
        reader.read(path, scale=3)
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(CorruptError, match=r"x\.xrc: "):
        reader.read(path)


@pytest.mark.skipif(not HAS_MONAI, reason="MONAI is not installed")
# Of readers that LoadImage makes beside ours.
@pytest.mark.filterwarnings("ignore:NvImgCodecPydicomReader:UserWarning")
def test_with_monai(reader_class, path):
    from monai.transforms import LoadImage

    load = LoadImage(reader=reader_class(), image_only=True, ensure_channel_first=True)
    found = load(path)
    assert found.shape == (1, 56, 40)
    np.testing.assert_array_equal(np.asarray(found)[0], pixels().T)
    assert found.meta["bits_stored"] == 12
