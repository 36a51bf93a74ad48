"""Finding and loading the library, and what its calls report."""

from __future__ import annotations

import ctypes
import os
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from xraycodec.errors import ModelError, OptionError

CPU_VARIABLE = "XRAYCODEC_CPU"
VARIANTS = ("plain", "avx2", "vnni")
ALIGNMENT = 64

_NAMES = {"win32": "xrc_core.dll", "darwin": "libxrc_core.dylib"}


class MissingCoreError(ModelError):
    """The native core has not been built."""


@lru_cache
def load() -> ctypes.CDLL:
    """Return the library, its kernels chosen.

    Raises:
        MissingCoreError: it has not been built, or does not fit this machine.
        OptionError: ``XRAYCODEC_CPU`` names a variant that this build or processor does not have.
    """
    path = Path(__file__).with_name(_NAMES.get(sys.platform, "libxrc_core.so"))
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise MissingCoreError(
            f"the native core cannot be loaded: {error}; `pip install` of this package builds it"
        ) from error
    for name, result, arguments in _SIGNATURES:
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    use_variant(library, os.environ.get(CPU_VARIABLE, ""))
    return library


def use_variant(library: ctypes.CDLL, variant: str) -> None:
    """Have networks that are built from now on use a variant's kernels, ``""`` for the fastest.

    Raises:
        OptionError: this build or processor does not have it.
    """
    if not library.xrc_force_kernels(variant.encode()):
        raise OptionError(
            f"variant {variant!r} of the native core is not available on this machine;"
            f" {CPU_VARIABLE} may be {', '.join(VARIANTS)}"
        )


def aligned(size: int) -> npt.NDArray[np.uint8]:
    """Memory for the core, aligned as it asks for."""
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -memory.ctypes.data % ALIGNMENT
    return memory[start : start + size]


def pointer(values: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    """Where an array lies; it must stay alive during the call."""
    return ctypes.c_void_p(values.ctypes.data)


class Fault(ctypes.Structure):
    """``xrc_fault`` of core/xrc_status.h."""

    _fields_ = tuple((name, ctypes.c_int32) for name in ("layer", "pixels", "level"))


_INT, _SIZE, _POINTER = ctypes.c_int32, ctypes.c_size_t, ctypes.c_void_p
_SIGNATURES = (
    ("xrc_force_kernels", ctypes.c_int, (ctypes.c_char_p,)),
    ("xrc_network_size", _SIZE, (_INT, _INT, _POINTER)),
    ("xrc_network_build", ctypes.c_int, (_INT, _INT, _POINTER, _POINTER, _SIZE)),
    ("xrc_network_scratch", _SIZE, (_POINTER, _INT, _INT)),
    (
        "xrc_network_run",
        ctypes.c_int,
        (_POINTER, _INT, _INT, _POINTER, _POINTER, _POINTER, _SIZE),
    ),
    ("xrc_fitting_scratch", _SIZE, (_INT, _INT)),
    (
        "xrc_add_samples",
        ctypes.c_int,
        (_POINTER, _INT, _INT, _INT, _POINTER, _POINTER, _POINTER, _SIZE),
    ),
    ("xrc_lattice_scratch", _SIZE, (_POINTER, _INT, _INT)),
    ("xrc_lattice_capacity", _SIZE, (_POINTER, _INT, _INT)),
    (
        "xrc_lattice_encode",
        ctypes.c_int,
        (_POINTER, _POINTER, _INT, _INT, _POINTER, _POINTER, _POINTER, _POINTER, _SIZE),
    ),
    (
        "xrc_lattice_decode",
        ctypes.c_int,
        (
            *(_POINTER, _POINTER, _INT, _INT, _INT, _POINTER, _POINTER, _POINTER),
            *(_POINTER, _POINTER, _SIZE),
        ),
    ),
)
