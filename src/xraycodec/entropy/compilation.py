"""How loops over pixels and symbols are compiled: numba behind typed decorators.

Importing this module imports numba; import it, and modules that use it, inside the function that
needs them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit

Function = TypeVar("Function", bound=Callable[..., Any])

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def kernel(function: Function) -> Function:
    """Compile at the first call, once per machine where numba can keep a cache."""
    try:
        compiled: Function = njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:
        # There is no folder to keep a cache in, as on a read-only installation.
        compiled = njit(**_OPTIONS)(function)
    return compiled


def inline(function: Function) -> Function:
    """Compile as a part of the kernels that call it."""
    compiled: Function = njit(inline="always", **_OPTIONS)(function)
    return compiled
