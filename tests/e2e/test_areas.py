"""From a map to published areas through the command line: draw points, interpret them, estimate."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import yaml
from affine import Affine
from factory import LEGEND, NORTH_UP, write_raster

from geoseg.evaluation.areas.estimates import load_areas

NAMES = [c.name for c in LEGEND]
DEGREES = Affine(0.01, 0, -110, 0, -0.01, 61)


def truth_and_map(height=120, width=150, seed=3):
    """Codes of a truth in blobs, and of a map that is right in about 85 % of it, shape (row, col)."""
    rng = np.random.default_rng(seed)
    coarse = rng.choice(LEGEND.codes, size=(-(-height // 6), -(-width // 6)), p=[0.1, 0.3, 0.6])
    truth = np.kron(coarse, np.ones((6, 6), dtype=np.uint8))[:height, :width].astype(np.uint8)
    wrong = rng.random(truth.shape) < 0.2
    shown = np.where(wrong, rng.choice(LEGEND.codes, size=truth.shape, p=[0.4, 0.3, 0.3]), truth).astype(np.uint8)
    truth[:3], shown[:3] = 255, 255
    return truth, shown


@pytest.fixture
def ground(tmp_path):
    """A folder with map.tif, its legend, and the truth, which only interpreters see."""
    truth, shown = truth_and_map()
    write_raster(tmp_path / "map.tif", shown[None], nodata=255)
    (tmp_path / "legend.yaml").write_text(yaml.safe_dump({c.code: c.name for c in LEGEND}))
    np.save(tmp_path / "truth.npy", truth)
    return tmp_path


def interpret(folder, points="points.gpkg", out="done.gpkg", **changes):
    """Give every point the class of the truth, as an interpreter would; `changes` replace columns."""
    frame = geopandas.read_file(folder / points, layer="points")
    truth = np.load(folder / "truth.npy")
    with rasterio.open(folder / "map.tif") as shown:
        rows, cols = rasterio.transform.rowcol(shown.transform, frame.geometry.x, frame.geometry.y)
    codes = truth[np.asarray(rows), np.asarray(cols)]
    names = {c.code: c.name for c in LEGEND}
    frame["class"] = [names[code] for code in codes.tolist()]
    frame = frame.assign(**changes)
    frame.to_file(folder / out, engine="pyogrio")
    return frame


def draw(geoseg, folder, *options, out="points.gpkg"):
    return geoseg("points", folder / "map.tif", "--legend", folder / "legend.yaml", "--out", folder / out, *options)


def estimate(geoseg, folder, *options, points="done.gpkg"):
    return geoseg(
        "areas", folder / "map.tif", "--legend", folder / "legend.yaml", "--points", folder / points, *options
    )


def test_from_a_map_to_its_areas(geoseg, ground):
    end = draw(geoseg, ground, "--count", 400, "--seed", 5)
    assert end.code == 0, end.err
    assert "400 points" in end.out
    blank = geopandas.read_file(ground / "points.gpkg", layer="points")
    assert blank["class"].isna().all()
    assert set(blank.columns) == {"id", "class", "remark", "geometry"}
    assert blank["id"].tolist() == list(range(1, 401))
    interpret(ground)
    out = ground / "areas.json"
    end = estimate(geoseg, ground, "--out", out)
    assert end.code == 0, end.err
    assert "overall accuracy 0." in end.out
    found = load_areas(out)
    truth, shown = (part[part != 255] for part in truth_and_map())
    for i, c in enumerate(found.classes):
        true_m2 = np.count_nonzero(truth == LEGEND[i].code) * 900
        assert abs(c.area_m2.value - true_m2) <= 3 * c.area_m2.standard_error, c.name
        assert c.mapped_m2 == np.count_nonzero(shown == LEGEND[i].code) * 900
        assert c.area_m2.low < c.area_m2.value < c.area_m2.high
    assert abs(found.overall.value - (truth == shown).mean()) <= 3 * found.overall.standard_error
    assert sum(c.area_m2.value for c in found.classes) == pytest.approx(truth.size * 900)
    assert found.total_m2 == pytest.approx(truth.size * 900)
    assert json.loads(estimate(geoseg, ground, "--json").out)["classes"] == found.to_dict()["classes"]
    assert estimate(geoseg, ground, "--out", out).code == 3
    assert estimate(geoseg, ground, "--out", out, "--overwrite", "--confidence", 0.9).code == 0
    narrower = load_areas(out)
    assert narrower.overall.margin == pytest.approx(found.overall.margin * 1.644854 / 1.959964, rel=1e-5)


def test_the_same_seed_draws_the_same_points_and_no_pixel_twice(geoseg, ground):
    for out, seed in (("points.gpkg", 1), ("again.gpkg", 1), ("other.gpkg", 2)):
        assert draw(geoseg, ground, "--seed", seed, "--reveal", "--minimum", 100, out=out).code == 0
    first, again, other = (
        geopandas.read_file(ground / n, layer="points") for n in ("points.gpkg", "again.gpkg", "other.gpkg")
    )
    assert first.equals(again)
    assert not first.geometry.equals(other.geometry)
    assert not first.geometry.duplicated().any()
    counts = first["mapped"].value_counts()
    assert counts.sum() == 500
    assert counts.min() >= 100
    assert first["mapped"].head(60).nunique() == 3  # in random order
    with rasterio.open(ground / "map.tif") as shown:
        codes = [v[0] for v in shown.sample(zip(first.geometry.x, first.geometry.y, strict=True))]
        x, y = zip(*[shown.xy(0, 0)], strict=True)
    assert [LEGEND[NAMES.index(n)].code for n in first["mapped"]] == codes
    assert ((first.geometry.x - x[0]) % 30 == 0).all()
    assert ((first.geometry.y - y[0]) % 30 == 0).all()


def test_the_layer_opens_styled_and_offers_the_classes(geoseg, ground):
    import sqlite3

    assert draw(geoseg, ground).code == 0
    with sqlite3.connect(ground / "points.gpkg") as database:
        (qml,) = database.execute("SELECT styleQML FROM layer_styles WHERE useAsDefault").fetchone()
    database.close()
    assert 'type="ValueMap"' in qml
    assert all(f'value="{name}"' in qml for name in NAMES)


@pytest.mark.parametrize("suffix", [".fgb", ".parquet", ".geojson"])
def test_points_in_every_format_and_crs(geoseg, ground, suffix):
    assert draw(geoseg, ground, "--seed", 4).code == 0
    interpret(ground)
    wanted = json.loads(estimate(geoseg, ground, "--json").out)["classes"]
    frame = geopandas.read_file(ground / "done.gpkg").to_crs("EPSG:4326")
    out = ground / f"done{suffix}"
    if suffix == ".parquet":
        frame.to_parquet(out)
    else:
        frame.to_file(out, engine="pyogrio")
    end = estimate(geoseg, ground, "--json", points=out.name)
    assert end.code == 0, end.err
    for one, other in zip(json.loads(end.out)["classes"], wanted, strict=True):
        assert one["reference_points"] == other["reference_points"]
        assert one["area_m2"] == pytest.approx(other["area_m2"])  # FlatGeobuf changes the order
    assert draw(geoseg, ground, "--seed", 4, out=f"drawn{suffix}").code == 0
    drawn = geopandas.read_parquet(ground / "drawn.parquet") if suffix == ".parquet" else None
    assert drawn is None or len(drawn) == 500


def test_in_degrees_ground_is_drawn_and_measured_by_its_true_area(geoseg, tmp_path):
    """One class from 61 to 31 degrees north: the half of the points that lies south is that of its area."""
    codes = np.full((3000, 8), 1, dtype=np.uint8)
    codes[:, 6:] = 2
    write_raster(tmp_path / "map.tif", codes[None], crs="EPSG:4326", transform=DEGREES, nodata=255)
    (tmp_path / "legend.yaml").write_text(yaml.safe_dump({1: "water", 2: "developed"}))
    assert draw(geoseg, tmp_path, "--count", 2000).code == 0
    frame = geopandas.read_file(tmp_path / "points.gpkg", layer="points")
    north, south, middle = (np.sin(np.radians(v)) for v in (61, 31, 46))
    share = (middle - south) / (north - south)  # on a sphere
    assert (frame.geometry.y < 46).mean() == pytest.approx(share, abs=0.035)
    assert abs((frame.geometry.y < 46).mean() - share) < abs(0.5 - share)
    frame["class"] = "water"
    frame.to_file(tmp_path / "done.gpkg", engine="pyogrio")
    end = estimate(geoseg, tmp_path, "--json")
    found = json.loads(end.out)
    assert found["classes"][0]["mapped_m2"] == pytest.approx(3 * found["classes"][1]["mapped_m2"])
    sphere = 6371007.2**2 * np.radians(0.08) * (north - south)
    assert found["total_m2"] == pytest.approx(sphere, rel=0.01)
    assert any("no reference point is developed" in note for note in found["notes"])


def test_strata_that_are_not_the_maps_classes(geoseg, ground):
    """Two regions as strata, as a raster and as a column: the same estimates."""
    regions = np.ones((120, 150), dtype=np.uint8)
    regions[:, 50:] = 7
    write_raster(ground / "strata.tif", regions[None], nodata=255)
    assert draw(geoseg, ground, "--seed", 9).code == 0
    frame = interpret(ground)
    west = frame.geometry.x < NORTH_UP.c + 50 * 30
    interpret(ground, region=np.where(west, "west", "east"))
    end = estimate(geoseg, ground, "--strata", ground / "strata.tif", "--json")
    assert end.code == 0, end.err
    raster = json.loads(end.out)
    assert [s["name"] for s in raster["strata"]] == ["stratum 1", "stratum 7"]
    hectares = {"west": 117 * 50 * 0.09, "east": 117 * 100 * 0.09}
    (ground / "areas.yaml").write_text(yaml.safe_dump(hectares))
    options = ("--strata-column", "region", "--strata-areas", ground / "areas.yaml")
    column = json.loads(estimate(geoseg, ground, *options, "--json").out)
    assert raster["total_m2"] == pytest.approx(column["total_m2"])
    for one, other in zip(raster["classes"], column["classes"], strict=True):
        assert one["area_m2"] == pytest.approx(other["area_m2"])
        assert one["users"] == pytest.approx(other["users"])
    (ground / "areas.yaml").write_text(yaml.safe_dump({"west": 1.0, "east": 2.0}))
    end = estimate(geoseg, ground, *options)
    assert "the strata cover 3.00 ha, the map 1,579.50 ha" in end.out


def test_points_outside_on_nodata_and_without_class_are_counted_and_left_out(geoseg, ground):
    assert draw(geoseg, ground, "--count", 200).code == 0
    frame = interpret(ground)
    clean = json.loads(estimate(geoseg, ground, "--json").out)
    x, y = NORTH_UP @ (75.5, 1.5)
    extra = frame.head(5).copy()
    extra["geometry"] = geopandas.points_from_xy([0, x, x, 1e7, x], [0, y, y - 30, 0, y - 3000])
    extra.loc[extra.index[4], "class"] = None
    import pandas as pd

    pd.concat([frame, extra]).to_file(ground / "done.gpkg", engine="pyogrio")
    end = estimate(geoseg, ground, "--json")
    found = json.loads(end.out)
    assert found["classes"] == clean["classes"]
    notes = "\n".join(found["notes"])
    assert "2 of 205 points lie outside of the map" in notes
    assert "1 of 205 points have no class" in notes
    assert "2 points lie where the map or the strata have none" in notes


def test_doubts_are_said(geoseg, ground):
    assert draw(geoseg, ground, "--count", 60, "--minimum", 1).code == 0
    frame = interpret(ground)
    with rasterio.open(ground / "map.tif") as shown:
        codes = np.array([v[0] for v in shown.sample(zip(frame.geometry.x, frame.geometry.y, strict=True))])
    keep = np.flatnonzero(codes != 1)
    few = frame.iloc[np.append(keep, np.flatnonzero(codes == 1)[:1])]
    few.to_file(ground / "done.gpkg", engine="pyogrio")
    end = estimate(geoseg, ground, "--json")
    found = json.loads(end.out)
    assert any("a single point lies in water" in note for note in found["notes"])
    assert any("fewer than 30 points" in note for note in found["notes"])
    assert found["overall_accuracy"]["standard_error"] is None
    assert found["overall_accuracy"]["value"] is not None
    assert " -" in estimate(geoseg, ground).out
    geopandas.GeoDataFrame(few.iloc[[0, 0, *range(len(few))]]).to_file(ground / "done.gpkg", engine="pyogrio")
    assert "2 points share a pixel" in estimate(geoseg, ground).out


def test_mistakes_are_one_line(geoseg, ground):
    assert draw(geoseg, ground, "--count", 100, "--minimum", 20).code == 0
    frame = interpret(ground)
    codes = [LEGEND[NAMES.index(n)].code for n in frame["class"]]
    interpret(ground, out="codes.gpkg", **{"class": codes})
    assert estimate(geoseg, ground, points="codes.gpkg").code == 0
    assert draw(geoseg, ground, "--reveal", out="told.gpkg").code == 0
    with_classes = interpret(ground, points="told.gpkg")
    with_classes[with_classes["mapped"] != "water"].to_file(ground / "nowater.gpkg", engine="pyogrio")
    frame.set_crs("EPSG:32633", allow_override=True).to_file(ground / "away.gpkg", engine="pyogrio")
    frame.head(0).to_file(ground / "empty.gpkg", engine="pyogrio")
    interpret(ground, out="typo.gpkg", **{"class": "watr"})
    interpret(ground, out="blank.gpkg", **{"class": None})
    frame.assign(geometry=frame.buffer(5)).to_file(ground / "areas.gpkg", engine="pyogrio")
    with pytest.warns(UserWarning, match="crs"):
        frame.set_crs(None, allow_override=True).to_file(ground / "nocrs.gpkg", engine="pyogrio")
    (ground / "strata.yaml").write_text("west: wide\n")
    (ground / "two.yaml").write_text("west: 12\n")
    by_region = ("--strata-column", "class", "--strata-areas")
    for points, options, words in (
        ("nowater.gpkg", (), "no reference point lies in water ("),
        ("away.gpkg", (), "100 of 100 points lie outside of the map"),
        ("empty.gpkg", (), "holds no points"),
        ("typo.gpkg", (), "holds watr, which the map's legend does not have (1 water, 2 developed, 4 forest)"),
        ("blank.gpkg", (), "100 of 100 points have no class"),
        ("areas.gpkg", (), "holds geometries of type Polygon"),
        ("nocrs.gpkg", (), "has no CRS"),
        ("done.gpkg", ("--column", "kind"), "has no column 'kind'"),
        ("gone.gpkg", (), "no such file"),
        ("done.gpkg", ("--strata", ground / "gone.tif"), "no such file"),
        ("done.gpkg", ("--strata-column", "class"), "give both"),
        ("done.gpkg", (*by_region, ground / "strata.yaml"), "needed the area of each stratum in hectares"),
        ("done.gpkg", (*by_region, ground / "two.yaml"), "whose areas are not told"),
        ("done.gpkg", (*by_region, ground / "two.yaml", "--strata", ground / "map.tif"), "give one of them"),
        ("done.gpkg", ("--out", ground / "no" / "a.json"), "no folder"),
    ):
        end = estimate(geoseg, ground, *options, points=points)
        last = end.err.strip().splitlines()[-1]
        assert (end.code, last.startswith("geoseg: "), words in last) == (3, True, True), (points, end.err)
    for options, words in (
        (("--count", 100), "100 points are too few for 50 in each of the 3 strata"),
        (("--count", 100000), "fewer than the 100000 points"),
        (("--expect", "snow=0.9"), "an accuracy is expected of snow"),
        (("--expect", "1.5"), "between 0 and 1"),
        (("--standard-error", "0"), "between 0 and 1"),
        ((), "exists already"),
    ):
        end = draw(geoseg, ground, *options, out="points.gpkg" if not options else "x.gpkg")
        assert (end.code, words in end.err.strip().splitlines()[-1]) == (3, True), end.err
    assert draw(geoseg, ground, "--expect", "water=good", out="x.gpkg").code == 2
    assert geoseg("points", ground / "map.tif", "--out", ground / "x.gpkg").code == 3  # its classes have no names
    assert draw(geoseg, ground, out="x.kml").code == 3


def test_a_wanted_error_and_expected_accuracies_decide_the_count(geoseg, ground):
    options = ("--standard-error", 0.02, "--expect", 0.9, "--expect", "water=0.5", "--minimum", 0, "--json")
    counts = {}
    for allocation in ("proportional", "optimal", "equal"):
        end = draw(geoseg, ground, *options, "--allocation", allocation, out=f"{allocation}.gpkg")
        counts[allocation] = {c["name"]: c["points"] for c in json.loads(end.out)["classes"]}
    areas = {c["name"]: c["area_m2"] for c in json.loads(end.out)["classes"]}
    total = sum(areas.values())
    spread = {n: 0.5 if n == "water" else 0.3 for n in areas}
    needed = (sum(areas[n] / total * spread[n] for n in areas) / 0.02) ** 2
    assert all(sum(c.values()) == int(np.ceil(needed)) for c in counts.values())
    for name, count in counts["proportional"].items():
        assert count == pytest.approx(needed * areas[name] / total, abs=1)
    assert counts["optimal"]["water"] > 1.3 * counts["proportional"]["water"]
    assert max(counts["equal"].values()) - min(counts["equal"].values()) <= 1


def test_the_documents_commands_run(geoseg, shared_data, tmp_path, monkeypatch):
    """The page's own story, on a real map: NLCD plays the interpreter."""
    monkeypatch.chdir(tmp_path)
    truth = shared_data / "zion_landsat8" / "zion_southwest_nlcd8.tif"
    scene = shared_data / "zion_landsat8" / "zion_southwest.tif"
    assert geoseg("predict", scene, "--mask", "map.tif").code == 0
    page = (Path(__file__).parents[2] / "docs" / "areas.md").read_text(encoding="utf-8")
    lines = [line for line in page.split("```")[1].splitlines() if line.startswith("geoseg ")]
    drawn, estimated = (line.split("#")[0].split() for line in lines)
    end = geoseg(*drawn[1:])
    assert end.code == 0, end.err
    frame = geopandas.read_file("points.gpkg", layer="points")
    with rasterio.open(truth) as reference:
        moved = frame.to_crs(reference.crs.to_wkt()).geometry
        codes = [v[0] for v in reference.sample(zip(moved.x, moved.y, strict=True))]
    frame["class"] = [str(code) if code < 9 else None for code in codes]
    frame.to_file("points.gpkg", engine="pyogrio")
    end = geoseg(*estimated[1:])
    assert end.code == 0, end.err
    assert load_areas(Path("areas.json")).points == len(frame) - frame["class"].isna().sum()
