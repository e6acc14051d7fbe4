"""`geoseg polygonize` on rasters of anybody: what they name, what they do not, and what is no class raster."""

from __future__ import annotations

import json
import sqlite3

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from affine import Affine
from factory import NORTH_UP, write_area, write_raster, write_scene
from rasterio.features import geometry_mask, rasterize
from shapely import box

from geoseg.io.style import attribute_table_xml

CODES = np.array([[1, 1, 2, 2], [1, 4, 4, 2], [0, 0, 4, 2]], dtype=np.uint8)


@pytest.fixture
def raster(tmp_path):
    return write_raster(tmp_path / "codes.tif", CODES[None], nodata=0)


def paint(path, palette, tags=None):
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, palette)
        dataset.update_tags(1, **(tags or {}))


def style_of(path):
    with sqlite3.connect(path) as database:
        return database.execute("SELECT styleQML FROM layer_styles").fetchone()[0]


def run(geoseg, raster, *arguments, out="map.gpkg"):
    out = raster.parent / out
    end = geoseg("polygonize", raster, "--out", out, *arguments)
    assert end.code == 0, end.err
    return end, geopandas.read_file(out, layer="landcover")


def test_a_mask_of_ours_gives_the_polygons_of_the_prediction(geoseg, tiny_bundle, tmp_path):
    scene, mask = write_scene(tmp_path / "scene.tif"), tmp_path / "mask.tif"
    end = geoseg("predict", scene, "--model", tiny_bundle, "--out", tmp_path / "direct.gpkg", "--mask", mask)
    assert end.code == 0, end.err
    end, frame = run(geoseg, mask)
    direct = geopandas.read_file(tmp_path / "direct.gpkg", layer="landcover")
    same = [name for name in direct.columns if name not in {"confidence", "confidence_min", "scene", "date"}]
    assert frame[same].equals(direct[same])
    assert style_of(tmp_path / "map.gpkg") == style_of(tmp_path / "direct.gpkg")
    assert "note" not in end.out


def test_a_raster_that_names_nothing_says_so(geoseg, raster):
    end, frame = run(geoseg, raster)
    assert frame.set_index("code")["class"].to_dict() == {1: "class 1", 2: "class 2", 4: "class 4"}
    assert frame["area_m2"].sum() == 10 * 900
    assert "does not name codes 1, 2, 4: called 'class 1'" in end.out
    assert "no colour for codes 1, 2, 4" in end.out


@pytest.mark.parametrize("method", ["visvalingam", "douglas-peucker"])
def test_borders_can_be_simplified_and_smoothed(geoseg, tmp_path, method):
    waves = 1 + (np.arange(20)[:, None] > 9 + 6 * np.sin(np.arange(30) / 4))[None].astype(np.uint8)
    raster = write_raster(tmp_path / "waves.tif", waves)  # pixels of 30 m
    vertices = {}
    for name, options in {
        "exact": [],
        "simple": ["--simplify", 45],
        "smooth": ["--simplify", 45, "--smooth", 2],
    }.items():
        _, frame = run(geoseg, raster, *options, "--simplify-method", method, out=f"{name}.gpkg")
        assert shapely.coverage_is_valid(frame.geometry.values)
        assert frame["area_m2"].sum() == pytest.approx(600 * 900)
        vertices[name] = shapely.get_num_coordinates(frame.geometry.values).sum()
    assert vertices["simple"] < 0.5 * vertices["exact"]
    assert vertices["simple"] < vertices["smooth"]


def test_chosen_classes_get_right_angles(geoseg, tmp_path):
    house = shapely.affinity.rotate(box(12, 12, 34, 26), 25)
    codes = np.where(shapely.contains_xy(house, *(np.indices((40, 48))[::-1] + 0.5)), 7, 3).astype(np.uint8)
    raster = write_raster(tmp_path / "codes.tif", codes[None])
    for name in ("7", "class 7", "7, class 3"):
        _, frame = run(geoseg, raster, "--regularise", name, "--overwrite")
        assert len(frame.geometry[frame.code == 7].item().exterior.coords) == 5
        assert shapely.coverage_is_valid(frame.geometry.to_numpy())
    end = geoseg("polygonize", raster, "--out", tmp_path / "other.gpkg", "--regularise", "house")
    assert end.code == 3
    assert "not in the legend: house" in end.err
    assert not (tmp_path / "other.gpkg").exists()


def test_names_and_colours_of_a_raster_are_taken(geoseg, raster):
    paint(raster, {1: (255, 0, 0, 255), 2: (0, 255, 0, 255)}, {"CLASS_1": "town", "CLASS_2": "wood"})
    end, frame = run(geoseg, raster)
    assert set(frame["class"]) == {"town", "wood", "class 4"}
    style = style_of(raster.parent / "map.gpkg")
    assert "255,0,0,255" in style
    assert "0,255,0,255" in style
    assert "does not name code 4: called 'class 4'" in end.out


def test_names_of_an_attribute_table_are_taken(geoseg, raster):
    from factory import LEGEND

    (raster.parent / "codes.tif.aux.xml").write_text(attribute_table_xml(LEGEND))
    end, frame = run(geoseg, raster)
    assert frame.set_index("code")["class"].to_dict() == {1: "water", 2: "developed", 4: "forest"}
    assert "70,107,159,255" in style_of(raster.parent / "map.gpkg")
    assert "note" not in end.out


def test_category_names_are_taken_and_a_name_of_two_codes_is_told_apart(geoseg, raster):
    names = "".join(f"<Category>{name}</Category>" for name in ("", "water", "wood", "", "wood"))
    text = f'<PAMDataset><PAMRasterBand band="1"><CategoryNames>{names}</CategoryNames></PAMRasterBand></PAMDataset>'
    (raster.parent / "codes.tif.aux.xml").write_text(text)
    _, frame = run(geoseg, raster)
    assert frame.set_index("code")["class"].to_dict() == {1: "water", 2: "wood (2)", 4: "wood (4)"}


def test_a_legend_file_says_what_codes_mean(geoseg, raster, tiny_bundle, tmp_path):
    (tmp_path / "legend.yaml").write_text(yaml.safe_dump({1: "water", 2: "town", 4: "wood"}))
    _, frame = run(geoseg, raster, "--legend", tmp_path / "legend.yaml")
    assert set(frame["class"]) == {"water", "town", "wood"}
    _, frame = run(geoseg, raster, "--legend", tiny_bundle, out="bundle.gpkg")
    assert set(frame["class"]) == {"water", "developed", "forest"}


def test_json_is_the_summary(geoseg, raster):
    end, frame = run(geoseg, raster, "--json")
    told = json.loads(end.out)
    assert told["polygons"] == len(frame) == 3
    assert told["area_m2"] == {"class 1": 2700, "class 2": 3600, "class 4": 2700}


def test_codes_of_two_and_four_bytes(geoseg, tmp_path):
    codes = np.arange(300, dtype=np.int32).reshape(15, 20) * 7_000_000 - 1000
    raster = write_raster(tmp_path / "codes.tif", codes[None])
    _, frame = run(geoseg, raster)
    assert sorted(frame["code"]) == codes.ravel().tolist()


def test_a_band_and_its_nodata_may_be_named(geoseg, tmp_path):
    raster = write_raster(tmp_path / "codes.tif", np.stack([np.zeros_like(CODES), CODES]))
    _, frame = run(geoseg, raster, "--band", 2, "--nodata", 4)
    assert set(frame["code"]) == {0, 1, 2}


def test_only_an_area_of_interest_is_taken(geoseg, raster, tmp_path):
    left, top = NORTH_UP.c, NORTH_UP.f
    aoi = write_area(tmp_path / "aoi.gpkg", box(left, top - 60, left + 60, top), written_in="EPSG:4326")
    _, frame = run(geoseg, raster, "--aoi", aoi)
    assert frame.set_index("code")["area_m2"].to_dict() == {1: 2700, 4: 900}


@pytest.mark.parametrize("codes", [np.full((1, 1), 7, np.uint8), np.full((30, 20), 7, np.int16)])
def test_one_pixel_and_one_class(geoseg, tmp_path, codes):
    _, frame = run(geoseg, write_raster(tmp_path / "codes.tif", codes[None]))
    assert frame["area_m2"].tolist() == [codes.size * 900]


def test_a_rotated_raster(geoseg, tmp_path):
    turned = NORTH_UP @ Affine.rotation(30)
    _, frame = run(geoseg, write_raster(tmp_path / "codes.tif", CODES[None], transform=turned))
    assert frame["area_m2"].sum() == pytest.approx(12 * 900)
    corners = {turned @ (0, 0), turned @ (2, 1)}
    found = np.vstack([np.asarray(ring.coords) for ring in frame.geometry.exterior])
    assert all(np.hypot(*(found - corner).T).min() < 1e-6 for corner in corners)


def test_a_mask_band_of_the_file_counts(geoseg, tmp_path):
    path = tmp_path / "codes.tif"
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_raster(path, CODES[None])
        with rasterio.open(path, "r+") as dataset:
            dataset.write_mask(CODES != 2)
    _, frame = run(geoseg, path)
    assert set(frame["code"]) == {0, 1, 4}


@pytest.mark.parametrize(
    ("data", "settings", "words"),
    [
        (CODES.astype(np.float32), {}, ("float32", "integers", "gdal_translate")),
        (np.full((3, 3), 9, np.uint8), {"nodata": 9}, ("nothing but nodata", "--nodata")),
        (CODES, {"crs": None}, ("no CRS", "edit-info")),
        (np.arange(66_000, dtype=np.uint32).reshape(220, 300), {}, ("more than 65,535 classes", "cut it")),
        (np.array([[2**31]], np.uint32), {}, ("2147483648", "32 bits")),
    ],
    ids=["float", "nodata only", "no CRS", "too many classes", "too large a code"],
)
@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_what_is_no_class_raster_is_refused_in_one_line(geoseg, tmp_path, data, settings, words):
    raster = write_raster(tmp_path / "codes.tif", data[None], **settings)
    end = geoseg("polygonize", raster, "--out", tmp_path / "map.gpkg")
    assert end.code == 3
    assert len(end.err.strip().splitlines()) == 1
    assert all(word in end.err for word in words), end.err
    assert not (tmp_path / "map.gpkg").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [(("--band", 2), "no band 2"), (("--legend", "l.yaml"), "codes 2, 4"), (("--aoi", "gone.gpkg"), "gone.gpkg")],
)
def test_options_that_do_not_fit_are_refused(geoseg, raster, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "l.yaml").write_text("1: water")
    end = geoseg("polygonize", raster, "--out", tmp_path / "map.gpkg", *arguments)
    assert (end.code, end.out) == (3, "")
    assert words in end.err


def test_an_output_is_kept_unless_it_may_be_overwritten(geoseg, raster, tmp_path):
    out = tmp_path / "map.gpkg"
    out.write_text("mine")
    assert geoseg("polygonize", raster, "--out", out).code == 3
    assert out.read_text() == "mine"
    assert geoseg("polygonize", raster, "--out", out, "--overwrite").code == 0
    assert geoseg("polygonize", raster, "--out", tmp_path / "map.kml").code == 3
    assert geoseg("polygonize", tmp_path / "gone.tif", "--out", tmp_path / "m.gpkg").code == 3


def test_cleaning_is_said_and_done(geoseg, raster):
    end, frame = run(geoseg, raster, "--min-area", 3600, "--fill-holes", 100, "--majority", 3)
    assert "majority filter of 3 px: 1 px changed" in end.out
    assert "holes below 100 m2; areas filled: 0, 0 px changed" in end.out
    assert "areas below 3600 m2; areas merged: 2, 2 px changed\n" in end.out
    assert frame["area_m2"].sum() == 10 * 900
    assert frame["area_m2"].min() >= 3600
    end, _ = run(geoseg, raster, "--min-area", 3600, "--json", "--overwrite")
    assert json.loads(end.out)["cleaned"]["merged_areas"] == 1


@pytest.mark.parametrize("simpler", [(), ("--simplify", "20", "--smooth", "1")], ids=["exact", "simple"])
def test_the_number_of_threads_changes_nothing(geoseg, tmp_path, simpler):
    codes = np.random.default_rng(0).integers(1, 4, (400, 300), dtype=np.uint8)
    raster = write_raster(tmp_path / "codes.tif", codes[None])
    frames = [run(geoseg, raster, "--threads", n, *simpler, out=f"{n}.gpkg")[1] for n in ("1", "2", "4")]
    assert len(frames[0]) > 10_000  # several batches
    for frame in frames[1:]:
        assert frame.equals(frames[0])
    assert geoseg("polygonize", raster, "--out", tmp_path / "none.gpkg", "--threads", "0").code == 2


def test_polygons_by_tile_and_by_class(geoseg, raster):
    _, frame = run(geoseg, raster, "--split-grid", "2px", out="tiles.gpkg")
    assert set(zip(frame["tile_row"], frame["tile_col"], strict=True)) == {(0, 0), (0, 1), (1, 1)}
    assert frame["area_m2"].sum() == 10 * 900
    _, frame = run(geoseg, raster, "--dissolve", out="classes.gpkg")
    assert frame.set_index("code")["polygons"].to_dict() == {1: 1, 2: 1, 4: 1}
    assert set(frame.geometry.geom_type) == {"MultiPolygon"}
    _, frame = run(geoseg, raster, "--dissolve", "--split-grid", "0.06km", out="both.gpkg")
    assert len(frame) == len(set(zip(frame["code"], frame["tile_row"], frame["tile_col"], strict=True))) == 6
    assert geoseg("polygonize", raster, "--out", raster.parent / "m.gpkg", "--split-grid", "12 feet").code == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--min-area", -5), "smallest area is -5"),
        (("--fill-holes", "nan"), "largest hole is nan"),
        (("--majority", 4), "needed is 3, 5, 7"),
    ],
)
def test_cleaning_that_makes_no_sense_is_refused(geoseg, raster, tmp_path, arguments, words):
    end = geoseg("polygonize", raster, "--out", tmp_path / "map.gpkg", *arguments)
    assert (end.code, end.out) == (3, "")
    assert words in end.err


def test_a_cleaned_prediction_tells_one_map_in_mask_and_polygons(geoseg, tiny_bundle, tmp_path):
    scene = write_scene(tmp_path / "scene.tif")

    def predict(name, *arguments):
        files = {kind: tmp_path / f"{name}-{kind}" for kind in ("polygons.gpkg", "mask.tif", "probabilities.tif")}
        out, mask, probabilities = files.values()
        end = geoseg("predict", scene, "--model", tiny_bundle, "--out", out, "--mask", mask, "--probabilities",
                     probabilities, "--json", *arguments)  # fmt: skip
        assert end.code == 0, end.err
        rasters = [rasterio.open(path).read() for path in (mask, probabilities)]
        return json.loads(end.out), geopandas.read_file(out, layer="landcover"), *rasters

    plain, _, raw, chances = predict("plain")
    told, frame, mask, same_chances = predict("clean", "--min-area", 20_000)
    np.testing.assert_array_equal(chances, same_chances)
    changed = mask != raw
    assert plain["cleaned"] is None
    assert told["cleaned"]["merged_pixels"] == changed.sum() > 0
    assert frame["area_m2"].min() >= 20_000
    transform = rasterio.open(tmp_path / "clean-mask.tif").transform
    pairs = zip(frame.geometry, frame["code"], strict=True)
    np.testing.assert_array_equal(rasterize(pairs, mask.shape[1:], 255, transform=transform, dtype="uint8"), mask[0])
    areas = frame.groupby("class")["area_m2"].sum().to_dict()
    assert {name: area for name, area in told["figures"]["area_m2"].items() if area} == pytest.approx(areas)
    best = chances.max(axis=0) / 254
    kept = ~changed[0] & (mask[0] != 255)
    assert told["figures"]["confidence"] == pytest.approx(best[kept].mean(), abs=0.003)
    window = geometry_mask([frame.geometry[0]], best.shape, transform, invert=True)
    assert frame["confidence"][0] == pytest.approx(best[window & kept].mean(), abs=0.003)


def test_statistics_of_other_rasters(geoseg, raster, tmp_path):
    """One on the same pixels, with a scale and a hole; one in degrees, three times as coarse, that misses the left."""
    height = np.arange(12, dtype=np.int16).reshape(3, 4)
    height[0, 0] = -99
    dem = write_raster(tmp_path / "dem.tif", height[None], nodata=-99, scale=0.5, offset=100)
    _, frame = run(geoseg, raster, "--zonal", f"dem={dem}", "--zonal", f"twice={dem}")
    values = height * 0.5 + 100
    for code, row in frame.set_index("code").iterrows():
        inside = values[(code == CODES) & (height != -99)]
        found = row[["dem_mean", "dem_min", "dem_max", "dem_std"]].tolist()
        assert found == pytest.approx([inside.mean(), inside.min(), inside.max(), inside.std()], abs=1e-5)
    assert frame["dem_mean"].equals(frame["twice_mean"])
    left, top = NORTH_UP.c, NORTH_UP.f
    slope = write_raster(
        tmp_path / "s.tif", np.full((1, 9, 9), 7, np.float32), transform=Affine(90, 0, left + 60, 0, -90, top + 90)
    )
    _, frame = run(geoseg, raster, "--zonal", f"slope={slope}", "--simplify", 10, out="s.gpkg")
    found = frame.set_index("code")["slope_mean"]
    assert np.isnan(found[1])
    assert found[[2, 4]].tolist() == [7, 7]


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("dem", 2, "NAME=FILE"),
        ("dem=gone.tif", 3, "gone.tif"),
        ("my dem=codes.tif", 3, "letters"),
        ("three=three.tif", 3, "3 bands"),
    ],
)
def test_other_rasters_that_do_not_fit_are_refused(geoseg, raster, tmp_path, monkeypatch, text, code, words):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / "three.tif", np.zeros((3, 2, 2), np.uint8))
    end = geoseg("polygonize", raster, "--out", "map.gpkg", "--zonal", text)
    assert end.code == code
    assert words in end.err
    assert not (tmp_path / "map.gpkg").exists()


def test_a_prediction_with_probabilities_tells_how_undecided_it_was(geoseg, tiny_bundle, tmp_path):
    scene, out, p = write_scene(tmp_path / "scene.tif"), tmp_path / "m.gpkg", tmp_path / "p.tif"
    end = geoseg("predict", scene, "--model", tiny_bundle, "--out", out, "--probabilities", p, "--zonal", f"nir={p}")
    assert end.code == 3  # it has several bands
    end = geoseg("predict", scene, "--model", tiny_bundle, "--out", out, "--probabilities", p)
    assert end.code == 0, end.err
    frame = geopandas.read_file(out, layer="landcover")
    with rasterio.open(p) as dataset:
        chances, valid, transform = dataset.read() / 254, dataset.read(1) != 255, dataset.transform
    ordered = np.sort(chances, axis=0)
    entropy = -(chances * np.log(np.maximum(chances, 1e-9))).sum(axis=0) / np.log(len(chances))
    for _, row in frame.nlargest(3, "area_m2").iterrows():
        inside = geometry_mask([row.geometry], valid.shape, transform, invert=True) & valid
        assert row["entropy"] == pytest.approx(entropy[inside].mean(), abs=0.01)
        assert row["margin"] == pytest.approx((ordered[-1] - ordered[-2])[inside].mean(), abs=0.01)
