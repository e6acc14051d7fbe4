"""Geometries in bytes: what shapely makes of them and reads from them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely

from geoseg.errors import InputError
from geoseg.io.vector import wkb
from geoseg.io.vector.wkb import bounds_of, encode_polygons

RING = np.array([[0, 0], [8, 0], [8, 8], [0, 8], [0, 0]], dtype=float)
HOLE = np.array([[1, 1], [1, 2], [2.5, 2], [1, 1]])
POLYGONS = [shapely.Polygon(RING + 0.1, [HOLE + 0.1, HOLE + 4]), shapely.Polygon(RING * 1e7 - 3)]


def as_array(geometries):
    return pa.array(shapely.to_wkb(geometries), type=pa.binary())


def test_polygons_are_the_bytes_of_shapely():
    _, xy, (ring_offsets, polygon_offsets) = shapely.to_ragged_array(POLYGONS)
    made = encode_polygons(xy, ring_offsets.astype(np.int64), polygon_offsets.astype(np.int64))
    assert made.to_pylist() == list(shapely.to_wkb(POLYGONS, byte_order=1))


def test_no_polygons_make_an_empty_array():
    made = encode_polygons(np.empty((0, 2)), np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert made.to_pylist() == []
    assert bounds_of(made).shape == (0, 4)


def test_more_bytes_than_an_array_holds_are_refused(monkeypatch):
    monkeypatch.setattr(wkb, "_MOST_BYTES", 100)
    _, xy, (ring_offsets, polygon_offsets) = shapely.to_ragged_array(POLYGONS)
    with pytest.raises(InputError, match="too many to write at once"):
        encode_polygons(xy, ring_offsets.astype(np.int64), polygon_offsets.astype(np.int64))


def test_bounds_are_those_of_shapely_for_every_type():
    geometries = [
        *POLYGONS,
        shapely.MultiPolygon(POLYGONS),
        shapely.Point(3, -4),
        shapely.MultiPoint([[3, -4], [5, 6]]),
        shapely.LineString(HOLE),
        shapely.MultiLineString([HOLE, -HOLE]),
        shapely.GeometryCollection(
            [shapely.Point(-9, 0), shapely.MultiPolygon(POLYGONS[:1]), shapely.LineString(HOLE)]
        ),
        shapely.Polygon(),
        shapely.MultiPolygon(),
        shapely.Point(),
    ]
    np.testing.assert_array_equal(bounds_of(as_array(geometries)), shapely.bounds(geometries))


def test_bounds_of_a_part_of_an_array():
    array = as_array([*POLYGONS, shapely.Point(1, 2)])
    np.testing.assert_array_equal(bounds_of(array.slice(1, 1)), shapely.bounds(POLYGONS[1:]))
    np.testing.assert_array_equal(bounds_of(array.slice(3)), np.empty((0, 4)))
