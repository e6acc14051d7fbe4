from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from pyproj import CRS
from rasterio import windows
from rasterio.transform import array_bounds

from geoseg.core.grid import Grid, Window

UTM = CRS(32610)
INSIDE = 24  # the windows below lie in rows and columns -INSIDE to INSIDE
WINDOWS = st.builds(
    Window,
    row=st.integers(-INSIDE, INSIDE // 2 - 1),
    col=st.integers(-INSIDE, INSIDE // 2 - 1),
    height=st.integers(1, INSIDE // 2),
    width=st.integers(1, INSIDE // 2),
)
ORIGINS = st.floats(-1e7, 1e7)
STEPS = st.floats(0.1, 1000) | st.floats(-1000, -0.1)
SIDES = st.integers(1, 300)


@st.composite
def meetings(draw):
    """Two windows with at least one pixel in common."""
    row, col = draw(st.integers(-9, 9)), draw(st.integers(-9, 9))
    up, down, left, right = (draw(st.tuples(*2 * [st.integers(0, 9)])) for _ in range(4))
    a, b = (
        Window(row=row - up[i], col=col - left[i], height=up[i] + 1 + down[i], width=left[i] + 1 + right[i])
        for i in range(2)
    )
    return a, b


@st.composite
def grids(draw, *, turned=True):
    transform = Affine(draw(STEPS), 0, draw(ORIGINS), 0, draw(STEPS), draw(ORIGINS))
    if turned:
        transform = transform @ Affine.rotation(draw(st.floats(-180, 180)))
    return Grid(crs=UTM, transform=transform, height=draw(SIDES), width=draw(SIDES))


def pixels(window):
    """The window as a picture of the ground from -INSIDE to INSIDE."""
    picture = np.zeros((2 * INSIDE, 2 * INSIDE), dtype=bool)
    picture[
        Window(row=window.row + INSIDE, col=window.col + INSIDE, height=window.height, width=window.width).slices
    ] = 1
    return picture


def close(grid, expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-6 * np.abs(grid.transform[:6]).max())


@given(WINDOWS, WINDOWS)
def test_the_intersection_is_the_pixels_of_both(a, b):
    both = a.intersect(b)
    assert both == b.intersect(a)
    expected = pixels(a) & pixels(b)
    if both is None:
        assert not expected.any()
    else:
        np.testing.assert_array_equal(pixels(both), expected)


@given(meetings())
def test_within_counts_the_same_pixels_from_another_origin(pair):
    a, b = pair
    both = a.intersect(b)
    ground = np.arange((2 * INSIDE) ** 2).reshape(2 * INSIDE, -1)
    origin = Window(row=-INSIDE, col=-INSIDE, height=2 * INSIDE, width=2 * INSIDE)
    whole, part = ground[a.within(origin).slices], ground[both.within(origin).slices]
    np.testing.assert_array_equal(whole[both.within(a).slices], part)


@pytest.mark.filterwarnings("ignore:Use .@. matmul:PendingDeprecationWarning:rasterio")  # inside rasterio 1.4
@given(grids(), WINDOWS)
def test_the_grid_of_a_window_is_where_rasterio_puts_it(grid, window):
    part = grid[window]
    theirs = windows.transform(windows.Window(window.col, window.row, window.width, window.height), grid.transform)
    assert part.transform[:6] == close(grid, theirs[:6])
    assert (part.shape, part.crs) == (window.shape, grid.crs)


@given(grids(), meetings())
def test_a_window_of_a_window_is_a_window(grid, pair):
    outer, inner = pair
    both = outer.intersect(inner)
    assert grid[outer][both.within(outer)].transform[:6] == close(grid, grid[both].transform[:6])


@given(grids(turned=False))
def test_bounds_of_upright_grids_are_those_of_rasterio(grid):
    left, bottom, right, top = array_bounds(grid.height, grid.width, grid.transform)
    expected = min(left, right), min(bottom, top), max(left, right), max(bottom, top)
    assert grid.bounds == close(grid, expected)


@given(grids(), st.floats(0, 1), st.floats(0, 1))
def test_every_place_of_a_turned_grid_lies_in_its_bounds(grid, down, along):
    x, y = grid.transform @ (along * grid.width, down * grid.height)
    left, bottom, right, top = grid.bounds
    slack = 1e-9 * max(1, *np.abs(grid.bounds))
    assert left - slack <= x <= right + slack
    assert bottom - slack <= y <= top + slack


@given(grids(), st.floats(0.05, 20), st.floats(0.05, 20))
def test_rescaled_covers_the_ground_and_less_than_a_pixel_more(grid, row_factor, col_factor):
    new = grid.rescaled(row_factor, col_factor)
    col, row = ~grid.transform @ (new.transform @ (new.width, new.height))
    assert grid.height - 1e-3 <= row < grid.height + row_factor * 1.001 + 1e-3
    assert grid.width - 1e-3 <= col < grid.width + col_factor * 1.001 + 1e-3
    assert new.transform @ (0, 0) == close(grid, grid.transform @ (0, 0))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 45), st.none() | st.integers(1, 45))
def test_windows_partition_the_grid_row_by_row(rows, cols, height, width):
    grid = Grid(crs=CRS.from_epsg(32612), transform=Affine(30, 0, 301905, 0, -30, 4154085), height=rows, width=cols)
    times = np.zeros(grid.shape, dtype=int)
    windows = list(grid.windows(height, width))
    for window in windows:
        assert window.height <= height
        assert window.width <= (width or cols)
        times[window.slices] += 1
    assert (times == 1).all()
    assert [(w.row, w.col) for w in windows] == sorted((w.row, w.col) for w in windows)
