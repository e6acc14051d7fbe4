"""The raster attribute table of a mask, as GDAL reads it: neither rasterio nor pyogrio can, GDAL's own Python can."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS

from geoseg.core.grid import Grid
from geoseg.core.legend import LandClass, Legend
from geoseg.io.raster import RasterSpec, RasterWriter, write_cog
from geoseg.io.style import palette

SYSTEM_PYTHON = "/usr/bin/python3"
LEGEND = Legend(
    (LandClass(code=1, name="Water", colour="#0A64c8"), LandClass(code=40, name="Ä & <b> 🌲", colour="#228b22"))
)
LOOK = """
import json, sys
from osgeo import gdal
file = gdal.Open(sys.argv[1])
band = file.GetRasterBand(1)
table = band.GetDefaultRAT()
rows, cols = range(table.GetRowCount()), range(table.GetColumnCount())
print(json.dumps({
    "usages": [table.GetUsageOfCol(col) for col in cols],
    "rows": [[table.GetValueAsString(row, col) for col in cols] for row in rows],
    "row_of_40": table.GetRowOfValue(40),
    "categories": band.GetCategoryNames(),
}))
"""


def test_gdal_reads_values_names_and_colours(tmp_path):
    there = Path(SYSTEM_PYTHON).exists() and (
        subprocess.run([SYSTEM_PYTHON, "-I", "-c", "from osgeo import gdal"], capture_output=True, check=False)
    )
    if not there or there.returncode:
        pytest.skip(f"no GDAL: {SYSTEM_PYTHON} has no osgeo (Debian: apt-get install python3-gdal)")
    grid = Grid(crs=CRS.from_epsg(32633), transform=Affine(10, 0, 500000, 0, -10, 5000000), height=30, width=40)
    names = {c.code: c.name for c in LEGEND}
    spec = RasterSpec(
        grid=grid, dtype="uint8", band_names=("class",), nodata=255, palette=palette(LEGEND), class_names=names
    )
    with RasterWriter(tmp_path / "working.tif", spec) as writer:
        writer.write(grid.window, np.full(grid.shape, 40, dtype=np.uint8))
    write_cog(tmp_path / "working.tif", tmp_path / "mask.tif", spec)
    command = [SYSTEM_PYTHON, "-I", "-c", LOOK, tmp_path / "mask.tif"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert found["usages"] == [5, 2, 6, 7, 8, 9]  # value, name, red, green, blue, alpha
    assert found["rows"] == [[str(c.code), c.name, *map(str, c.rgb), "255"] for c in LEGEND]
    assert found["row_of_40"] == 1
    assert found["categories"][1::39] == [c.name for c in LEGEND]
