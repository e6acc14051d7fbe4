"""Laws of polygons of any class raster: a coverage that burns back to the raster, whatever its type and nodata."""

from __future__ import annotations

import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from classes import class_rasters
from factory import NORTH_UP, write_raster
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize

from geoseg.io.classmap import open_class_map
from geoseg.vectorize.pipeline import polygonize
from geoseg.vectorize.raster import polygonize_raster
from geoseg.vectorize.trace import LabelStrip

UNUSED = 3_000_000_000  # no code


@settings(max_examples=60, deadline=None)
@given(raster=class_rasters())
def test_polygons_are_a_coverage_that_burns_back_to_the_raster(raster):
    codes, nodata = raster
    valid = np.ones(codes.shape, dtype=bool) if nodata is None else codes != nodata
    with tempfile.TemporaryDirectory() as folder:
        path = write_raster(Path(folder) / "codes.tif", codes[None], nodata=nodata)
        summary = polygonize_raster(path, Path(folder) / "map.parquet")
        frame = geopandas.read_parquet(folder + "/map.parquet")
    shapes = np.asarray(frame.geometry)
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(valid.sum() * 900)
    assert frame["area_m2"].sum() == pytest.approx(valid.sum() * 900)
    assert sum(summary.area_m2.values()) == pytest.approx(valid.sum() * 900)
    pairs = zip(shapes, frame["code"].astype(float), strict=True)
    burnt = rasterize(pairs, out_shape=codes.shape, transform=NORTH_UP, fill=UNUSED, dtype=np.float64)
    np.testing.assert_array_equal(burnt, np.where(valid, codes.astype(float), UNUSED))


@settings(max_examples=30, deadline=None)
@given(raster=class_rasters(), rows=st.integers(1, 10))
def test_ids_and_polygons_do_not_depend_on_the_strips(raster, rows):
    codes, nodata = raster
    with tempfile.TemporaryDirectory() as folder:
        source = open_class_map(write_raster(Path(folder) / "codes.tif", codes[None], nodata=nodata))
        frames = []
        for height in (rows, len(codes)):
            strips = (LabelStrip(codes=labels) for labels in source.strips(height))
            out = Path(folder) / "map.parquet"
            polygonize(strips, out, grid=source.grid, legend=source.legend, codes=source.codes)
            frames.append(geopandas.read_parquet(out))
    assert frames[0].equals(frames[1])
