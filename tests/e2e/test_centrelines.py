"""`geoseg centrelines`: lines in the middle of roads, with length and width."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pytest
from affine import Affine
from factory import NORTH_UP, write_raster
from pyproj import Geod

ROAD = "class 5"


@pytest.fixture
def town(tmp_path):
    """A road of 5 pixels, 150 m, from the left to the right edge, with a spur of 4 pixels; and a pond."""
    codes = np.ones((40, 90), dtype=np.uint8)
    codes[18:23] = 5
    codes[14:18, 40] = 5
    codes[30:36, 10:20] = 2
    return write_raster(tmp_path / "codes.tif", codes[None], nodata=0)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb", ".parquet", ".shp", ".geojson"])
def test_a_road_is_a_line_in_its_middle(geoseg, town, tmp_path, suffix):
    out = tmp_path / f"roads{suffix}"
    arguments = ("--classes", ROAD, "--spur", "300", "--simplify", "31")
    end = geoseg("centrelines", town, "--out", out, *arguments)
    assert end.code == 0, end.err
    frame = geopandas.read_parquet(out) if suffix == ".parquet" else geopandas.read_file(out)
    (row,) = frame.itertuples()
    assert (row.id, row.code) == (1, 5)
    assert row.length_m == pytest.approx(90 * 30, rel=0.06)  # thinning takes up to half a width from each end
    assert row.width_m * row.length_m == pytest.approx((90 * 5 + 4) * 900)
    line = frame.geometry.to_crs("EPSG:32612").iloc[0]
    rows = [(~NORTH_UP @ place)[1] for place in line.coords]
    assert max(abs(r - 20.5) for r in rows) <= 1.1


def test_spurs_stay_if_they_are_wanted_and_errors_are_told(geoseg, town, tmp_path):
    out = tmp_path / "roads.fgb"
    end = geoseg("centrelines", town, "--out", out, "--classes", ROAD, "--json")
    assert end.code == 0, end.err
    told, frame = json.loads(end.out), geopandas.read_file(out)
    assert told["lines"] == len(frame) == 3
    assert told["length_m"][ROAD] == pytest.approx(frame["length_m"].sum())
    assert (frame["length_m"] * frame["width_m"]).sum() == pytest.approx((90 * 5 + 4) * 900)
    np.testing.assert_allclose(frame["length_m"], frame.geometry.length)
    assert geoseg("centrelines", town, "--out", out, "--classes", ROAD).code == 3
    assert "PMTiles" in geoseg("centrelines", town, "--out", tmp_path / "r.pmtiles", "--classes", ROAD).err
    assert "has no class" in geoseg("centrelines", town, "--out", tmp_path / "r.gpkg", "--classes", "x").err


def test_lengths_in_degrees_are_geodesic(geoseg, tmp_path):
    codes = np.zeros((60, 60), dtype=np.uint8)
    codes[np.arange(60), np.arange(60)] = 5
    transform = Affine(0.001, 0, 10, 0, -0.001, 60)
    raster = write_raster(tmp_path / "codes.tif", codes[None], nodata=0, crs="EPSG:4326", transform=transform)
    out = tmp_path / "roads.fgb"
    end = geoseg("centrelines", raster, "--out", out, "--classes", ROAD)
    assert end.code == 0, end.err
    frame = geopandas.read_file(out)
    expected = Geod(ellps="WGS84").geometry_length(frame.geometry.iloc[0])
    assert frame["length_m"].tolist() == pytest.approx([expected], rel=1e-4)
    assert len(frame.geometry.iloc[0].coords) == 2  # straight: simplification by 0 takes what lies on it


def test_an_area_without_lines_is_an_empty_file(geoseg, tmp_path):
    codes = np.ones((5, 5), dtype=np.uint8)
    codes[2, 2] = 5
    out = tmp_path / "roads.fgb"
    end = geoseg(
        "centrelines", write_raster(tmp_path / "c.tif", codes[None], nodata=0), "--out", out, "--classes", ROAD
    )
    assert end.code == 0, end.err
    assert len(geopandas.read_file(out)) == 0
