"""`geoseg polygonize --geometry points` and `--classes`: points inside of the polygons, chosen classes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import geopandas
import numpy as np
import pytest
import shapely
from classes import class_rasters
from factory import write_raster
from hypothesis import given, settings

from geoseg.vectorize.raster import RasterOptions, polygonize_raster
from geoseg.vectorize.simplify import SimplifyOptions

RING = np.array([[1, 1, 1, 1], [1, 2, 2, 1], [1, 2, 2, 1], [1, 1, 1, 4]], dtype=np.uint8)
LEGEND = "1: ring road\n2: pond\n4: roof\n7: ice\n"


@pytest.fixture
def raster(tmp_path):
    (tmp_path / "legend.yaml").write_text(LEGEND)
    return write_raster(tmp_path / "codes.tif", RING[None], nodata=0)


@settings(max_examples=25, deadline=None)
@given(raster=class_rasters())
def test_every_point_lies_in_its_polygon_and_has_its_attributes(raster):
    codes, nodata = raster
    simplify = SimplifyOptions(tolerance=1.5, unit="px")
    frames = []
    with tempfile.TemporaryDirectory() as folder:
        path = write_raster(Path(folder) / "codes.tif", codes[None], nodata=nodata)
        for geometry in ("polygons", "points"):
            out = Path(folder) / f"{geometry}.parquet"
            polygonize_raster(path, out, RasterOptions(geometry=geometry, simplify=simplify))
            frames.append(geopandas.read_parquet(out).sort_values("id", ignore_index=True))
    polygons, points = frames
    assert set(points.geom_type) == {"Point"}
    assert shapely.contains_properly(polygons.geometry.to_numpy(), points.geometry.to_numpy()).all()
    assert points.drop(columns=["geometry", "bbox"], errors="ignore").equals(
        polygons.drop(columns=["geometry", "bbox"], errors="ignore")
    )


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".shp", ".geojson"])
def test_points_in_every_format(geoseg, raster, tmp_path, suffix):
    out = tmp_path / f"points{suffix}"
    end = geoseg("polygonize", raster, "--out", out, "--geometry", "points", "--legend", tmp_path / "legend.yaml")
    assert end.code == 0, end.err
    assert "3 polygons, a point for each" in end.out
    layer = {"layer": "landcover"} if suffix == ".gpkg" else {}
    frame = geopandas.read_parquet(out) if suffix == ".parquet" else geopandas.read_file(out, **layer)
    assert frame.geom_type.tolist() == ["Point"] * 3
    assert sorted(frame["class"]) == ["pond", "ring road", "roof"]


def test_dissolved_classes_are_a_point_each(geoseg, tmp_path):
    raster = write_raster(tmp_path / "codes.tif", np.array([[[1, 2, 1, 2, 1]]], dtype=np.uint8), nodata=0)
    out = tmp_path / "points.fgb"
    end = geoseg("polygonize", raster, "--out", out, "--geometry", "points", "--dissolve")
    assert end.code == 0, end.err
    frame = geopandas.read_file(out).set_index("code")
    assert frame["polygons"].to_dict() == {1: 3, 2: 2}
    assert set(frame.geom_type) == {"Point"}


def test_chosen_classes_are_those_of_the_whole_map(geoseg, raster, tmp_path):
    whole, some = tmp_path / "whole.gpkg", tmp_path / "some.gpkg"
    arguments = ("--legend", tmp_path / "legend.yaml")
    assert geoseg("polygonize", raster, "--out", whole, *arguments).code == 0
    assert geoseg("polygonize", raster, "--out", some, *arguments, "--classes", "roof, ring road").code == 0
    expected = geopandas.read_file(whole, layer="landcover")
    expected = expected[expected["class"] != "pond"].sort_values("id", ignore_index=True)
    found = geopandas.read_file(some, layer="landcover").sort_values("id", ignore_index=True)
    assert found["class"].tolist() == ["ring road", "roof"]
    assert found.geometry.geom_equals(expected.geometry).all()
    assert found.drop(columns="geometry").equals(expected.drop(columns="geometry"))


def test_cleaning_sees_all_classes(geoseg, raster, tmp_path):
    out = tmp_path / "map.parquet"
    choice = ("--legend", tmp_path / "legend.yaml", "--classes", "ring road", "--min-area", "901")
    assert geoseg("polygonize", raster, "--out", out, *choice).code == 0
    assert geopandas.read_parquet(out)["area_m2"].tolist() == [12 * 900]  # 11 pixels and the one of the roof


@pytest.mark.parametrize(
    ("classes", "code", "words"),
    [
        ("road", 3, "has no class road; its classes are ring road, pond, roof, ice"),
        ("ice", 3, "holds no pixel of ice"),
        ("pond,", 2, "expected NAME,..."),
    ],
)
def test_classes_that_are_not_there_are_refused(geoseg, raster, tmp_path, classes, code, words):
    out = tmp_path / "map.gpkg"
    end = geoseg("polygonize", raster, "--out", out, "--legend", tmp_path / "legend.yaml", "--classes", classes)
    assert (end.code, out.exists()) == (code, False)
    assert words in end.err
