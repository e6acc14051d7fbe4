"""Test-time augmentation and ensembles through the command line."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import rasterio
from factory import BANDS, OTHER_SPEC, SPEC, reflectance_dn, write_bundle, write_raster, write_scene

from geoseg.evaluation.evaluation import load_evaluation
from geoseg.inference.maps import MapWriter

SIDES = (128, 192)  # of the scene: two tiles of 128 x 128 that lie the same way round from both ends
TILES = ("--tile", 128, "--overlap", 64)


def read(path):
    with rasterio.open(path) as file:
        return file.read().astype(int)


def provenance_of(path):
    with rasterio.open(path) as file:
        return json.loads(file.tags()["GEOSEG_PROVENANCE"])


@pytest.fixture(scope="module")
def data():
    values = reflectance_dn(*SIDES)
    values[:, 30:50, 20:60] = 65535
    return values


@pytest.fixture
def predict(geoseg, tiny_bundle, tmp_path):
    """Class probabilities (class, row, col) in 254ths, and the JSON of the run."""

    def run(values, *arguments, models=(tiny_bundle,), name="p"):
        settings = {"names": BANDS.names, "scale": 2e-5, "offset": -0.1, "nodata": 65535}
        scene, out = write_raster(tmp_path / "scene.tif", values, **settings), tmp_path / f"{name}.tif"
        named = [part for model in models for part in ("--model", model)]
        end = geoseg("predict", scene, *named, *TILES, "--probabilities", out, "--json", "--overwrite", *arguments)
        assert end.code == 0, end.err
        return read(out), json.loads(end.out)

    return run


@pytest.mark.parametrize(("tta", "views"), [("flips", 4), ("d4", 8), ("scales", 3)])
def test_augmentation_is_in_the_map_and_in_what_is_said_of_it(predict, data, tmp_path, tta, views):
    plain, summary = predict(data)
    assert (summary["tta"], summary["models"]) == ("none", ["tiny.geoseg"])
    found, summary = predict(data, "--tta", tta)
    assert summary["tta"] == tta
    assert summary["runtime"] == f"openvino on CPU, fp32; mean of {views} views ({tta})"
    assert provenance_of(tmp_path / "p.tif")["runtime"] == summary["runtime"]
    valid = (data != 65535).all(axis=0)
    np.testing.assert_array_equal((found != 255).all(axis=0), valid)
    np.testing.assert_allclose(found[:, valid].sum(axis=0), 254, atol=2)
    assert np.abs(found - plain)[:, valid].max() > 1


def test_the_map_of_a_turned_scene_is_the_turned_map(predict, data):
    def turned(values):
        return np.ascontiguousarray(np.rot90(values, axes=(1, 2))[:, :, ::-1])

    found, _ = predict(data, "--tta", "d4")
    of_turned, _ = predict(turned(data), "--tta", "d4")
    assert np.abs(of_turned - turned(found)).max() <= 1
    plain, of_turned_plain = predict(data)[0], predict(turned(data))[0]
    assert np.abs(of_turned_plain - turned(plain)).max() > 2


def test_an_ensemble_is_the_mean_of_its_models(predict, data, tiny_bundle, other_bundle, tmp_path):
    """Their statistics differ, so each must have had channels of its own."""
    apart = [predict(data, models=(model,))[0] for model in (tiny_bundle, other_bundle)]
    assert np.abs(apart[0] - apart[1]).max() > 10
    found, summary = predict(data, models=(tiny_bundle, other_bundle), name="mean")
    valid = (data != 65535).all(axis=0)
    np.testing.assert_allclose(found[:, valid], np.mean(apart, axis=0)[:, valid], rtol=0, atol=1.01)
    assert summary["models"] == ["tiny.geoseg", "other.geoseg"]
    assert summary["runtime"] == "mean of 2 networks (openvino on CPU, fp32)"
    assert summary["precision_reason"] == "the scene is small"
    assert provenance_of(tmp_path / "mean.tif")["inputs"].keys() == {"scene.tif", "tiny.geoseg", "other.geoseg"}


def test_both_together(predict, data, tiny_bundle, other_bundle):
    apart = [predict(data, "--tta", "flips", models=(model,))[0] for model in (tiny_bundle, other_bundle)]
    found, summary = predict(data, "--tta", "flips", models=(tiny_bundle, other_bundle))
    valid = (data != 65535).all(axis=0)
    np.testing.assert_allclose(found[:, valid], np.mean(apart, axis=0)[:, valid], rtol=0, atol=1.01)
    assert summary["runtime"] == "mean of 2 networks (openvino on CPU, fp32); mean of 4 views (flips)"


def test_a_plan_knows_of_views_and_models(geoseg, tiny_bundle, other_bundle, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", 300, 300)

    def plan(*arguments):
        end = geoseg("predict", scene, "--mask", tmp_path / "m.tif", "--dry-run", "--json", "--tile", 256, *arguments)
        assert end.code == 0, end.err
        return json.loads(end.out)

    plain = plan("--model", tiny_bundle)
    both = plan("--model", tiny_bundle, "--model", other_bundle, "--tta", "scales")
    assert both["runtime"] == "mean of 2 networks (openvino on CPU, fp32); mean of 3 views (scales)"
    assert both["memory_bytes"] > plain["memory_bytes"]
    assert both["seconds"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]


# going on


class EndedError(Exception):
    """What a test ends a prediction with."""


def test_a_prediction_does_not_go_on_with_other_views_or_models(
    geoseg, tiny_bundle, other_bundle, tmp_path, monkeypatch
):
    scene = write_scene(tmp_path / "scene.tif", 200, 170)
    words = ("predict", scene, "--model", tiny_bundle, "--mask", tmp_path / "m.tif", "--tile", 64, "--overlap", 16)
    whole = tmp_path / "whole.tif"
    assert geoseg(*words[:5], whole, *words[6:], "--tta", "flips").code == 0
    write = MapWriter.write

    def ending(self, piece):
        if piece.window.row > 60:
            raise EndedError
        write(self, piece)

    with monkeypatch.context() as patch:
        patch.setattr(MapWriter, "write", ending)
        with pytest.raises(EndedError):
            geoseg(*words, "--tta", "flips")
    for changed, said in (
        (("--tta", "d4"), "test-time augmentation was flips, is d4"),
        ((), "test-time augmentation was flips, is none"),
        (("--tta", "flips", "--model", other_bundle), "content of other.geoseg was not there"),
    ):
        end = geoseg(*words, *changed, "--resume")
        assert end.code == 3
        assert "belongs to another prediction" in end.err
        assert said in end.err
    assert geoseg(*words, "--tta", "flips", "--resume").code == 0
    np.testing.assert_array_equal(read(tmp_path / "m.tif"), read(whole))


# judging


def test_maps_are_judged_as_they_would_be_drawn(geoseg, tiny_bundle, other_bundle, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", 128, 128)
    labels = write_raster(tmp_path / "labels.tif", np.kron([[1, 2], [4, 1]], np.ones((64, 64))).astype(np.uint8)[None])
    asked = ("--model", tiny_bundle, "--model", other_bundle, "--tta", "d4")
    assert geoseg("predict", scene, *asked, "--mask", tmp_path / "m.tif").code == 0
    drawn = geoseg("evaluate", "--map", tmp_path / "m.tif", "--labels", labels, "--json")
    out, kept = tmp_path / "e.json", tmp_path / "maps"
    report = ("--out", out, "--maps", kept, "--report", tmp_path / "e.html")
    end = geoseg("evaluate", scene, *asked, "--labels", labels, *report)
    assert end.code == 0, end.err
    found = load_evaluation(out)
    assert found.total.confusion.counts.tolist() == json.loads(drawn.out)["total"]["confusion"]
    said = "mean of 2 networks (openvino on CPU, fp32); mean of 8 views (d4)"
    assert found.provenance.runtime == said
    assert provenance_of(kept / "scene.tif")["runtime"] == said
    assert found.model == f"{tiny_bundle}, {other_bundle}"
    assert {"tiny.geoseg", "other.geoseg"} <= found.provenance.inputs.keys()
    assert said in (tmp_path / "e.html").read_text()
    plain = geoseg("evaluate", scene, "--model", tiny_bundle, "--labels", labels, "--json")
    assert json.loads(plain.out)["provenance"]["runtime"] == "openvino on CPU, fp32"
    assert json.loads(plain.out)["total"]["confusion"] != found.total.confusion.counts.tolist()
    assert json.loads(drawn.out)["provenance"]["runtime"] is None


# bad input


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_an_unknown_augmentation_is_a_usage_error(geoseg, command, tmp_path):
    outputs = {"predict": ("--mask", tmp_path / "m.tif"), "evaluate": ("--labels", tmp_path / "l.tif")}
    end = geoseg(command, write_scene(tmp_path / "scene.tif"), *outputs[command], "--tta", "flip")
    assert end.code == 2
    assert "'flip'" in end.err
    assert "flips" in end.err


def test_models_that_differ_are_refused_before_anything_is_written(geoseg, tiny_bundle, tmp_path):
    other = write_bundle(tmp_path / "ten.geoseg", replace(OTHER_SPEC, gsd_m=10.0, indices=()))
    twin = shutil.copy(tiny_bundle, tmp_path / "twin.geoseg")
    scene, folder = write_scene(tmp_path / "scene.tif"), tmp_path / "out"
    folder.mkdir()
    for second, said in (
        (other, "ten.geoseg cannot be averaged with tiny.geoseg: found the indices none, needed ndvi; found the GSD"),
        (twin, "twin.geoseg is the same model as tiny.geoseg"),
        (tmp_path / "no.geoseg", "no.geoseg"),
    ):
        end = geoseg("predict", scene, "--model", tiny_bundle, "--model", second, "--mask", folder / "m.tif")
        assert (end.code, len(end.err.strip().splitlines())) == (3, 1), end
        assert said in end.err
        assert not list(folder.iterdir())


def test_an_output_is_none_of_the_models(geoseg, tiny_bundle, tmp_path):
    second = shutil.copy(write_bundle(tmp_path / "b.geoseg", SPEC, seed=2), tmp_path / "m.tif")
    scene = write_scene(tmp_path / "scene.tif")
    end = geoseg("predict", scene, "--model", tiny_bundle, "--model", second, "--mask", second, "--overwrite")
    assert end.code == 3
    assert "is an input of this run" in end.err
