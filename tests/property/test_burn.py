"""Polygons of a class raster burn back to it, whatever its type and nodata, and from every format."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import rasterio
from classes import class_rasters
from factory import write_raster
from hypothesis import given, settings

from geoseg.vectorize.burn import burn_polygons
from geoseg.vectorize.raster import RasterOptions, polygonize_raster
from geoseg.vectorize.split import SplitOptions


@settings(max_examples=25, deadline=None)
@given(raster=class_rasters())
def test_polygons_of_any_class_raster_burn_back_to_it(raster):
    codes, nodata = raster
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write_raster(folder / "codes.tif", codes[None], nodata=nodata)
        polygonize_raster(path, folder / "map.parquet", RasterOptions(split=SplitOptions(side=3), dissolve=True))
        summary = burn_polygons(folder / "map.parquet", path, folder / "burnt.tif")
        with rasterio.open(folder / "burnt.tif") as dataset:
            burnt = dataset.read(1)
            told = dataset.dtypes[0], dataset.nodata
    np.testing.assert_array_equal(burnt, codes)
    assert (summary.dtype, summary.nodata) == told
    assert summary.nodata_pixels == (0 if nodata is None else (codes == nodata).sum())
    if nodata is not None:
        assert told == (codes.dtype, nodata)
