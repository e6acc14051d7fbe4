"""Working rasters in plain files: what is read is what was written, by GDAL too, and what is there stays."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import CRS

from geoseg.core.grid import Grid, Window
from geoseg.errors import OutputError
from geoseg.io.plane import PlaneWriter, raw_path
from geoseg.io.raster import RasterSpec, read_grid, write_cog


def spec(crs="EPSG:32612", dtype="uint16", names=("a", "b & <c>"), **about) -> RasterSpec:
    transform = Affine(30, 0.5, 3e5, 0.25, -30, 4e6) if crs != "EPSG:4326" else Affine(0.1, 0, -113, 0, -0.1, 37)
    grid = Grid(crs=CRS.from_user_input(crs), transform=transform, height=70, width=90)
    return RasterSpec(grid=grid, dtype=dtype, band_names=names, **about)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("crs", ["EPSG:32612", "EPSG:4326"])
def test_gdal_reads_what_was_written(tmp_path, dtype, crs):
    data = np.random.default_rng(0).integers(0, 200, (2, 70, 90)).astype(dtype)
    one = spec(crs, dtype, nodata=7, scale=0.5, offset=2.0)
    with PlaneWriter(tmp_path / "w.vrt", one) as writer:
        for window in reversed(list(one.grid.windows(32, 40))):
            writer.write(window, data[:, *window.slices])
    with rasterio.open(tmp_path / "w.vrt") as file:
        np.testing.assert_array_equal(file.read(), data)
        assert file.descriptions == ("a", "b & <c>")
        assert (file.nodata, file.scales, file.offsets) == (7, (0.5, 0.5), (2.0, 2.0))
    assert read_grid(tmp_path / "w.vrt") == one.grid


def test_what_is_there_stays(tmp_path):
    one = spec(names=("a",))
    top, bottom = Window(row=0, col=0, height=30, width=90), Window(row=30, col=0, height=40, width=90)
    for window, number in ((top, 3), (bottom, 4)):
        with PlaneWriter(tmp_path / "w.vrt", one) as writer:
            writer.write(window, np.full(window.shape, number, dtype="uint16"))
            writer.sync()
    with rasterio.open(tmp_path / "w.vrt") as file:
        assert [np.unique(file.read(1)[window.slices]).tolist() for window in (top, bottom)] == [[3], [4]]


def test_a_cog_is_made_of_it_wherever_it_lies(tmp_path):
    one = spec(names=("a",), dtype="uint8")
    data = np.random.default_rng(0).integers(0, 200, (70, 90), dtype="uint8")
    (tmp_path / "work").mkdir()
    with PlaneWriter(tmp_path / "work" / "w.vrt", one) as writer:
        writer.write(one.grid.window, data)
    write_cog(tmp_path / "work" / "w.vrt", tmp_path / "map.tif", one)
    with rasterio.open(tmp_path / "map.tif") as file:
        np.testing.assert_array_equal(file.read(1), data)
    assert {path.name for path in (tmp_path / "work").iterdir()} == {"w.vrt", "w.raw"}


@pytest.mark.parametrize(
    ("window", "data"),
    [
        (Window(row=0, col=0, height=2, width=2), np.zeros((2, 2, 3), "uint16")),
        (Window(row=0, col=0, height=2, width=2), np.zeros((2, 2, 2), "uint8")),
        (Window(row=69, col=0, height=2, width=2), np.zeros((2, 2, 2), "uint16")),
    ],
)
def test_data_must_fit(tmp_path, window, data):
    with PlaneWriter(tmp_path / "w.vrt", spec()) as writer, pytest.raises(ValueError, match=r"w\.vrt"):
        writer.write(window, data)


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(OutputError, match=r"w\.vrt: cannot be written"), PlaneWriter(tmp_path / "no" / "w.vrt", spec()):
        pass


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[2])
from test_plane import spec
from geoseg.errors import OutputError
from geoseg.io.plane import PlaneWriter
one = spec()
try:
    with PlaneWriter(Path(sys.argv[1]), one) as writer:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
        writer.write(one.grid.window, np.ones((2, 70, 90), dtype="uint16"))
except OutputError as error:
    print("refused", error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of file sizes on Windows")
def test_a_full_disk_is_an_error(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, tmp_path / "w.vrt", Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith(f"refused {tmp_path / 'w.vrt'}: cannot be written (File too large)")
    assert raw_path(tmp_path / "w.vrt").exists()
