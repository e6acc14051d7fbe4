"""Where a map is wanted: areas on both grids of a prediction, the tiles they take, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from factory import write_area, write_scene

from geoseg.core.tiling import plan_tiles
from geoseg.errors import InputError
from geoseg.inference.wanted import area_files, open_wanted, reach_of
from geoseg.io.area import open_area
from geoseg.io.scene import open_scene

COARSE = Affine(30, 0, 301905, 0, -30, 4154085)
FINE = Affine(10, 0, 301905, 0, -10, 4154085)


def fit_of(path, factor):
    """A scene, and the same in pixels `factor` times as large to work on."""
    scene = open_scene(path)
    return SimpleNamespace(source=scene, scene=scene.on_grid(scene.grid.rescaled(factor, factor)))


def box(grid, row, col, row_end, col_end):
    (left, top), (right, bottom) = grid.transform @ (col, row), grid.transform @ (col_end, row_end)
    return shapely.box(left, bottom, right, top)


def test_without_an_area_everything_is_wanted(tmp_path):
    wanted = open_wanted(None, fit_of(write_scene(tmp_path / "s.tif"), 1), to_scene=False)
    assert (wanted.inferred, wanted.results) == (None, None)
    assert area_files(None) == ()
    plan = plan_tiles(150, 110, size=64, overlap=16, stride=8)
    reach = reach_of(plan, None)
    assert (reach.tiles, reach.pixels, reach.redundancy) == (tuple(plan), 150 * 110, plan.redundancy)


def test_a_result_on_the_working_grid_is_inferred_where_it_is_wanted(tmp_path):
    fit = fit_of(write_scene(tmp_path / "s.tif", 90, 90, transform=FINE), 3)
    area = write_area(tmp_path / "a.gpkg", box(fit.scene.grid, 5, 6, 15, 20))
    wanted = open_wanted(area, fit, to_scene=False)
    expected = np.zeros((30, 30), dtype=bool)
    expected[5:15, 6:20] = True
    np.testing.assert_array_equal(wanted.results.inside(fit.scene.grid.window), expected)
    assert wanted.inferred is wanted.results


@pytest.mark.parametrize("factor", [3.0, 1.7, 1 / 3])
def test_a_result_on_the_scenes_grid_is_inferred_as_far_as_resampling_takes_from(tmp_path, factor):
    fit = fit_of(write_scene(tmp_path / "s.tif", 90, 96, transform=FINE), factor)
    thin = shapely.buffer(shapely.LineString([FINE @ (8, 10), FINE @ (80, 77)]), 4.0)  # narrower than a pixel
    wanted = open_wanted(write_area(tmp_path / "a.gpkg", thin), fit, to_scene=True)
    source, work = fit.source.grid, fit.scene.grid
    inside, inferred = wanted.results.inside(source.window), wanted.inferred.inside(work.window)
    rows, cols = np.mgrid[:90, :96] + 0.5
    np.testing.assert_array_equal(inside, shapely.contains_xy(thin, *(FINE @ (cols, rows))))
    assert 5 < inside.sum() < 300
    reach = max(1.0, 0.5 / factor + 0.5)  # pixels of the working grid
    for row, col in np.argwhere(inside):
        middle = ~work.transform @ (source.transform @ (col + 0.5, row + 0.5))
        across, down = (np.arange(n) + 0.5 for n in (work.width, work.height))
        near = (np.abs(down - middle[1]) < reach)[:, None] & (np.abs(across - middle[0]) < reach)[None]
        assert near.any()
        assert inferred[near].all(), (row, col)
    assert inferred.mean() < 0.5


def test_tiles_and_pixels_are_counted(tmp_path):
    scene = open_scene(write_scene(tmp_path / "s.tif", 150, 110))
    ring = shapely.buffer(shapely.Point(scene.grid.transform @ (60, 90)), 1200).difference(
        box(scene.grid, 75, 45, 95, 70)
    )
    area = open_area(write_area(tmp_path / "a.gpkg", ring), scene.grid)
    inside = area.inside(scene.grid.window)
    for size, overlap in ((64, 16), (32, 8), (24, 0), (256, 64)):
        plan = plan_tiles(150, 110, size=size, overlap=overlap, stride=8)
        reach = reach_of(plan, area)
        met = [tile for tile in plan if inside[tile.read.slices].any()]
        assert list(reach.tiles) == met
        assert reach.pixels == inside.sum()
        assert reach.redundancy == len(met) * plan.rows.size * plan.cols.size / inside.sum()
    assert len(reach_of(plan_tiles(150, 110, size=24, overlap=0, stride=8), area).tiles) < 35


def test_tiles_without_valid_pixels_are_told_from_a_preview(tmp_path):
    path = write_scene(tmp_path / "s.tif", 256, 128)
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, :128] = 65535
        file.write(data)
    scene = open_scene(path)
    plan = plan_tiles(256, 128, size=64, overlap=0, stride=8)
    area = open_area(write_area(tmp_path / "a.gpkg", box(scene.grid, 70, 10, 180, 50)), scene.grid)
    for size in (256, 64, 16):
        preview = scene.preview(size)
        assert reach_of(plan, None).valid_tiles(preview) == 4
        assert reach_of(plan, area).valid_tiles(preview) == 1
    assert (len(reach_of(plan, area).tiles), reach_of(plan, area).valid_tiles(None)) == (2, 2)


def test_an_area_without_a_pixels_centre_is_refused(tmp_path):
    fit = fit_of(write_scene(tmp_path / "s.tif", 90, 90, transform=FINE), 3)
    area = write_area(tmp_path / "a.gpkg", box(fit.source.grid, 11.1, 11.1, 11.9, 11.9))
    with pytest.raises(InputError, match=r"a\.gpkg: no pixel of the map has its centre in the area of interest; draw"):
        open_wanted(area, fit, to_scene=False)
    assert open_wanted(area, fit, to_scene=True).results.inside(fit.source.grid.window).sum() == 1
    beside = write_area(tmp_path / "b.gpkg", box(fit.source.grid, 20, -1.4, 30, -0.1))
    for to_scene in (False, True):
        with pytest.raises(InputError, match=r"b\.gpkg: no pixel of the map has its centre"):
            open_wanted(beside, fit, to_scene=to_scene)


def test_a_shapefile_is_several_files(tmp_path):
    area = write_area(tmp_path / "a.shp", shapely.box(0, 0, 1, 1))
    assert {path.name for path in area_files(area)} == {"a.shp", "a.shx", "a.dbf", "a.prj", "a.cpg"}
    assert area_files(str(tmp_path / "a.gpkg")) == (tmp_path / "a.gpkg",)
