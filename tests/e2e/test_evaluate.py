"""Judging maps through the command line, on synthetic and real scenes."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
import yaml
from factory import LEGEND, write_raster

from geoseg.evaluation.evaluation import load_evaluation

NAMES = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]


@pytest.fixture
def synthetic(tmp_path, geoseg):
    """A folder with a synthetic scene and its truth."""
    assert geoseg("synth", tmp_path / "scene.tif", "--size", 192, "--truth", tmp_path / "truth.tif").code == 0
    return tmp_path


def test_a_scene_a_kept_map_and_a_predicted_one_are_judged_alike(geoseg, synthetic):
    scene, truth = synthetic / "scene.tif", synthetic / "truth.tif"
    end = geoseg("evaluate", scene, "--labels", truth, "--out", synthetic / "a.json", "--maps", synthetic / "maps")
    assert end.code == 0, end.err
    for words in ("mean IoU", "shrubland", "borders within 60 m", "calibration error", "95% intervals", "the worst"):
        assert words in end.out, words
    kept = geoseg("evaluate", "--map", synthetic / "maps" / "scene.tif", "--labels", truth, "--json")
    mask, shares = synthetic / "mask.tif", synthetic / "p.tif"
    assert geoseg("predict", scene, "--mask", mask, "--probabilities", shares).code == 0
    out = synthetic / "b.json"
    end = geoseg("evaluate", "--map", mask, "--probabilities", shares, "--labels", truth, "--out", out)
    assert end.code == 0, end.err
    first, last = load_evaluation(synthetic / "a.json"), load_evaluation(out)
    counts = first.total.confusion.counts
    np.testing.assert_array_equal(last.total.confusion.counts, counts)
    assert json.loads(kept.out)["total"]["confusion"] == counts.tolist()
    assert last.total.reliability.ece == pytest.approx(first.total.reliability.ece, abs=2e-3)
    assert first.intervals.overall["mean_iou"] == last.intervals.overall["mean_iou"]
    assert geoseg("evaluate", "--map", mask, "--labels", truth, "--out", out).code == 3
    assert geoseg("evaluate", "--map", mask, "--labels", truth, "--out", out, "--overwrite").code == 0


def test_truth_judged_by_itself_is_perfect(geoseg, synthetic):
    truth = synthetic / "truth.tif"
    legend = synthetic / "legend.yaml"
    legend.write_text(yaml.safe_dump(dict(enumerate(NAMES, start=1))))
    end = geoseg("evaluate", "--map", truth, "--labels", truth, "--legend", legend, "--json")
    scores = json.loads(end.out)["scores"]
    for name in ("accuracy", "mean_iou", "mean_f1", "kappa", "frequency_weighted_iou", "boundary_f1", "boundary_iou"):
        assert scores[name] == 1, name


def test_polygons_regions_and_intervals(geoseg, synthetic):
    """Truth as polygons in degrees, taken apart by regions in a third CRS."""
    from rasterio.features import shapes

    with rasterio.open(synthetic / "truth.tif") as truth:
        codes, crs, bounds = truth.read(1), truth.crs, truth.bounds
        found = [
            (shapely.geometry.shape(outline), NAMES[int(code) - 1])
            for outline, code in shapes(codes, transform=truth.transform)
            if code in range(1, 9)
        ]
    polygons, kinds = zip(*found, strict=True)
    frame = geopandas.GeoDataFrame({"kind": kinds}, geometry=list(polygons), crs=crs.to_wkt())
    frame.to_crs("EPSG:4326").to_file(synthetic / "truth.gpkg", engine="pyogrio")
    middle = (bounds.left + bounds.right) / 2
    halves = [
        shapely.box(bounds.left - 900, bounds.bottom, middle, bounds.top),
        shapely.box(middle, bounds.bottom, bounds.right, bounds.top),
    ]
    regions = geopandas.GeoDataFrame({"state": ["west", "east"]}, geometry=halves, crs=crs.to_wkt())
    regions.to_crs("EPSG:5070").to_file(synthetic / "states.fgb", engine="pyogrio")
    arguments = ("--regions", synthetic / "states.fgb", "--region-name", "state", "--blocks", 800, "--confidence", 0.9)
    ends = [
        json.loads(geoseg("evaluate", synthetic / "scene.tif", "--labels", path, *more, *arguments, "--json").out)
        for path, more in ((synthetic / "truth.gpkg", ("--column", "kind")), (synthetic / "truth.tif", ()))
    ]
    states = [{g["name"]: g["tally"] for g in end["groupings"][-1]["groups"]} for end in ends]
    assert list(states[1]) == ["east", "west"]
    raster, vector = (np.array(end["total"]["confusion"]) for end in ends)
    assert np.abs(raster - vector).sum() <= 0.02 * raster.sum(), "polygons in degrees bend by parts of a pixel"
    assert ends[0]["intervals"]["confidence"] == 0.9
    assert "squares of 800 m" in ends[0]["intervals"]["unit"]


def test_several_scenes_are_groups(geoseg, synthetic):
    other = synthetic / "other.tif"
    assert geoseg("synth", other, "--size", 128, "--seed", 5, "--truth", synthetic / "other_truth.tif").code == 0
    labels = ("--labels", synthetic / "truth.tif", "--labels", synthetic / "other_truth.tif")
    end = geoseg("evaluate", synthetic / "scene.tif", other, *labels, "--tolerance", 0, "--blocks", "none")
    assert end.code == 0, end.err
    assert "by scene: mean IoU of 2 groups" in end.out
    assert "borders" not in end.out


def test_the_default_model_on_a_real_scene(geoseg, shared_data, tmp_path):
    folder = shared_data / "zion_landsat8"
    end = geoseg("evaluate", folder / "zion_southwest.tif", "--labels", folder / "zion_southwest_nlcd8.tif", "--json")
    assert end.code == 0, end.err
    found = json.loads(end.out)
    support = [found["scores"]["classes"][name]["support"] for name in NAMES]
    assert support == pytest.approx([22, 2545, 2684, 17355, 119987, 670, 2505, 1547], abs=2)
    assert found["scores"]["accuracy"] > 0.75
    low, high = found["intervals"]["overall"]["accuracy"]
    assert low < found["scores"]["accuracy"] < high
    labels = tmp_path / "nlcd.yaml"
    classes = dict(
        zip(NAMES, ([11], [21, 22, 23, 24], [31], [41, 42, 43], [52], [71], [81, 82], [90, 95]), strict=True)
    )
    labels.write_text(
        yaml.safe_dump({"labels": {"path": str(folder / "zion_southwest_nlcd2011.tif"), "classes": classes}})
    )
    fine = geoseg("evaluate", folder / "zion_southwest.tif", "--labels", labels, "--blocks", "none", "--json")
    assert json.loads(fine.out)["scores"]["accuracy"] == pytest.approx(found["scores"]["accuracy"], abs=0.005)


@pytest.mark.slow
def test_a_training_is_judged_by_its_own_test_fold(geoseg, synthetic):
    content = {
        "name": "tiny",
        "scenes": [{"path": "scene.tif", "labels": "truth.tif", "region": "here"}],
        "classes": [{"code": k, "name": n, "colour": f"#0000{k:02x}"} for k, n in enumerate(NAMES, start=1)],
        "model": {
            "encoder": "tu-mobilenetv3_small_050",
            "decoder_channels": [32, 16, 16, 8, 8],
            "bands": ["blue", "green", "red", "nir"],
            "gsd_m": 30,
        },
        "split": {"block_m": 1200, "buffer_m": 60},
        "chips": {"size": 64},
        "sampling": {"per_epoch": 8},
        "fit": {"epochs": 1, "batch_size": 4},
    }
    config, run = synthetic / "config.yaml", synthetic / "run"
    config.write_text(yaml.safe_dump(content))
    end = geoseg("train", config, "--out", run)
    assert end.code == 0, end.err
    end = geoseg("evaluate", "--run", run, "--json")
    assert end.code == 0, end.err
    found = json.loads(end.out)
    pixels = json.loads((run / "report.json").read_text())["result"]["pixels"]["test"]
    assert {name: found["scores"]["classes"][name]["support"] for name in NAMES} == pixels
    assert found["ground"].startswith("the test fold of")
    (run / "split.gpkg").unlink()
    end = geoseg("evaluate", "--run", run)
    assert (end.code, "has no split.gpkg" in end.err) == (3, True)


def test_the_documents_code_runs(synthetic, monkeypatch, capsys):
    monkeypatch.chdir(synthetic)
    (synthetic / "truth.tif").rename(synthetic / "labels.tif")
    text = (Path(__file__).parents[2] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    block = text.split("```python")[1].split("```")[0]
    exec(compile(block, "evaluation.md", "exec"), {})  # noqa: S102  (our own page)
    assert "squares of" in capsys.readouterr().out
    assert load_evaluation(synthetic / "eval.json").intervals is not None


def test_a_report_shows_scene_reference_map_and_errors(geoseg, synthetic):
    """Also of maps that are not kept; the JSON then names none."""
    scene, truth, report, out = (synthetic / name for name in ("scene.tif", "truth.tif", "r.html", "e.json"))
    end = geoseg("evaluate", scene, "--labels", truth, "--report", report, "--out", out)
    assert end.code == 0, end.err
    assert end.out.splitlines()[-2:] == [f"wrote {out}", f"wrote {report}"]
    page = report.read_text(encoding="utf-8")
    for words in ("Scene (true colour)", "Reference", "Errors", "Reliability curve", "By block", "mean IoU"):
        assert words in page, words
    assert page.count("data:image/png;base64,") == 4
    assert "://" not in page
    assert load_evaluation(out).cases[0].map is None
    assert not [path for path in synthetic.iterdir() if path.name.startswith(".")]
    assert geoseg("evaluate", scene, "--labels", truth, "--report", report).code == 3
    mask, points, areas = (synthetic / name for name in ("mask.tif", "points.gpkg", "areas.json"))
    assert geoseg("predict", scene, "--mask", mask).code == 0
    assert geoseg("points", mask, "--out", points, "--reveal", "--minimum", 2, "--count", 60).code == 0
    assert geoseg("areas", mask, "--points", points, "--column", "mapped", "--out", areas).code == 0
    arguments = ("evaluate", "--map", mask, "--labels", truth, "--report", report, "--areas", areas, "--overwrite")
    end = geoseg(*arguments)
    assert end.code == 0, end.err
    page = report.read_text(encoding="utf-8")
    assert "From 60 reference points" in page
    assert page.count("data:image/png;base64,") == 3
    assert "Scene (" not in page
    assert "Calibration" not in page


def test_usage_is_checked(geoseg, synthetic):
    scene, truth = synthetic / "scene.tif", synthetic / "truth.tif"
    for arguments in (
        ("--labels", truth),
        (scene, "--map", truth, "--labels", truth),
        (scene,),
        ("--run", synthetic, "--labels", truth),
        ("--run", synthetic, "--model", truth),
        (scene, "--labels", truth, "--legend", truth),
        (scene, "--labels", truth, "--probabilities", truth),
        ("--map", truth, "--labels", truth, "--model", truth),
        ("--map", truth, "--labels", truth, "--maps", synthetic / "kept"),
        (scene, "--labels", truth, "--blocks", "big"),
        (scene, "--labels", truth, "--areas", truth),
    ):
        assert geoseg("evaluate", *arguments).code == 2, arguments


def test_mistakes_are_one_line(geoseg, synthetic):
    scene, truth, legend = synthetic / "scene.tif", synthetic / "truth.tif", synthetic / "legend.yaml"
    legend.write_text(yaml.safe_dump({c.code: c.name for c in LEGEND}))
    write_raster(synthetic / "away.tif", np.ones((1, 8, 8), dtype=np.uint8))
    for arguments, words in (
        (("--map", truth, "--labels", truth, "--legend", legend), "found the codes 3"),
        ((scene, "--labels", synthetic / "gone.tif"), "no such file"),
        ((scene, "--labels", truth, "--regions", truth, "--region-name", "x"), "vector"),
        ((scene, "--labels", truth, "--split", truth), "split"),
        ((scene, "--labels", truth, "--out", synthetic / "no" / "e.json"), "no folder"),
        ((scene, "--labels", synthetic / "away.tif"), "common ground"),
        ((scene, "--labels", truth, "--report", synthetic / "r.pdf"), "a report is written as .html"),
        ((scene, "--labels", truth, "--report", synthetic / "no" / "r.html"), "no folder"),
        ((scene, "--labels", truth, "--report", synthetic / "r.html", "--areas", legend), "cannot be read as JSON"),
    ):
        end = geoseg("evaluate", *arguments)
        last = end.err.strip().splitlines()[-1]
        assert (end.code, last.startswith("geoseg: "), words in last) == (3, True, True), end.err


def test_the_precision_is_that_of_predict(geoseg, synthetic):
    arguments = ("evaluate", synthetic / "scene.tif", "--labels", synthetic / "truth.tif", "--blocks", "none")
    assert geoseg(*arguments, "--precision", "fp32").code == 0
    end = geoseg(*arguments, "--precision", "int8")
    assert (end.code, "not in int8" in end.err) == (3, True)
