"""Laws of regularised outlines: a coverage, right angles, much the same ground, one result for any strip height."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely.affinity import rotate, translate

from geoseg.vectorize.regularise import LEAST_OVERLAP, MOST_CHANGE, regularise
from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, trace

SIDE, BUILDING = 64, 2
YY, XX = np.mgrid[:SIDE, :SIDE] + 0.5


@st.composite
def buildings(draw):
    """A rectangle or an L in any direction and place, also across the edge of the map."""
    width, height = draw(st.floats(2, 24)), draw(st.floats(2, 24))
    shape = shapely.box(-width / 2, -height / 2, width / 2, height / 2)
    if draw(st.booleans()):
        shape = shape.difference(shapely.box(0, 0, width, height))
    place = draw(st.floats(0, SIDE)), draw(st.floats(0, SIDE))
    return translate(rotate(shape, draw(st.floats(0, 90)), origin=(0, 0)), *place)


@st.composite
def maps(draw):
    """Classes 0 and 1 with a border of steps, buildings upon them, sometimes a corner of nodata and some noise."""
    steps = np.random.default_rng(draw(st.integers(0, 999))).integers(-1, 2, SIDE)
    codes = (np.arange(SIDE)[:, None] >= draw(st.integers(-9, SIDE)) + np.cumsum(steps)).astype(np.uint8)
    for shape in draw(st.lists(buildings(), min_size=1, max_size=9)):
        codes[shapely.contains_xy(shape, XX, YY)] = BUILDING
    if draw(st.booleans()):
        codes[:9, :20] = 255
    for row, col in draw(st.lists(st.tuples(st.integers(0, SIDE - 1), st.integers(0, SIDE - 1)), max_size=8)):
        codes[row, col] = draw(st.integers(0, 2))
    return codes


OPTIONS = st.builds(
    SimplifyOptions,
    method=st.sampled_from(["visvalingam", "douglas-peucker"]),
    tolerance=st.sampled_from([0, 1, 1.5, 4, 100]),
    unit=st.just("px"),
    smooth=st.sampled_from([0, 2]),
    regularise=st.sampled_from([("building",), ()]),
)
GSD = st.sampled_from([(1.0, 1.0), (2.0, 1.0)])


def traced(codes, height):
    chosen = np.arange(3) == BUILDING
    strips = [LabelStrip(codes=codes[row : row + height]) for row in range(0, len(codes), height)]
    areas = np.ones(len(codes))
    return trace(strips, row_area_m2=areas, keep_junctions=True, keep_borders=True, chosen=chosen, batch_vertices=1)


def shapes_of(codes, height, options, gsd_m):
    parts = [simplify(part, options=options, gsd_m=gsd_m) for part in traced(codes, height)]
    return [np.concatenate(every) for every in zip(*((p.geometries(), p.area_m2) for p in parts), strict=True)]


@settings(max_examples=40, deadline=None)
@given(codes=maps(), options=OPTIONS, gsd_m=GSD, height=st.integers(1, SIDE))
def test_regularised_polygons_are_a_coverage_of_the_same_ground(codes, options, gsd_m, height):
    shapes, areas = shapes_of(codes, height, options, gsd_m)
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    assert shapely.coverage_is_valid(shapes)
    known = codes != 255
    assert shapely.area(shapes).sum() == pytest.approx(known.sum(), rel=1e-9)
    assert shapely.union_all(shapes).area == pytest.approx(known.sum(), rel=1e-9)
    np.testing.assert_allclose(areas, shapely.area(shapes), rtol=1e-9)
    whole, whole_areas = shapes_of(codes, SIDE, options, gsd_m)
    assert (shapes == whole).all()
    np.testing.assert_array_equal(areas, whole_areas)


@settings(max_examples=60, deadline=None)
@given(codes=maps(), gsd_m=GSD)
def test_rings_have_right_angles_and_cover_about_what_they_did(codes, gsd_m):
    for part in traced(codes, SIDE):
        for ring, points in zip(*regularise(part, gsd_m), strict=True):
            begin, end = part.ring_offsets[ring : ring + 2]
            old, new = shapely.Polygon(part.coords[begin:end]), shapely.Polygon(points)
            edges = np.diff(points, axis=0) * gsd_m[::-1]
            edges /= np.hypot(*edges.T)[:, None]
            assert np.abs((edges * np.roll(edges, 1, axis=0)).sum(axis=1)).max() < 1e-6
            assert new.is_valid
            assert old.convex_hull.buffer(1e-6).contains(new)
            assert old.intersection(new).area >= LEAST_OVERLAP * old.union(new).area - 1e-9
            assert abs(new.area - old.area) <= MOST_CHANGE * old.area + 1e-9


@settings(max_examples=40, deadline=None)
@given(codes=maps(), tolerance=st.sampled_from([0, 1.5]))
def test_only_rings_around_or_within_chosen_classes_change(codes, tolerance):
    with_it, _ = shapes_of(
        codes, SIDE, SimplifyOptions(tolerance=tolerance, unit="px", regularise=("building",)), (1, 1)
    )
    without, _ = shapes_of(codes, SIDE, SimplifyOptions(tolerance=tolerance, unit="px"), (1, 1))
    labels = np.concatenate([part.codes for part in traced(codes, SIDE)])
    changed = [
        shapely.Polygon(ring)
        for new, old in zip(with_it, without, strict=True)
        for ring, other in zip(shapely.get_rings(new), shapely.get_rings(old), strict=True)
        if not ring.equals_exact(other)
    ]
    chosen = shapely.union_all(shapely.boundary(with_it[labels == BUILDING]))
    assert all(chosen.covers(ring.boundary) for ring in changed)
