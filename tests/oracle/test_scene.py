"""Scenes against rasterio, GDAL's warper and rioxarray."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
import rioxarray
from affine import Affine
from factory import NORTH_UP, write_raster
from pyproj import CRS
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from rasterio.warp import reproject
from rasterio.windows import Window as GdalWindow

from geoseg.core.grid import Grid, Window
from geoseg.io.scene import open_scene


def test_zion_equals_rasterio(shared_data):
    path = shared_data / "zion_landsat8" / "zion_north.tif"
    scene = open_scene(path)
    raster = scene.read(scene.grid.window)
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(raster.data, file.read())
        np.testing.assert_array_equal(raster.valid, (file.read_masks() > 0).all(axis=0))
        assert scene.grid.transform == file.transform
        assert scene.grid.crs.to_epsg() == file.crs.to_epsg()
        np.testing.assert_allclose(scene.grid.bounds, file.bounds)


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rasterio 1.4 with affine 3
def test_a_window_over_the_border_equals_a_boundless_read(landsat7_sample):
    scene = open_scene(landsat7_sample)
    raster = scene.read(Window(row=1450, col=-20, height=70, width=90))
    with rasterio.open(landsat7_sample) as file:
        window = GdalWindow(-20, 1450, 90, 70)
        expected = file.read(window=window, boundless=True, fill_value=0)
        inside = file.read_masks(1, window=window, boundless=True) > 0
        np.testing.assert_allclose(raster.grid.transform, file.window_transform(window))
    np.testing.assert_array_equal(raster.data, expected)
    np.testing.assert_array_equal(raster.valid, inside)


def test_20_m_bands_on_10_m_equal_gdal_bilinear(shared_data):
    folder = shared_data / "rcv_sentinel2" / "crop20200802"
    scene = open_scene([folder / "B02.tif", folder / "B11.tif"])
    raster = scene.read(scene.grid.window)
    with rasterio.open(folder / "B02.tif") as fine, rasterio.open(folder / "B11.tif") as coarse:
        np.testing.assert_array_equal(raster.data[0], fine.read(1))
        expected = np.full(fine.shape, coarse.nodata, np.int16)
        reproject(
            coarse.read(1),
            expected,
            src_transform=coarse.transform,
            src_crs=coarse.crs,
            src_nodata=coarse.nodata,
            dst_transform=fine.transform,
            dst_crs=fine.crs,
            dst_nodata=coarse.nodata,
            resampling=Resampling.bilinear,
        )
        fine_valid = fine.read_masks(1) > 0
    np.testing.assert_array_equal(raster.data[1], expected)
    np.testing.assert_array_equal(raster.valid, fine_valid & (expected != -32768))


def test_larger_pixels_are_means_of_the_valid(tmp_path):
    rng = np.random.default_rng(1)
    data = rng.integers(1, 60000, (1, 60, 90)).astype("uint16")
    data[0, rng.random((60, 90)) < 0.2] = 0
    data[0, 30:36, 30:36] = 0
    scene = open_scene(write_raster(tmp_path / "s.tif", data, nodata=0))
    coarse = scene.on_grid(scene.grid.rescaled(3, 3))
    raster = coarse.read(coarse.grid.window)
    blocks = data[0].reshape(20, 3, 30, 3).swapaxes(1, 2).reshape(20, 30, 9).astype(float)
    blocks[blocks == 0] = np.nan
    has_any = ~np.isnan(blocks).all(axis=2)
    np.testing.assert_array_equal(raster.valid, has_any)
    assert not has_any.all()
    np.testing.assert_allclose(raster.data[0][has_any], np.nanmean(blocks[has_any], axis=1), atol=0.51)


@pytest.mark.parametrize("factor", [0.4, 1.3, 2.5])
@pytest.mark.parametrize("nodata", [0, 65535])
def test_nodata_does_not_bleed(tmp_path, factor, nodata):
    data = np.full((2, 80, 80), 5000, "uint16")
    data[:, 20:41, 30:50] = nodata
    data[0, :, 70:] = nodata
    scene = open_scene(write_raster(tmp_path / "s.tif", data, nodata=nodata))
    other = scene.on_grid(scene.grid.rescaled(factor, factor))
    raster = other.read(other.grid.window)
    assert 0.5 < raster.valid.mean() < 0.97
    assert (raster.data[:, raster.valid] == 5000).all()


def test_another_crs_equals_an_exact_warp(shared_data):
    path = shared_data / "zion_landsat8" / "zion_southwest.tif"
    with rasterio.open(path) as file:
        exact = {"crs": "EPSG:32611", "resampling": Resampling.bilinear, "tolerance": 1e-9}
        transform = Affine(30, 0, 838_000, 0, -30, 4_126_000)
        with WarpedVRT(file, transform=transform, height=120, width=150, XSCALE=1, YSCALE=1, **exact) as warped:
            expected, valid = warped.read(), (warped.read_masks() > 0).all(axis=0)
    scene = open_scene(path).on_grid(Grid(crs=CRS.from_epsg(32611), transform=transform, height=120, width=150))
    raster = scene.read(scene.grid.window)
    assert valid.mean() > 0.1
    np.testing.assert_array_equal(raster.valid, valid)
    np.testing.assert_array_equal(raster.data[:, valid], expected[:, valid])


def test_no_declared_nodata_still_tells_outside_from_inside(landsat7_sample):
    scene = open_scene(landsat7_sample).select([0, 3])
    left, bottom, right, top = scene.grid.bounds
    transform = Affine(7e-4, 0, left - 0.1, 0, -7e-4, top + 0.1)
    grid = Grid(crs=scene.grid.crs, transform=transform, height=800, width=800)
    raster = scene.on_grid(grid).read(grid.window)
    rows, cols = np.nonzero(raster.valid)
    x, y = transform @ (cols.min(), rows.min())
    assert (x, y) == pytest.approx((left, top), abs=7e-4)
    x, y = transform @ (cols.max() + 1, rows.max() + 1)
    assert (x, y) == pytest.approx((right, bottom), abs=7e-4)
    assert not raster.data[:, ~raster.valid].any()


def test_preview_equals_a_decimated_read(landsat7_sample):
    preview = open_scene(landsat7_sample).preview(100)
    with rasterio.open(landsat7_sample) as file:
        expected = file.read(out_shape=(7, *preview.grid.shape), resampling=Resampling.nearest)
    np.testing.assert_array_equal(preview.data, expected)


@pytest.mark.filterwarnings("ignore:Use `@` matmul:PendingDeprecationWarning")  # rioxarray 0.19 with affine 3
def test_to_xarray_equals_rioxarray(shared_data):
    path = shared_data / "zion_landsat8" / "zion_southwest.tif"
    ours = open_scene(path).to_xarray(chunks=200)
    theirs = rioxarray.open_rasterio(path, mask_and_scale=True)
    np.testing.assert_allclose(ours.values, theirs.values, atol=2e-7)
    np.testing.assert_allclose(ours.x, theirs.x)
    np.testing.assert_allclose(ours.y, theirs.y)
    assert ours.rio.crs == theirs.rio.crs
    assert ours.rio.transform(recalc=True) == theirs.rio.transform(recalc=True)


def test_rotated_scene_reprojects_where_gdal_puts_it(tmp_path):
    data = np.random.default_rng(0).integers(1, 250, (1, 40, 50)).astype("uint8")
    rotated = Affine(20, 8, 301905, 8, -20, 4154085)
    path = write_raster(tmp_path / "s.tif", data, transform=rotated, nodata=0)
    grid = Grid(crs=CRS.from_epsg(32612), transform=NORTH_UP @ Affine.translation(0, -20), height=50, width=50)
    raster = open_scene(path).on_grid(grid).read(grid.window)
    rows, cols = np.nonzero(raster.valid)
    source_cols, source_rows = ~rotated @ grid.transform @ (cols + 0.5, rows + 0.5)
    assert len(rows) > 500
    assert (source_cols > -1).all()
    assert (source_cols < 51).all()
    assert (source_rows > -1).all()
    assert (source_rows < 41).all()
