"""Laws of cleaning: as the plain rules say, for any strip height, never from or to nodata."""

from __future__ import annotations

from unittest.mock import patch

import cleaning
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pyproj import CRS

from geoseg.core.grid import Grid
from geoseg.vectorize import clean
from geoseg.vectorize.clean import Cleaner, CleanOptions
from geoseg.vectorize.trace import LabelStrip, trace

SHAPES = st.tuples(st.integers(1, 11), st.integers(1, 11))
BYTES = arrays(np.uint8, SHAPES, elements=st.sampled_from([0, 1, 2, 0, 1, 2, 0, 1, 255]))
TWO_BYTES = arrays(np.uint16, SHAPES, elements=st.sampled_from([0, 255, 300, 65535]))
TWO_CLASSES = arrays(np.uint8, SHAPES, elements=st.sampled_from([3, 4]))
RASTERS = st.one_of(BYTES, TWO_BYTES, TWO_CLASSES)
NORTH_UP = Affine(10, 0, 500000, 0, -10, 5000000)
LIMITS = st.sampled_from([1, 1.5, 2, 3, 4, 7, 12, 40, 1000])  # pixels


def grid_for(codes, crs=32633, transform=NORTH_UP):
    return Grid(crs=CRS.from_epsg(crs), transform=transform, height=codes.shape[0], width=codes.shape[1])


def cleaned(codes, height, rows, grid=None, **options):
    """The cleaned labels, with strips of `height` rows and `rows` of them taken in at once; and the summary."""
    cleaner = Cleaner(CleanOptions(**options), grid or grid_for(codes))
    with patch.object(clean, "_ROWS", rows):
        strips = list(cleaner.strips(codes[row : row + height] for row in range(0, len(codes), height)))
    return np.concatenate(strips), cleaner.summary


@settings(max_examples=80, deadline=None)
@given(codes=RASTERS, limit=LIMITS, height=st.integers(1, 11), rows=st.integers(1, 11))
def test_small_areas_merge_as_the_rules_say(codes, limit, height, rows):
    found, summary = cleaned(codes, height, rows, min_area_m2=limit * 100)
    expected, merged, kept = cleaning.sieve(codes, limit, np.ones(len(codes)))
    np.testing.assert_array_equal(found, expected)
    assert (summary.merged_areas, summary.kept_areas) == (merged, kept)
    assert summary.merged_pixels == (found != codes).sum()


@settings(max_examples=40, deadline=None)
@given(codes=RASTERS, limit=LIMITS, height=st.integers(1, 11))
def test_areas_and_borders_are_measured_on_the_ground(codes, limit, height):
    """In degrees far north, where pixels are twice as tall as wide and get smaller from row to row."""
    grid = grid_for(codes, crs=4326, transform=Affine(0.5, 0, 10, 0, -0.5, 60 + 0.25 * len(codes)))
    areas, (down, along) = grid.pixel_areas_m2(), grid.gsd_m
    limit_m2 = limit * float(areas.mean()) * 1.0001
    found, _ = cleaned(codes, height, height, grid=grid, min_area_m2=limit_m2)
    expected, _, _ = cleaning.sieve(codes, limit_m2, areas, (1024, round(down / along * 1024)))
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=80, deadline=None)
@given(codes=RASTERS, limit=LIMITS, height=st.integers(1, 11), rows=st.integers(1, 11))
def test_holes_are_filled_as_the_rules_say(codes, limit, height, rows):
    found, summary = cleaned(codes, height, rows, fill_holes_m2=limit * 100)
    expected, filled = cleaning.fill_holes(codes, limit, np.ones(len(codes)))
    np.testing.assert_array_equal(found, expected)
    assert (summary.filled_areas, summary.filled_pixels) == (filled, (found != codes).sum())


@settings(max_examples=40, deadline=None)
@given(codes=st.one_of(BYTES, TWO_CLASSES), limit=LIMITS)
def test_what_a_polygon_goes_around_becomes_one_class(codes, limit):
    found, _ = cleaned(codes, 11, 64, fill_holes_m2=limit * 100)
    rows, cols = np.indices(codes.shape) + 0.5
    for batch in trace([LabelStrip(codes=codes)], row_area_m2=np.ones(len(codes))):
        for ring in shapely.get_rings(shapely.get_parts(shapely.boundary(batch.geometries()))):
            hole = shapely.Polygon(ring)
            inside = shapely.contains_xy(hole, cols, rows)
            if ring.is_ccw or not hole.area < limit or (codes[inside] == 255).any():
                continue
            assert len(np.unique(found[inside])) == 1


@settings(max_examples=40, deadline=None)
@given(codes=RASTERS, size=st.sampled_from([3, 5, 7]), height=st.integers(1, 11))
def test_the_majority_wins(codes, size, height):
    found, summary = cleaned(codes, height, 64, majority=size)
    expected = cleaning.majority(codes, size)
    np.testing.assert_array_equal(found, expected)
    assert summary.majority_pixels == (found != codes).sum()


@settings(max_examples=40, deadline=None)
@given(codes=RASTERS, limit=LIMITS, height=st.integers(1, 11))
def test_steps_follow_each_other_and_nodata_stays(codes, limit, height):
    options = {"majority": 3, "fill_holes_m2": limit * 200, "min_area_m2": limit * 100}
    found, _ = cleaned(codes, height, 64, **options)
    step = codes
    for name, value in options.items():
        step, _ = cleaned(step, 11, 64, **{name: value})
    np.testing.assert_array_equal(found, step)
    nodata = np.iinfo(codes.dtype).max
    np.testing.assert_array_equal(found == nodata, codes == nodata)


@pytest.mark.parametrize("limit", [2, 30, 400])
def test_a_large_noisy_map_is_the_same_for_any_strip_height_and_has_no_small_areas(limit):
    rng = np.random.default_rng(1)
    codes = np.kron(rng.integers(0, 4, (40, 40)), np.ones((8, 8))).astype(np.uint8)
    noisy = rng.random(codes.shape) < 0.2
    codes[noisy] = rng.integers(0, 4, noisy.sum())
    one, summary = cleaned(codes, 320, 64, min_area_m2=limit * 100)
    other, _ = cleaned(codes, 7, 5, min_area_m2=limit * 100)
    np.testing.assert_array_equal(one, other)
    assert min(mask.sum() for mask in cleaning.areas_of(one)) >= limit
    assert summary.merged_pixels > 1000
