"""Sums for lattice's linear predictions in the native core (core/fitting.h)."""

from __future__ import annotations

import ctypes

import numpy as np
import numpy.typing as npt

from xraycodec.core.library import aligned, load, pointer
from xraycodec.errors import LimitError

PHASES = 3
_PRODUCTS = 21


class _Sums(ctypes.Structure):
    _fields_ = (
        ("products", ((ctypes.c_double * _PRODUCTS) * _PRODUCTS) * PHASES),
        ("samples", ctypes.c_int64 * PHASES),
    )


class Sums:
    """Weighted products of differences from the mean of the nearest four neighbours."""

    def __init__(self) -> None:
        self._sums = _Sums()

    def add(self, levels: npt.NDArray[np.uint16], step: int, every: int) -> None:
        """Add samples of all phases of a plane of levels, ``(row, column)``.

        Args:
            levels: the plane.
            step: quantisation step in levels.
            every: one row of a phase in so many is looked at.

        Raises:
            LimitError: a plane beyond the core's limits.
        """
        library = load()
        plane = np.ascontiguousarray(levels)
        size = library.xrc_fitting_scratch(*plane.shape)
        if not size:
            raise LimitError(f"a plane of {plane.shape} levels is beyond the core's limits")
        scratch = aligned(size)
        rows = (ctypes.c_int32 * PHASES)(*[every] * PHASES)
        status = library.xrc_add_samples(
            *(pointer(plane), *plane.shape, step, rows, ctypes.byref(self._sums)),
            *(pointer(scratch), size),
        )
        assert not status, f"the core gives status {status}"

    def of_phase(self, index: int, neighbours: int) -> tuple[npt.NDArray[np.float64], int]:
        """Products ``(neighbour + 1, neighbour + 1)``, the pixel's own last, and samples."""
        products = np.ctypeslib.as_array(self._sums.products)[index]
        used = neighbours + 1
        return products[:used, :used].copy(), self._sums.samples[index]
