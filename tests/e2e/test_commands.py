"""The other commands: help, sample, synth, info, check, bundle, train."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
import yaml
from factory import write_scene

from geoseg.core.legend import Legend


def imported_by(*arguments):
    code = f"""
import sys
sys.argv = ["geoseg", *{list(arguments)!r}]
from geoseg.cli.app import main
try:
    main()
except SystemExit:
    pass
print(*sys.modules, file=sys.stderr)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(run.stderr.split())


def test_help_imports_nothing_heavy():
    heavy = {"torch", "rasterio", "numpy", "geopandas", "openvino", "onnxruntime", "xarray"}
    assert not heavy & imported_by("--help")
    assert not heavy & imported_by("predict", "--help")


def test_help_names_every_format(geoseg):
    from geoseg.io.vector import VECTOR_SUFFIXES

    for command in ("predict", "polygonize", "points"):
        told = geoseg(command, "--help").out
        assert all(suffix in told for suffix in VECTOR_SUFFIXES)


def test_import_geoseg_is_lazy():
    code = "import sys, geoseg; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "rasterio", "numpy"} & set(run.stdout.split())


def test_public_names_exist():
    import geoseg

    assert all(getattr(geoseg, name) is not None for name in geoseg.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        geoseg.nonsense  # noqa: B018


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_predict_loads_its_runtime_alone(tiny_bundle, tmp_path, runtime):
    scene = write_scene(tmp_path / "scene.tif")
    modules = imported_by(
        "predict", str(scene), "--model", str(tiny_bundle), "--out", str(tmp_path / "m.gpkg"), "--runtime", runtime
    )
    assert (tmp_path / "m.gpkg").exists()
    assert modules & {"torch", "openvino", "onnxruntime"} == {runtime}
    assert "openvino_telemetry.main" not in modules, "it would report to its makers"


def test_version(geoseg):
    assert geoseg("--version").out.startswith("geoseg 0.")


def test_sample_is_a_real_scene(geoseg, landsat7_sample, tmp_path):
    out = tmp_path / "scene.tif"
    assert geoseg("sample", out).code == 0
    assert out.read_bytes() == landsat7_sample.read_bytes()
    assert geoseg("sample", out).code == 3
    assert geoseg("sample", out, "--overwrite").code == 0


def test_info_of_a_scene_and_of_a_bundle(geoseg, tiny_bundle, tmp_path):
    scene = write_scene(tmp_path / "scene.tif", 40, 50)
    facts = json.loads(geoseg("info", scene, "--json").out)
    assert facts["size"] == "40 x 50 px"
    assert facts["bands"][0] == "blue (blue), DN * 2e-05 -0.1, nodata 65535"
    bundle = geoseg("info", tiny_bundle)
    assert bundle.code == 0
    assert "4 forest #1c6330" in bundle.out
    assert "runs without torch" in bundle.out


def test_check_says_what_fits_and_refuses_with_3(geoseg, tiny_bundle, tmp_path):
    scene = write_scene(tmp_path / "scene.tif")
    good = geoseg("check", scene, "--model", tiny_bundle)
    assert good.code == 0
    assert [line.split()[0] for line in good.out.splitlines()] == ["fits"] * 7
    bad = geoseg("check", scene, "--model", tiny_bundle, "--bands", "blue=1,green=2", "--json")
    assert bad.code == 3
    assert json.loads(bad.out)["accepted"] is False


def test_synth_is_mapped_end_to_end(geoseg, tmp_path):
    scene, truth, mask = tmp_path / "s.tif", tmp_path / "t.tif", tmp_path / "m.tif"
    assert geoseg("synth", scene, "--size", 300, "--truth", truth).code == 0
    end = geoseg("predict", scene, "--mask", mask)
    assert end.code == 0, end.err
    with rasterio.open(truth) as t, rasterio.open(mask) as m:
        np.testing.assert_array_equal(t.read(1) == 255, m.read(1) == 255)


def test_the_readmes_python_runs(geoseg, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert geoseg("synth", "scene.tif", "--size", 200).code == 0
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = readme.split("```python")[1].split("```")[0]
    exec(compile(block, "README.md", "exec"), {})  # noqa: S102  (our own README)
    assert (tmp_path / "map.tif").exists()


@pytest.fixture
def config(tmp_path, geoseg):
    """A training of a few steps on a synthetic scene."""
    assert geoseg("synth", tmp_path / "scene.tif", "--size", 256, "--truth", tmp_path / "truth.tif").code == 0
    names = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]
    config = {
        "name": "tiny",
        "scenes": [{"path": "scene.tif", "labels": "truth.tif"}],
        "classes": [{"code": k, "name": n, "colour": f"#0000{k:02x}"} for k, n in enumerate(names, start=1)],
        "model": {
            "encoder": "tu-mobilenetv3_small_050",
            "decoder_channels": [32, 16, 16, 8, 8],
            "bands": ["blue", "green", "red", "nir"],
            "indices": ["ndvi", "ndwi"],
            "gsd_m": 30,
        },
        "split": {"block_m": 1200, "buffer_m": 60},
        "chips": {"size": 64},
        "sampling": {"per_epoch": 16},
        "augment": {"flip": {}, "turn": {}, "gain": {"gain": 0.05}, "clouds": {}},
        "loss": {"cross_entropy": {"class_weights": "inverse_frequency", "power": 0.5}, "dice": {}},
        "fit": {"epochs": 2, "batch_size": 4},
    }
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.mark.slow
def test_train_makes_a_bundle_that_predicts_and_is_the_same_for_the_same_seed(geoseg, config, tmp_path):
    for run in ("a", "b"):
        end = geoseg("train", config, "--out", tmp_path / run)
        assert end.code == 0, end.err
    weights = []
    for run in ("a", "b"):
        with zipfile.ZipFile(tmp_path / run / "model.geoseg") as bundle:
            weights.append(bundle.read("weights.safetensors"))
    assert weights[0] == weights[1]
    report = json.loads((tmp_path / "a" / "report.json").read_text())
    assert set(report["result"]["test_iou"]) == {"water", "developed", "barren", "forest", "shrubland",
                                                 "herbaceous", "cultivated", "wetlands"}  # fmt: skip
    assert report["result"]["test_miou"] > 0
    assert {p.name for p in (tmp_path / "a").iterdir()} >= {"model.geoseg", "report.json", "log", "checkpoints"}
    mask = tmp_path / "m.tif"
    end = geoseg("predict", tmp_path / "scene.tif", "--model", tmp_path / "a" / "model.geoseg", "--mask", mask)
    assert end.code == 0, end.err
    assert geoseg("train", config, "--out", tmp_path / "a").code == 3


def test_bundle_wraps_a_state_dict(geoseg, tmp_path, tiny_bundle):
    import torch

    from geoseg.models.build import build_model
    from geoseg.models.bundle import load_bundle

    spec = load_bundle(tiny_bundle).spec
    network = build_model(spec)
    torch.save(network.state_dict(), tmp_path / "weights.pt")
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(spec.to_dict()))
    out = tmp_path / "m.geoseg"
    end = geoseg("bundle", tmp_path / "weights.pt", "--spec", tmp_path / "spec.yaml", "--out", out)
    assert end.code == 0, end.err
    assert isinstance(load_bundle(out).spec.legend, Legend)
    assert load_bundle(out).spec == spec
