"""QGIS opens what geoseg writes, and shows the names and colours of the legend.

The tests take the Python of the system, to which the Debian package python3-qgis gives QGIS, and skip without it.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import shapely
from affine import Affine
from pyproj import CRS

from geoseg.core.grid import Grid
from geoseg.core.legend import LandClass, Legend
from geoseg.io.raster import RasterSpec, RasterWriter, write_cog
from geoseg.io.style import palette, raster_qml
from geoseg.io.vector import VectorLayer, write_features
from geoseg.vectorize.pipeline import polygonize
from geoseg.vectorize.trace import LabelStrip

SYSTEM_PYTHON = "/usr/bin/python3"
SCRIPT = Path(__file__).parents[1] / "look_in_qgis.py"
LEGEND = Legend(
    (
        LandClass(code=1, name="Water", colour="#0A64C8"),
        LandClass(code=4, name="Wald & <Wiese> \"dicht\" 'x' 🌲", colour="#228b22"),
        LandClass(code=7, name="never there", colour="#ff00ff"),
    )
)
SHOWN = [[str(c.code), c.name, c.colour.lower()] for c in LEGEND]
GRID = Grid(crs=CRS.from_epsg(32633), transform=Affine(10, 0, 500000, 0, -10, 5000000), height=40, width=40)
CODES = np.where(np.add.outer(np.arange(40), np.arange(40)) < 40, 1, 4).astype(np.uint8)


@pytest.fixture(scope="module")
def qgis():
    """Ask QGIS what it makes of some files, in one process."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "GDAL", "PROJ"))}
    environment |= {"QT_QPA_PLATFORM": "offscreen"}
    there = Path(SYSTEM_PYTHON).exists() and (
        subprocess.run([SYSTEM_PYTHON, "-c", "import qgis.core"], env=environment, capture_output=True, check=False)
    )
    if not there or there.returncode:
        pytest.skip(f"no QGIS: {SYSTEM_PYTHON} has no qgis.core (Debian: apt-get install python3-qgis)")

    def ask(*requests):
        command = [SYSTEM_PYTHON, SCRIPT, json.dumps(requests)]
        end = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert end.returncode == 0, end.stderr
        return json.loads(end.stdout.splitlines()[-1])

    return ask


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("qgis")


def write_polygons(out):
    polygonize([LabelStrip(codes=CODES)], out, grid=GRID, legend=LEGEND)
    return out


def test_a_geopackage_opens_with_names_and_colours(qgis, folder):
    out = write_polygons(folder / "map.gpkg")
    with closing(sqlite3.connect(out)) as database:
        ((sld,),) = database.execute("SELECT styleSLD FROM layer_styles").fetchall()
    (folder / "map.sld").write_text(sld, encoding="utf-8")
    request = {"layer": f"{out}|layername=landcover", "kind": "vector", "picture": str(folder / "gpkg.png")}
    plain, described = qgis(request, request | {"style": str(folder / "map.sld"), "picture": str(folder / "sld.png")})
    assert (plain["valid"], plain["crs"], plain["features"]) == (True, "EPSG:32633", 2)
    assert (plain["renderer"], plain["attribute"]) == ("categorizedSymbol", "code")
    assert [[str(value), label, colour] for value, label, colour in plain["classes"]] == SHOWN
    assert plain["colours"] == ["#0a64c8", "#228b22"]
    assert described["styled"]
    assert [entry[1:] for entry in described["classes"]] == [entry[1:] for entry in SHOWN]
    assert described["colours"] == ["#0a64c8", "#228b22"]


def test_a_mask_opens_with_names_and_colours(qgis, folder):
    spec = RasterSpec(
        grid=GRID,
        dtype="uint8",
        band_names=("class",),
        nodata=255,
        palette=palette(LEGEND),
        class_names={c.code: c.name for c in LEGEND},
    )
    with RasterWriter(folder / "working.tif", spec) as writer:
        writer.write(GRID.window, CODES)
    write_cog(folder / "working.tif", folder / "mask.tif", spec)
    (folder / "mask.qml").write_text(raster_qml(LEGEND), encoding="utf-8")
    request = {"layer": str(folder / "mask.tif"), "kind": "raster", "picture": str(folder / "mask.png")}
    (found,) = qgis(request)  # QGIS takes the style beside a file by itself
    assert (found["valid"], found["crs"], found["renderer"]) == (True, "EPSG:32633", "paletted")
    assert [[f"{value:g}", label, colour] for value, label, colour in found["classes"]] == SHOWN
    assert found["colours"] == ["#0a64c8", "#228b22"]


def test_other_formats_open(qgis, folder):
    """Without styles; GeoParquet and PMTiles take a younger GDAL than many installations of QGIS have."""
    files = [write_polygons(folder / f"map{suffix}") for suffix in (".fgb", ".shp", ".geojson", ".geojsonl")]
    for found in qgis(*({"layer": str(f), "kind": "vector", "picture": str(folder / "x.png")} for f in files)):
        assert found["valid"]
        assert found["features"] in {2, -1}  # not counted
        assert {"id", "code", "class", "area_m2"} <= set(found["fields"])


def test_points_that_wait_for_a_class_open_with_what_is_known(qgis, folder):
    layer = VectorLayer(
        name="points",
        crs=GRID.crs,
        fields=pa.schema([("id", pa.int64()), ("class", pa.string())]),
        legend=LEGEND,
        geometry_type="Point",
    )
    names = [LEGEND[0].name, LEGEND[1].name, None]
    batch = layer.batch(shapely.points([[0, 0], [9, 9], [5, 2]]), {"id": [1, 2, 3], "class": names})
    write_features([batch], folder / "points.gpkg", layer=layer)
    (found,) = qgis({"layer": str(folder / "points.gpkg"), "kind": "vector", "picture": str(folder / "points.png")})
    assert (found["renderer"], found["attribute"]) == ("categorizedSymbol", "class")
    assert [label for _, label, _ in found["classes"]] == [*(c.name for c in LEGEND), "to be interpreted"]
