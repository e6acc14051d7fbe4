"""A pixel's value never depends on the window through which it is read."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from factory import NORTH_UP, reflectance_dn, write_raster
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geoseg.core.grid import Grid, Window
from geoseg.io.scene import open_scene

HEIGHT, WIDTH = 620, 590  # more than a block of the warper, which has its own
UTM11 = Grid(crs=CRS.from_epsg(32611), transform=Affine(33, 0, 832_100, 0, -33, 4_158_700), height=HEIGHT, width=WIDTH)
DEGREES = Grid(crs=CRS.from_epsg(4326), transform=Affine(8e-4, 0, -113.26, 0, -7e-4, 37.53), height=280, width=300)


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    data = reflectance_dn(HEIGHT, WIDTH)
    data[:, 200:350, 120:340] = 65535
    data[2, :70] = 65535
    declared = {"names": ("blue", "green", "red", "nir"), "scale": 2e-5, "offset": -0.1, "nodata": 65535}
    scene = open_scene(write_raster(tmp_path_factory.mktemp("s") / "s.tif", data, transform=NORTH_UP, **declared))
    grid = scene.grid
    found = {
        "as stored": scene,
        "finer": scene.on_grid(grid.rescaled(0.37, 0.37)),
        "a little coarser": scene.on_grid(grid.rescaled(1.3, 1.3)),
        "coarser": scene.on_grid(grid.rescaled(2.3, 1.7)),
        "another CRS": scene.on_grid(UTM11),
        "means in degrees": scene.on_grid(DEGREES),
    }
    wholes = {name: scene.read(scene.grid.window) for name, scene in found.items()}
    for name, whole in wholes.items():
        assert 0.2 < whole.valid.mean() < 0.99, name
    return found, wholes


KINDS = ("as stored", "finer", "a little coarser", "coarser", "another CRS", "means in degrees")


@given(
    kind=st.sampled_from(KINDS),
    row=st.integers(-40, 700),
    col=st.integers(-40, 700),
    height=st.integers(1, 70),
    width=st.integers(1, 70),
)
@settings(max_examples=100)
def test_a_window_is_a_piece_of_the_whole(scenes, kind, row, col, height, width):
    scene, whole = scenes[0][kind], scenes[1][kind]
    window = Window(row=row, col=col, height=height, width=width)
    raster = scene.read(window)
    data, valid = np.zeros_like(raster.data), np.zeros_like(raster.valid)
    part = window.intersect(scene.grid.window)
    if part is not None:
        rows, cols = part.within(window).slices
        data[:, rows, cols] = whole.data[:, *part.slices]
        valid[rows, cols] = whole.valid[part.slices]
    np.testing.assert_array_equal(raster.valid, valid)
    np.testing.assert_array_equal(raster.data, data)
    np.testing.assert_allclose(raster.grid.transform @ (0, 0), scene.grid.transform @ (col, row))


CHEAP = ("as stored", "coarser", "another CRS")


@given(kind=st.sampled_from(CHEAP), rows=st.integers(200, 700), cols=st.integers(200, 700))
@settings(max_examples=8)
def test_xarray_does_not_depend_on_chunks(scenes, kind, rows, cols):
    scene, whole = scenes[0][kind], scenes[1][kind]
    array = scene.to_xarray(chunks=(rows, cols), indices=("ndwi",)).compute(scheduler="synchronous")
    values = scene.bands.physical(whole.data)
    expected = np.concatenate([values, scene.bands.index("ndwi", values)[None]])
    expected[:, ~whole.valid] = np.nan
    np.testing.assert_array_equal(array.values, expected)
