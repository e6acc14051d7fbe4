"""`geoseg dissolve`: polygons of anybody united by class."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
from factory import write_raster
from scipy.ndimage import gaussian_filter
from shapely import Point, box


@pytest.fixture
def raster(tmp_path):
    smooth = np.stack([gaussian_filter(np.random.default_rng(k).standard_normal((40, 50)), 2) for k in range(3)])
    return write_raster(tmp_path / "codes.tif", smooth.argmax(axis=0).astype(np.uint8)[None] + 1, nodata=1)


def test_tiles_are_united_to_what_they_were(geoseg, raster, tmp_path):
    whole, tiles, out = tmp_path / "whole.parquet", tmp_path / "tiles.gpkg", tmp_path / "out.gpkg"
    assert geoseg("polygonize", raster, "--out", whole, "--dissolve").code == 0
    assert geoseg("polygonize", raster, "--out", tiles, "--split-grid", "9px").code == 0
    end = geoseg("dissolve", tiles, "--out", out, "--json")
    assert end.code == 0, end.err
    expected = geopandas.read_parquet(whole).set_index("class")
    found = geopandas.read_file(out, layer="tiles").set_index("class")
    assert found.geometry.geom_equals(expected.geometry).all()
    assert found["area_m2"].to_dict() == pytest.approx(expected["area_m2"].to_dict())
    assert found["code"].to_dict() == expected["code"].to_dict()
    assert json.loads(end.out)["polygons"] == found["polygons"].to_dict() == expected["polygons"].to_dict()
    assert geoseg("dissolve", tiles, "--out", out).code == 3
    assert "polygons read" in geoseg("dissolve", tiles, "--out", out, "--overwrite", "--column", "code").out


def test_overlapping_polygons_of_others(geoseg, tmp_path):
    columns = {"kind": ["b", "a", "b"], "area_m2": [4.0, 1.0, 4.0], "confidence": [0.5, 1.0, np.nan]}
    shapes = [box(0, 0, 2, 2), box(9, 9, 10, 10), box(1, 0, 3, 2)]
    frame = geopandas.GeoDataFrame(columns, geometry=shapes, crs="EPSG:32612")
    frame.to_file(tmp_path / "mine.fgb", engine="pyogrio")
    assert geoseg("dissolve", tmp_path / "mine.fgb", "--out", tmp_path / "o.parquet", "--column", "kind").code == 0
    found = geopandas.read_parquet(tmp_path / "o.parquet").set_index("kind").sort_index()
    assert found.geometry.area.to_dict() == {"a": 1, "b": 6}
    assert found[["area_m2", "confidence", "polygons"]].to_numpy().tolist() == [[1, 1, 1], [8, 0.5, 1]]


@pytest.mark.parametrize(
    ("geometry", "arguments", "words"),
    [(box(0, 0, 1, 1), ("--column", "kind"), "no column 'kind'"), (Point(0, 0), (), "holds no polygons")],
)
def test_what_cannot_be_dissolved_is_refused(geoseg, tmp_path, geometry, arguments, words):
    frame = geopandas.GeoDataFrame({"class": ["a"]}, geometry=[geometry], crs="EPSG:32612")
    frame.to_file(tmp_path / "mine.gpkg", engine="pyogrio")
    end = geoseg("dissolve", tmp_path / "mine.gpkg", "--out", tmp_path / "o.gpkg", *arguments)
    assert (end.code, end.out) == (3, "")
    assert words in end.err
    assert geoseg("dissolve", tmp_path / "mine.gpkg", "--out", tmp_path / "mine.gpkg", "--overwrite").code == 3
