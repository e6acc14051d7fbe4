"""Our polygons against the ones of GDAL's polygonize."""

from __future__ import annotations

import numpy as np
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.features import shapes
from shapely.geometry import shape

from geoseg.vectorize.trace import LabelStrip, trace

CODES = st.sampled_from([0, 1, 7, 255])
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))


def normal(polygons):
    return sorted((code, shapely.to_wkb(shapely.normalize(polygon))) for code, polygon in polygons)


def by_gdal(codes):
    found = shapes(codes, mask=codes != np.iinfo(codes.dtype).max, connectivity=4)
    return normal((int(code), shape(polygon)) for polygon, code in found)


def by_us(codes, height, batch_vertices=1 << 18):
    strips = (LabelStrip(codes=codes[row : row + height]) for row in range(0, len(codes), height))
    batches = trace(strips, row_area_m2=np.ones(len(codes)), batch_vertices=batch_vertices)
    return normal(pair for batch in batches for pair in zip(batch.codes.tolist(), batch.geometries(), strict=True))


@settings(max_examples=150, deadline=None)
@given(
    codes=arrays(np.uint8, SHAPES, elements=CODES), height=st.integers(1, 9), batch=st.sampled_from([1, 30, 1 << 18])
)
def test_equal_to_gdal_for_any_raster_and_strip_height(codes, height, batch):
    assert by_us(codes, height, batch) == by_gdal(codes)


@settings(max_examples=60, deadline=None)
@given(codes=arrays(np.uint16, SHAPES, elements=st.sampled_from([0, 255, 256, 65534, 65535])), height=st.integers(1, 9))
def test_equal_to_gdal_for_labels_of_two_bytes(codes, height):
    assert by_us(codes, height) == by_gdal(codes)


@settings(max_examples=60, deadline=None)
@given(codes=arrays(np.bool_, (10, 10)), height=st.integers(1, 10))
def test_equal_to_gdal_where_many_corners_touch(codes, height):
    """Two classes at random: components that meet themselves diagonally, known as one only rows later."""
    codes = codes.astype(np.uint8)
    assert by_us(codes, height) == by_gdal(codes)


def test_equal_to_gdal_where_a_spiral_stays_open_to_the_last_row():
    codes = np.zeros((64, 64), dtype=np.uint8)
    for inset in range(0, 32, 2):
        codes[inset : 64 - inset, inset : 64 - inset] = (inset // 2) % 2
        codes[inset + 1, inset + 1] = 3
    assert by_us(codes, 1) == by_us(codes, 64) == by_gdal(codes)


def test_equal_to_gdal_on_a_noisy_map_that_outgrows_the_first_memory():
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 5, (200, 37)).astype(np.uint8)
    codes[rng.random(codes.shape) < 0.1] = 255
    assert by_us(codes, 11) == by_gdal(codes)
