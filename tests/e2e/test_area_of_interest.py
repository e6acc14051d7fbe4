"""`geoseg predict --aoi`: inside of an area the map is that of everything, outside of it there is none."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from factory import NORTH_UP, write_area, write_scene

from geoseg.core.tiling import plan_tiles
from geoseg.inference.journal import Journal

SIZE = ("--tile", 64, "--overlap", 32)
FINE = Affine(10, 0, 301905, 0, -10, 4154085)


def read(path):
    with rasterio.open(path) as file:
        return file.read()


def outputs(folder: Path) -> tuple[object, ...]:
    folder.mkdir(exist_ok=True)
    return "--mask", folder / "m.tif", "--probabilities", folder / "p.tif", "--out", folder / "m.gpkg"


def disc(row: float, col: float, radius: float, transform: Affine = NORTH_UP) -> shapely.Polygon:
    """In pixels of a grid."""
    return shapely.buffer(shapely.Point(transform @ (col, row)), radius * transform.a)


def inside(polygon: shapely.Polygon, shape: tuple[int, int], transform: Affine = NORTH_UP) -> np.ndarray:
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    return shapely.contains_xy(polygon, *(transform @ (cols, rows)))


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    path = write_scene(tmp_path_factory.mktemp("scene") / "scene.tif", 200, 170)
    with rasterio.open(path, "r+") as file:
        data = file.read()
        data[:, 90:100, 60:70] = 65535
        file.write(data)
    return path


@pytest.fixture(scope="module")
def area(tmp_path_factory):
    """A GeoJSON file, and thus in EPSG:4326."""
    return write_area(tmp_path_factory.mktemp("area") / "area.geojson", disc(100, 60, 40.3), written_in="EPSG:4326")


def test_inside_the_map_is_that_of_everything_and_outside_there_is_none(geoseg, scene, area, tiny_bundle, tmp_path):
    whole, part = tmp_path / "whole", tmp_path / "part"
    for folder, words in ((whole, ()), (part, ("--aoi", area))):
        end = geoseg("predict", scene, "--model", tiny_bundle, *outputs(folder), *SIZE, *words, "--json")
        assert end.code == 0, end.err
    summary = json.loads(end.out)
    codes, expected = read(part / "m.tif")[0], read(whole / "m.tif")[0]
    wanted = inside(disc(100, 60, 40.3), codes.shape)  # written with 7 digits and more, it holds the same pixels
    assert 0.1 < wanted.mean() < 0.2
    np.testing.assert_array_equal(codes, np.where(wanted, expected, 255))
    np.testing.assert_array_equal(codes == 255, ~wanted | (read(scene) == 65535).any(axis=0))
    np.testing.assert_array_equal(read(part / "p.tif"), np.where(wanted, read(whole / "p.tif"), 255))
    polygons = geopandas.read_file(part / "m.gpkg", layer="landcover")
    burnt = rasterio.features.rasterize(
        zip(polygons.geometry, polygons["code"], strict=True), codes.shape, fill=255, transform=NORTH_UP, dtype="uint8"
    )
    np.testing.assert_array_equal(burnt, codes)
    assert summary["figures"]["nodata_share"] == pytest.approx((codes == 255).mean())
    assert sum(summary["figures"]["area_m2"].values()) == pytest.approx((codes != 255).sum() * 900)
    with rasterio.open(part / "m.tif") as file:
        provenance = json.loads(file.tags()["GEOSEG_PROVENANCE"])
    assert provenance["inputs"].keys() == {"scene.tif", "tiny.geoseg", "area.geojson"}


def test_results_on_the_scenes_own_grid_end_there_too(geoseg, tiny_bundle, tmp_path):
    scene = write_scene(tmp_path / "fine.tif", 301, 200, transform=FINE)
    drawn = shapely.union(
        disc(150, 90, 41.7, FINE), shapely.buffer(shapely.LineString([FINE @ (5, 8), FINE @ (190, 60)]), 6)
    )
    area = write_area(tmp_path / "area.gpkg", drawn)
    whole, part = tmp_path / "whole", tmp_path / "part"
    for folder, words in ((whole, ()), (part, ("--aoi", area))):
        end = geoseg("predict", scene, "--model", tiny_bundle, *outputs(folder), "--grid", "scene", *words)
        assert end.code == 0, end.err
    wanted = inside(drawn, (301, 200), FINE)
    np.testing.assert_array_equal(read(part / "m.tif"), np.where(wanted, read(whole / "m.tif"), 255))
    np.testing.assert_array_equal(read(part / "p.tif"), np.where(wanted, read(whole / "p.tif"), 255))
    assert (read(part / "m.tif")[0][wanted] != 255).all()


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
@pytest.mark.parametrize("tta", ["none", "scales"])
def test_other_runtimes_and_views_keep_to_the_area(geoseg, scene, area, tiny_bundle, tmp_path, runtime, tta):
    words = ("--runtime", runtime, "--tta", tta, *SIZE)
    for name, more in (("whole.tif", ()), ("part.tif", ("--aoi", area))):
        end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / name, *words, *more)
        assert end.code == 0, end.err
    wanted = inside(disc(100, 60, 40.3), (200, 170))
    np.testing.assert_array_equal(read(tmp_path / "part.tif"), np.where(wanted, read(tmp_path / "whole.tif"), 255))


def test_it_goes_on_with_the_same_area_only(geoseg, scene, area, tiny_bundle, tmp_path, monkeypatch):
    words = ("predict", scene, "--model", tiny_bundle, *outputs(tmp_path / "part"), *SIZE)
    own = tmp_path / "area.geojson"
    own.write_bytes(area.read_bytes())
    mark = Journal.mark

    def interrupted(journal, done):
        mark(journal, done)
        if done == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "mark", interrupted)
        assert geoseg(*words, "--aoi", own).code == 130
    everything = geoseg(*words, "--resume")
    assert everything.code == 3
    assert "belongs to another prediction (content of area.geojson was " in everything.err
    own.unlink()
    write_area(own, disc(100, 60, 30), written_in="EPSG:4326")
    another = geoseg(*words, "--aoi", own, "--resume")
    assert another.code == 3
    assert "belongs to another prediction (content of area.geojson was " in another.err
    own.write_bytes(area.read_bytes())
    resumed = geoseg(*words, "--aoi", own, "--resume")
    assert resumed.code == 0, resumed.err
    end = geoseg("predict", scene, "--model", tiny_bundle, *outputs(tmp_path / "at-once"), *SIZE, "--aoi", area)
    assert end.code == 0, end.err
    for name in ("m.tif", "p.tif"):
        np.testing.assert_array_equal(read(tmp_path / "part" / name), read(tmp_path / "at-once" / name))


def test_a_dry_run_counts_the_tiles_that_are_computed(geoseg, scene, area, tiny_bundle, tmp_path):
    words = ("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", *SIZE, "--dry-run")
    everything = json.loads(geoseg(*words, "--json").out)
    assert everything["computed"] == everything["tiles"][0] * everything["tiles"][1] == 30
    part = json.loads(geoseg(*words, "--aoi", area, "--json").out)
    assert part["tiles"] == everything["tiles"]
    wanted = inside(disc(100, 60, 40.3), (200, 170))
    plan = plan_tiles(200, 170, size=64, overlap=32, stride=32)
    assert everything["borders"] == [list(plan.rows.borders[1:-1]), list(plan.cols.borders[1:-1])]
    met = sum(bool(wanted[tile.read.slices].any()) for tile in plan)
    assert part["computed"] == met < 20
    assert part["redundancy"] == pytest.approx(met * 64 * 64 / wanted.sum())
    end = geoseg(*words, "--aoi", area)
    assert f"{met} of 30 tiles are computed; in the others nothing is wanted or valid" in end.out
    assert "tiles are computed" not in geoseg(*words).out
    assert not list(tmp_path.iterdir())


def test_what_is_no_area_of_interest_is_one_clear_line(geoseg, scene, tiny_bundle, tmp_path):
    (tmp_path / "empty.gpkg").write_bytes(b"")
    (tmp_path / "text.geojson").write_text("where I live")
    (tmp_path / "nothing.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    write_area(tmp_path / "point.gpkg", shapely.Point(NORTH_UP @ (50, 50)))
    write_area(tmp_path / "line.gpkg", shapely.LineString([NORTH_UP @ (50, 50), NORTH_UP @ (90, 99)]))
    write_area(tmp_path / "nowhere.shp", disc(50, 50, 9)).with_suffix(".prj").unlink()
    write_area(tmp_path / "beside.gpkg", disc(50, 900, 9))
    write_area(tmp_path / "tiny.gpkg", disc(50, 50, 0.1))
    said = {
        "none.gpkg": "there is no such file",
        "empty.gpkg": "cannot be read as a vector file",
        "text.geojson": "cannot be read as a vector file",
        "nothing.geojson": "holds no polygons",
        "point.gpkg": "an area of interest needs polygons",
        "line.gpkg": "an area of interest needs polygons",
        "nowhere.shp": "has no CRS",
        "beside.gpkg": "does not touch the scene",
        "tiny.gpkg": "no pixel of the map has its centre in the area",
    }
    for name, message in said.items():
        out = tmp_path / "out"
        out.mkdir()
        for words in ((), ("--dry-run",)):
            end = geoseg(
                "predict", scene, "--model", tiny_bundle, "--mask", out / "m.tif", "--aoi", tmp_path / name, *words
            )
            assert end.code == 3, (name, end.out)
            (line,) = end.err.strip().splitlines()
            assert str(tmp_path / name) in line
            assert message in line, line
        assert not list(out.iterdir())
        out.rmdir()


def test_the_area_is_not_overwritten(geoseg, scene, tiny_bundle, tmp_path):
    area = write_area(tmp_path / "area.gpkg", disc(50, 50, 9))
    end = geoseg("predict", scene, "--model", tiny_bundle, "--out", area, "--aoi", area, "--overwrite")
    assert end.code == 3
    assert "area.gpkg: is an input of this run" in end.err


def test_an_area_without_valid_pixels_gives_an_empty_map_and_says_so(geoseg, scene, tiny_bundle, tmp_path):
    area = write_area(tmp_path / "area.gpkg", disc(95, 65, 4))
    end = geoseg("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--aoi", area)
    assert end.code == 0, end.err
    assert "warning: no valid pixel is there to be mapped; the results are empty" in end.err
    assert (read(tmp_path / "m.tif") == 255).all()


def test_from_python(scene, area, tiny_bundle, tmp_path):
    import geoseg

    bundle = geoseg.load_bundle(tiny_bundle)
    options = geoseg.PredictOptions(aoi=str(area), tile=64, overlap=32)
    summary = geoseg.predict(geoseg.open_scene(scene), bundle, geoseg.Outputs(mask=tmp_path / "m.tif"), options=options)
    codes = read(tmp_path / "m.tif")[0]
    valid = inside(disc(100, 60, 40.3), codes.shape) & ~(read(scene) == 65535).any(axis=0)
    np.testing.assert_array_equal(codes != 255, valid)
    assert summary.figures.nodata_share == pytest.approx(1 - valid.mean())
