"""Laws of simplified polygons: a coverage whatever the raster, one result for any strip height, the same ground."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from geoseg.vectorize.simplify import METHODS, SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, trace

SMALL = arrays(np.uint8, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.sampled_from([0, 1, 2, 255]))
RARELY_NODATA = st.sampled_from([0, 1, 2, 0, 1, 2, 0, 1, 2, 255])
# Coarse blocks of pixels leave room to move; of another shape than the pixels they make slopes of every kind.
COARSE = st.tuples(
    arrays(np.uint8, st.tuples(st.integers(2, 8), st.integers(2, 8)), elements=RARELY_NODATA),
    st.tuples(st.integers(1, 4), st.integers(1, 4)),
).map(lambda drawn: np.kron(drawn[0], np.ones(drawn[1], np.uint8)))
RASTERS = (SMALL | COARSE).filter(lambda codes: (codes != 255).any())
OPTIONS = st.builds(
    SimplifyOptions,
    method=st.sampled_from(["visvalingam", "douglas-peucker"]),
    tolerance=st.sampled_from([0, 0.75, 1, 1.5, 2.5, 6, 100]),
    unit=st.just("px"),
    smooth=st.sampled_from([0, 0, 1, 3]),
)


def polygons(codes, height, options=None):
    strips = [LabelStrip(codes=codes[row : row + height]) for row in range(0, len(codes), height)]
    found = trace(
        strips, row_area_m2=np.ones(len(codes)), keep_junctions=True, keep_borders=options is not None, batch_vertices=1
    )
    parts = [part if options is None else simplify(part, options=options, gsd_m=(1, 1)) for part in found]
    return np.concatenate([part.geometries() for part in parts]), np.concatenate([part.area_m2 for part in parts])


@settings(max_examples=150, deadline=None)
@given(codes=RASTERS, height=st.integers(1, 10), options=OPTIONS)
def test_simplified_polygons_are_a_coverage_of_the_same_ground(codes, height, options):
    exact, _ = polygons(codes, height)
    shapes, areas = polygons(codes, height, options)
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    assert (shapely.area(shapes) > 0).all()
    assert shapely.coverage_is_valid(shapes)
    together, before = shapely.union_all(shapes), shapely.union_all(exact)
    assert shapely.area(shapes).sum() == pytest.approx((codes != 255).sum(), rel=1e-12)
    assert shapely.symmetric_difference(together, before).area < 1e-9
    np.testing.assert_allclose(areas, shapely.area(shapes), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS, height=st.integers(1, 10), options=OPTIONS)
def test_the_strip_height_changes_nothing(codes, height, options):
    cut, cut_areas = polygons(codes, height, options)
    whole, areas = polygons(codes, len(codes), options)
    assert (cut == whole).all()
    np.testing.assert_array_equal(cut_areas, areas)


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS, tolerance=st.sampled_from([0, 1e-9, 0.5]), method=st.sampled_from(METHODS))
def test_a_tolerance_below_a_pixel_changes_nothing(codes, tolerance, method):
    options = SimplifyOptions(method=method, tolerance=tolerance, unit="px")
    simple, exact = polygons(codes, len(codes), options)[0], polygons(codes, len(codes))[0]
    assert (shapely.normalize(simple) == shapely.normalize(exact)).all()


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS, options=OPTIONS)
def test_junctions_stay(codes, options):
    framed = np.pad(codes, 1, constant_values=255)
    around = np.stack([framed[:-1, :-1], framed[:-1, 1:], framed[1:, 1:], framed[1:, :-1]])
    degree = (around != np.roll(around, 1, axis=0)).sum(axis=0)
    junctions = set(map(tuple, np.argwhere(degree > 2)[:, ::-1].tolist()))
    vertices = set(map(tuple, shapely.get_coordinates(polygons(codes, 3, options)[0]).tolist()))
    assert junctions <= vertices
