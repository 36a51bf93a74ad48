"""What ``import xraycodec`` offers, and what it costs."""

from __future__ import annotations

import importlib.metadata
import inspect
import subprocess
import sys

import pytest

import xraycodec
from xraycodec import errors

HEAVY = ("torch", "onnx", "onnxruntime", "numba", "pydicom", "imagecodecs", "PIL", "click", "rich")


def test_dir_is_all_and_all_is_sorted() -> None:
    assert dir(xraycodec) == sorted(xraycodec.__all__)
    assert len(set(xraycodec.__all__)) == len(xraycodec.__all__)


@pytest.mark.parametrize("name", xraycodec.__all__)
def test_every_exported_name_is_there(name: str) -> None:
    value = getattr(xraycodec, name)
    assert value is not None
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__name__ == name
        assert inspect.getdoc(value)


def test_a_star_import_takes_exactly_the_exported_names() -> None:
    taken: dict[str, object] = {}
    exec("from xraycodec import *", taken)
    del taken["__builtins__"]
    assert sorted(taken) == sorted(xraycodec.__all__)


def test_every_error_is_exported_and_of_the_one_family() -> None:
    tree = {
        name
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, Exception)
    }
    assert tree <= set(xraycodec.__all__)
    for name in tree:
        assert issubclass(getattr(xraycodec, name), xraycodec.XrayCodecError)
        assert name in (errors.__doc__ or "")


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="module 'xraycodec' has no attribute 'encrypt'"):
        _ = xraycodec.encrypt
    with pytest.raises(ImportError):
        exec("from xraycodec import encrypt")


def test_the_version_is_that_of_the_distribution() -> None:
    try:
        installed = importlib.metadata.version("xraycodec")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("xraycodec is not installed; it runs from its sources")
    assert xraycodec.__version__ == installed


def _modules_after(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after ``statement``."""
    code = (
        f"{statement}\nimport sys; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=600
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import xraycodec",
        "import xraycodec; dir(xraycodec); xraycodec.CorruptError; xraycodec.XRay",
        "import xraycodec; xraycodec.inspect; xraycodec.Limits",
        "from xraycodec import *",
    ],
)
def test_importing_takes_nothing_heavy(statement: str) -> None:
    """The budget in seconds is for the benchmark; what is not imported takes no time."""
    modules = _modules_after(statement)
    assert "xraycodec" in modules
    assert not modules.intersection(HEAVY)


def test_the_plain_import_does_without_numpy() -> None:
    assert "numpy" not in _modules_after("import xraycodec")


def test_the_stored_codec_needs_no_network() -> None:
    modules = _modules_after(
        "import numpy, xraycodec as x\n"
        "x.decompress(x.compress(numpy.zeros((4, 4), 'u1'), x.Stored()))"
    )
    assert not modules.intersection(HEAVY)


def test_the_help_of_the_command_line_is_as_cheap() -> None:
    modules = _modules_after(
        "from xraycodec.cli import xrc\nxrc.main(['--help'], standalone_mode=False)"
    )
    assert not modules.intersection(set(HEAVY) - {"click"})
