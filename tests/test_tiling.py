from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xraycodec.tiling import Window, windows

sizes = st.integers(1, 40)


@given(rows=sizes, columns=sizes, tile=st.integers(1, 50), halo=st.integers(0, 5))
def test_tiles_cover_each_position_once_in_row_order(rows, columns, tile, halo):
    plane = np.full((rows, columns), -1)
    for k, window in enumerate(windows(rows, columns, tile, halo)):
        assert (plane[window.inner] == -1).all()
        plane[window.inner] = k
    y, x = np.mgrid[:rows, :columns]
    assert (plane == (y // tile) * -(-columns // tile) + x // tile).all()


@given(rows=sizes, columns=sizes, tile=st.integers(1, 50), halo=st.integers(0, 5))
def test_the_halo_is_as_wide_as_asked_where_the_plane_goes_on(rows, columns, tile, halo):
    for window in windows(rows, columns, tile, halo):
        for inner, outer, size in zip(window.inner, window.outer, (rows, columns), strict=True):
            assert outer.start == max(0, inner.start - halo)
            assert outer.stop == min(size, inner.stop + halo)


@given(rows=sizes, columns=sizes, tile=st.integers(1, 50), halo=st.integers(0, 5))
@pytest.mark.parametrize("scale", [1, 3])
def test_the_tile_is_found_inside_its_outer_rectangle(scale, rows, columns, tile, halo):
    plane = np.arange(rows * columns).reshape(rows, columns)
    enlarged = np.kron(plane, np.ones((scale, scale), int))
    for window in windows(rows, columns, tile, halo):
        outer = np.kron(plane[window.outer], np.ones((scale, scale), int))
        rows_of, columns_of = (slice(s.start * scale, s.stop * scale) for s in window.inner)
        inner = outer[window.inner_of_outer(scale)]
        assert (inner == enlarged[rows_of, columns_of]).all()


def test_a_plane_smaller_than_its_tile_is_one_window():
    whole = (slice(0, 3), slice(0, 5))
    assert list(windows(3, 5, 32, 2)) == [Window(whole, whole)]


def test_an_inner_window():
    (window,) = [w for w in windows(96, 96, 32, 2) if w.inner == (slice(32, 64), slice(32, 64))]
    assert window.outer == (slice(30, 66), slice(30, 66))
    assert window.inner_of_outer() == (slice(2, 34), slice(2, 34))
    assert window.inner_of_outer(16) == (slice(32, 544), slice(32, 544))


def test_no_example_has_a_deadline() -> None:
    """A loaded machine must not fail what is right: the profile of conftest.py is in force."""
    profile = settings()
    assert (profile.deadline, profile.derandomize, profile.database) == (None, True, None)
