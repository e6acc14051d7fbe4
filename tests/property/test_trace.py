"""Laws of traced polygons: one result for any strip height, a coverage, and sums that are those of the pixels."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import rasterize

from geoseg.vectorize.sweep import HIGHEST, KNOWN, LOWEST, SQUARES, SUM
from geoseg.vectorize.trace import LabelStrip, trace

RASTERS = arrays(np.uint8, st.tuples(st.integers(1, 10), st.integers(1, 10)), elements=st.sampled_from([0, 1, 2, 255]))
NAMES = ("codes", "first_pixels", "pixels", "area_m2", "stats")


def batches(codes, height, layers=None, **options):
    rows = [slice(row, row + height) for row in range(0, len(codes), height)]
    strips = [LabelStrip(codes=codes[r], layers=None if layers is None else layers[:, r]) for r in rows]
    return list(trace(strips, row_area_m2=np.arange(1.0, len(codes) + 1), **options))


def joined(batches, name):
    return np.concatenate([getattr(batch, name) for batch in batches])


def polygons(batches):
    return np.concatenate([batch.geometries() for batch in batches])


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS, height=st.integers(1, 10), junctions=st.booleans())
def test_order_sums_and_coordinates_do_not_depend_on_the_strip_height(codes, height, junctions):
    layers = np.linspace(0, 1, 2 * codes.size, dtype=np.float32).reshape(2, *codes.shape)
    whole = batches(codes, len(codes), layers, keep_junctions=junctions)
    cut = batches(codes, height, layers, keep_junctions=junctions, batch_vertices=1)
    if not whole:
        assert (codes == 255).all()
        assert not cut
        return
    for name in (*NAMES, "coords"):
        np.testing.assert_array_equal(joined(cut, name), joined(whole, name))
    assert (polygons(cut) == polygons(whole)).all()


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS.filter(lambda codes: (codes != 255).any()), height=st.integers(1, 10))
def test_polygons_are_valid_and_hold_exactly_their_pixels(codes, height):
    found = batches(codes, height)
    shapes, values = polygons(found), joined(found, "codes")
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    np.testing.assert_array_equal(shapely.area(shapes), joined(found, "pixels"))
    assert shapely.area(shapes).sum() == (codes != 255).sum()
    burnt = rasterize(zip(shapes, values.tolist(), strict=True), out_shape=codes.shape, fill=255, dtype=np.uint8)
    np.testing.assert_array_equal(burnt, codes)


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS.filter(lambda codes: (codes != 255).any()), height=st.integers(1, 10))
def test_with_junctions_the_polygons_are_a_coverage_of_the_same_shapes(codes, height):
    shapes = polygons(batches(codes, height, keep_junctions=True))
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapely.union_all(shapes)) == (codes != 255).sum()
    plain = polygons(batches(codes, height))
    assert (shapely.normalize(shapely.simplify(shapes, 0)) == shapely.normalize(shapely.simplify(plain, 0))).all()


@settings(max_examples=60, deadline=None)
@given(codes=RASTERS, height=st.integers(1, 10))
def test_first_pixels_are_unique_and_of_the_polygons_class_and_order_is_by_last_row(codes, height):
    found = batches(codes, height, batch_vertices=1)
    if not found:
        return
    first, shapes = joined(found, "first_pixels"), polygons(found)
    assert len(np.unique(first, axis=0)) == len(first)
    np.testing.assert_array_equal(codes[tuple(first.T)], joined(found, "codes"))
    col_row = first[:, ::-1] + 0.5
    assert shapely.contains(shapes, shapely.points(col_row)).all()
    np.testing.assert_array_equal(shapely.bounds(shapes)[:, 1], first[:, 0])
    keys = list(zip(shapely.bounds(shapes)[:, 3], first.tolist(), strict=True))
    assert keys == sorted(keys)


@settings(max_examples=30, deadline=None)
@given(codes=RASTERS, height=st.integers(1, 10), seed=st.integers(0, 99))
def test_sums_over_polygons_are_the_sums_over_pixels(codes, height, seed):
    layers = np.random.default_rng(seed).random((2, *codes.shape), dtype=np.float32)
    layers[layers < 0.2] = np.nan
    found = batches(codes, height, layers)
    if not found:
        return
    for code in set(codes.ravel().tolist()) - {255}:
        mask, mine = codes == code, joined(found, "codes") == code
        assert joined(found, "pixels")[mine].sum() == mask.sum()
        assert joined(found, "area_m2")[mine].sum() == (mask.sum(axis=1) * np.arange(1, len(codes) + 1)).sum()
        stats = joined(found, "stats")[mine]
        for layer, numbers in enumerate(layers.astype(np.float64)):
            values = numbers[mask & ~np.isnan(numbers)]
            assert stats[:, layer, KNOWN].sum() == len(values)
            assert stats[:, layer, SUM].sum() == pytest.approx(values.sum())
            assert stats[:, layer, SQUARES].sum() == pytest.approx((values**2).sum())
            assert stats[:, layer, LOWEST].min() == values.min(initial=np.inf)
            assert stats[:, layer, HIGHEST].max() == values.max(initial=-np.inf)
