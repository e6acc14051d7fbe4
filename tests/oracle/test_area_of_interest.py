"""Which pixels lie in an area of interest, against rasterio's rasterize and against points in polygons."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from factory import NORTH_UP, write_area
from pyproj import CRS, Transformer
from rasterio.features import rasterize
from shapely import Polygon

from geoseg.core.grid import Grid
from geoseg.errors import InputError, MissingFileError
from geoseg.io.area import open_area

GRIDS = {
    "north-up": NORTH_UP,
    "south-up": Affine(30, 0, 301905, 0, 30, 4150000),
    "rotated": Affine.translation(301905, 4154085) @ Affine.rotation(25) @ Affine.scale(30, -30),
}


def grid_of(transform: Affine = NORTH_UP) -> Grid:
    return Grid(crs=CRS.from_epsg(32612), transform=transform, height=170, width=230)


def stars(grid: Grid, count: int, seed: int) -> list[Polygon]:
    """Many-cornered polygons with a hole, in a grid's CRS; some reach beyond the grid, some overlap."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
        radii = rng.uniform(0.4, 1, 40) * rng.uniform(5, 60)
        col, row = rng.uniform(0, grid.width), rng.uniform(0, grid.height)
        corners = [
            grid.transform @ (col + r * np.cos(a), row + r * np.sin(a)) for r, a in zip(radii, angles, strict=True)
        ]
        hole = [grid.transform @ (col + np.cos(a), row + np.sin(a)) for a in (0.1, 1.7, 4.0)]
        whole = shapely.make_valid(Polygon(corners)).difference(Polygon(hole))
        found.append(whole)
    return found


def inside(area, grid: Grid, rows: int = 170, cols: int = 230) -> np.ndarray:
    mask = np.zeros(grid.shape, dtype=bool)
    for window in grid.windows(rows, cols):
        mask[window.slices] = area.inside(window)
    return mask


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("seed", range(4))
def test_polygons_in_the_scenes_crs_are_as_rasterised(tmp_path, name, seed):
    grid = grid_of(GRIDS[name])
    polygons = stars(grid, 4, seed)
    expected = rasterize(polygons, out_shape=grid.shape, transform=grid.transform, dtype="uint8") == 1
    area = open_area(write_area(tmp_path / "a.gpkg", *polygons), grid)
    assert 0 < expected.sum() < expected.size
    for rows, cols in ((170, 230), (64, 64), (33, 41)):
        np.testing.assert_array_equal(inside(area, grid, rows, cols), expected)


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "fgb", "shp"])
@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:5070", "EPSG:3857"])
def test_polygons_in_another_crs_hold_the_pixels_whose_centres_they_hold(tmp_path, crs, suffix):
    grid = grid_of()
    path = write_area(tmp_path / f"a.{suffix}", *stars(grid, 3, 9), written_in=crs)
    frame = geopandas.read_file(path)
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    x, y = grid.transform @ (cols, rows)
    to_file = Transformer.from_crs(grid.crs, frame.crs, always_xy=True)
    there = shapely.points(*to_file.transform(x, y))
    whole = frame.union_all()
    near = shapely.distance(whole.boundary, there) < (1e-6 if frame.crs.is_geographic else 0.1)  # about 0.1 m
    expected = shapely.contains(whole, there)
    found = inside(open_area(path, grid), grid)
    assert near.mean() < 0.01
    assert 0 < expected.sum() < expected.size
    np.testing.assert_array_equal(found[~near], expected[~near])


def test_a_wider_area_holds_the_pixels_that_close_to_it(tmp_path):
    grid = grid_of()
    polygons = stars(grid, 3, 5)
    path = write_area(tmp_path / "a.gpkg", *polygons)
    rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
    centres = shapely.points(*(grid.transform @ (cols, rows)))
    distance = shapely.distance(shapely.union_all(polygons), centres) / 30
    found = inside(open_area(path, grid, margin_px=3), grid)
    assert found[distance < 3 * 0.92].all()
    assert not found[distance > 3].any()


def test_what_is_no_area_is_refused(tmp_path):
    grid = grid_of()
    with pytest.raises(MissingFileError, match=r"none\.gpkg: there is no such file"):
        open_area(tmp_path / "none.gpkg", grid)
    (tmp_path / "empty.geojson").write_text("")
    (tmp_path / "text.gpkg").write_text("no features at all")
    for name in ("empty.geojson", "text.gpkg"):
        with pytest.raises(InputError, match=f"{name}: cannot be read as a vector file"):
            open_area(tmp_path / name, grid)
    (tmp_path / "nothing.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    with pytest.raises(InputError, match=r"nothing\.geojson: holds no polygons"):
        open_area(tmp_path / "nothing.geojson", grid)
    middle = shapely.Point(grid.transform @ (100, 100))
    for shape in (middle, shapely.LineString([middle, grid.transform @ (10, 10)])):
        path = write_area(tmp_path / "thin.gpkg", shape)
        with pytest.raises(InputError, match=r"thin\.gpkg: holds geometries that are no polygons; an area of interest"):
            open_area(path, grid)
        path.unlink()
    nowhere = write_area(tmp_path / "nowhere.shp", shapely.buffer(middle, 900))
    nowhere.with_suffix(".prj").unlink()
    with pytest.raises(InputError, match=r"nowhere\.shp: has no CRS; assign the one"):
        open_area(nowhere, grid)
    beside = write_area(tmp_path / "beside.gpkg", shapely.buffer(shapely.Point(400_000, 4_154_085), 900))
    with pytest.raises(InputError, match=r"beside\.gpkg: the area of interest does not touch the scene"):
        open_area(beside, grid)
