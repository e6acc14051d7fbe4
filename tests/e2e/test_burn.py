"""`geoseg burn`: from masks to polygons and back, and what cannot be burnt."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
import rasterio
from affine import Affine
from factory import NORTH_UP, write_raster
from shapely import Point, box

CODES = np.array([[1, 1, 2, 2], [1, 4, 4, 2], [0, 0, 4, 2]], dtype=np.uint8)


@pytest.fixture
def raster(tmp_path):
    path = write_raster(tmp_path / "codes.tif", CODES[None], nodata=0)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {1: (255, 0, 0, 255), 2: (0, 255, 0, 255), 4: (0, 0, 255, 255)})
        dataset.update_tags(1, CLASS_1="town", CLASS_2="wood", CLASS_4="lake")
    return path


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".geojson"])
def test_a_mask_comes_back_with_its_colours_and_names(geoseg, raster, tmp_path, suffix):
    polygons, out = tmp_path / f"map{suffix}", tmp_path / "burnt.tif"
    assert geoseg("polygonize", raster, "--out", polygons).code == 0
    end = geoseg("burn", polygons, "--like", raster, "--out", out)
    assert end.code == 0, end.err
    assert "2 px without a class; uint8, nodata 0" in end.out
    with rasterio.open(raster) as before, rasterio.open(out) as after:
        np.testing.assert_array_equal(before.read(), after.read())
        assert (before.profile["transform"], before.crs) == (after.profile["transform"], after.crs)
        assert all(before.colormap(1)[code] == after.colormap(1)[code] for code in (1, 2, 4))
        assert after.tags(1)["CLASS_4"] == "lake"
        assert after.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
    assert geoseg("burn", polygons, "--like", raster, "--out", out).code == 3
    assert geoseg("burn", polygons, "--like", raster, "--out", out, "--overwrite").code == 0


def test_a_rotated_mask_comes_back(geoseg, tmp_path):
    raster = write_raster(tmp_path / "codes.tif", CODES[None], transform=NORTH_UP @ Affine.rotation(30), nodata=255)
    assert geoseg("polygonize", raster, "--out", tmp_path / "m.gpkg").code == 0
    end = geoseg("burn", tmp_path / "m.gpkg", "--like", raster, "--out", tmp_path / "b.tif", "--json")
    assert end.code == 0, end.err
    with rasterio.open(tmp_path / "b.tif") as burnt:
        np.testing.assert_array_equal(burnt.read(1), CODES)
    assert json.loads(end.out)["pixels"] == {"class 0": 2, "class 1": 3, "class 2": 4, "class 4": 3}


def test_polygons_of_others_are_burnt_onto_a_scene(geoseg, tmp_path):
    """In another CRS, with a column of its own, large codes, and overlaps: the last one counts."""
    left, top = NORTH_UP.c, NORTH_UP.f
    shapes = [box(left, top - 120, left + 120, top), box(left + 60, top - 60, left + 90, top)]
    frame = geopandas.GeoDataFrame({"kind": [300.0, 70_000.0]}, geometry=shapes, crs="EPSG:32612")
    frame.to_crs(4326).to_file(tmp_path / "mine.gpkg", engine="pyogrio")
    scene = write_raster(tmp_path / "scene.tif", np.zeros((3, 5, 6), np.uint16))
    out = tmp_path / "b.tif"
    end = geoseg("burn", tmp_path / "mine.gpkg", "--like", scene, "--out", out, "--column", "kind", "--json")
    assert end.code == 0, end.err
    expected = np.full((5, 6), 2**31 - 1)
    expected[:4, :4] = 300
    expected[:2, 2] = 70_000
    with rasterio.open(out) as burnt:
        np.testing.assert_array_equal(burnt.read(1), expected)
        assert (burnt.dtypes[0], burnt.nodata) == ("int32", 2**31 - 1)
    assert json.loads(end.out)["nodata_pixels"] == 14


@pytest.mark.parametrize(
    ("columns", "geometry", "arguments", "words"),
    [
        ({"code": ["a"]}, box(0, 0, 1, 1), (), "integers"),
        ({"code": [1.5]}, box(0, 0, 1, 1), (), "integers"),
        ({"name": [1]}, box(0, 0, 1, 1), (), "no column 'code'"),
        ({"code": [1]}, Point(NORTH_UP @ (1, 1)), (), "no polygons"),
        ({"code": [2**40]}, box(0, 0, 1, 1), (), "32 bits"),
    ],
    ids=["text", "fractions", "no codes", "a point", "a large code"],
)
def test_what_cannot_be_burnt_is_refused(geoseg, raster, tmp_path, columns, geometry, arguments, words):
    frame = geopandas.GeoDataFrame(columns, geometry=[geometry], crs="EPSG:32612")
    frame.to_file(tmp_path / "mine.gpkg", engine="pyogrio")
    end = geoseg("burn", tmp_path / "mine.gpkg", "--like", raster, "--out", tmp_path / "b.tif", *arguments)
    assert (end.code, end.out) == (3, "")
    assert words in end.err
    assert not (tmp_path / "b.tif").exists()


def test_an_output_must_be_a_tiff_of_its_own(geoseg, raster, tmp_path):
    assert geoseg("polygonize", raster, "--out", tmp_path / "m.gpkg").code == 0
    for out in ("b.png", "codes.tif"):
        assert geoseg("burn", tmp_path / "m.gpkg", "--like", raster, "--out", tmp_path / out, "--overwrite").code == 3
