from __future__ import annotations

import math

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from geoseg.core.bands import Band, BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.raster import Raster
from geoseg.errors import InputError

NORTH_UP = Affine(10, 0, 500_000, 0, -10, 4_600_000)


def window(row, col, height, width):
    return Window(row=row, col=col, height=height, width=width)


def grid(transform=NORTH_UP, height=6, width=4, crs=32610):
    return Grid(crs=CRS(crs), transform=transform, height=height, width=width)


@pytest.mark.parametrize(("height", "width"), [(0, 3), (3, 0), (-1, 3)])
def test_an_empty_window_or_grid_is_refused(height, width):
    with pytest.raises(ValueError, match="at least one row and one column"):
        window(0, 0, height, width)
    with pytest.raises(InputError, match="at least one row and one column"):
        grid(height=height, width=width)


@pytest.mark.parametrize("transform", [Affine(10, 0, 0, 0, 0, 0), Affine(1, 2, 0, 2, 4, 0), Affine.scale(math.nan)])
def test_a_transform_that_cannot_be_inverted_is_refused(transform):
    with pytest.raises(InputError, match="invertible transform"):
        grid(transform)


def test_a_window_counts_rows_first():
    part = window(2, 5, 3, 4)
    assert (part.row_end, part.col_end, part.shape) == (5, 9, (3, 4))
    assert np.zeros((20, 30))[part.slices].shape == (3, 4)
    assert grid().window == window(0, 0, 6, 4)


@pytest.mark.parametrize("other", [window(5, 0, 2, 9), window(0, 9, 9, 2), window(-3, -3, 3, 20), window(2, 4, 3, 1)])
def test_windows_that_only_touch_have_nothing_in_common(other):
    assert window(0, 5, 5, 4).intersect(other) is None
    assert other.intersect(window(0, 5, 5, 4)) is None


def test_a_window_of_a_grid_may_lie_outside_of_it():
    moved = grid()[window(-2, -1, 10, 20)]
    assert moved.bounds == (499_990, 4_600_020 - 100, 500_190, 4_600_020)
    assert moved.shape == (10, 20)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (NORTH_UP, (500_000, 4_599_940, 500_040, 4_600_000)),
        (Affine(10, 0, 0, 0, 10, 0), (0, 0, 40, 60)),  # south-up
        (Affine(-10, 0, 0, 0, -10, 0), (-40, -60, 0, 0)),  # west-up
        (Affine(0, 10, 0, 10, 0, 0), (0, 0, 60, 40)),  # rows run east
        (Affine(10, 10, 0, 10, -10, 0), (0, -60, 100, 40)),  # turned by 45 degrees: a diamond
    ],
)
def test_bounds_hold_all_four_corners(transform, expected):
    assert grid(transform).bounds == expected


def test_rescaled_rounds_outwards_and_keeps_the_origin():
    coarse = grid(height=7, width=4).rescaled(2, 0.5)
    assert (coarse.transform, coarse.shape) == (Affine(5, 0, 500_000, 0, -20, 4_600_000), (4, 8))
    assert grid(height=3, width=3).rescaled(100, 100).shape == (1, 1)
    # 30 m from 10 m as computed from ground distances is never exactly 3: no pixel more for that
    assert grid(height=6, width=6).rescaled(3 - 1e-9, 3 + 1e-9).shape == (2, 2)


def test_the_area_of_one_row_is_that_of_all_rows():
    degrees = grid(Affine(0.5, 0, 10, 0, -0.5, 70), crs=4326)
    areas = degrees.pixel_areas_m2()
    assert areas.shape == (6,)
    assert [degrees.pixel_area_m2(row) for row in range(6)] == areas.tolist()
    assert (np.diff(areas) > 0).all()  # southwards in the north


@pytest.mark.parametrize("measure", [lambda g: g.gsd_m, lambda g: g.pixel_areas_m2()], ids=["gsd", "area"])
def test_metres_taken_for_degrees_are_refused(measure):
    with pytest.raises(InputError, match=r"\(500020, 4.59997e\+06\) is no place in WGS 84"):
        measure(grid(crs=4326))


def test_equal_grids_are_equal():
    assert grid() == grid(crs="EPSG:32610")
    assert grid() != grid(crs=32611)
    assert grid() != grid(height=7)


@pytest.mark.parametrize(("data", "valid"), [((1, 6, 4), (6, 4)), ((2, 6, 5), (6, 4)), ((2, 6, 4), (4, 6))])
def test_a_raster_whose_parts_do_not_fit_is_refused(data, valid):
    bands = BandSet((Band(name="red"), Band(name="nir")))
    with pytest.raises(ValueError, match="do not fit 2 bands on a grid of"):
        Raster(data=np.zeros(data), valid=np.ones(valid, dtype=bool), grid=grid(), bands=bands)
