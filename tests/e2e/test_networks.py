"""Other networks than the usual one, from a config to a map, through the command line."""

from __future__ import annotations

import json

import pytest
import rasterio
import yaml

NAMES = ["water", "developed", "barren", "forest", "shrubland", "herbaceous", "cultivated", "wetlands"]


@pytest.mark.parametrize(
    ("model", "note"),
    [
        (
            {"architecture": "deeplabv3plus", "options": {"atrous_rates": [1, 2, 4]}},
            "of the atrous rates 4 only the middle weight sees anything: chips of 64 px are 4 features wide",
        ),
        ({"architecture": "deeplabv3", "options": {"atrous_rates": [2, 4, 6]}}, "2, 4, 6 share the factor 2"),
        ({"architecture": "bisenet", "options": {"deep_supervision": True, "norm": "group", "dropout": 0.1}}, None),
    ],
)
def test_a_network_is_trained_and_predicts(geoseg, tmp_path, model, note):
    assert geoseg("synth", tmp_path / "scene.tif", "--size", 192, "--truth", tmp_path / "truth.tif").code == 0
    config = {
        "scenes": [{"path": "scene.tif", "labels": "truth.tif"}],
        "classes": [{"code": k, "name": n, "colour": f"#0000{k:02x}"} for k, n in enumerate(NAMES, start=1)],
        "model": {"encoder": "tu-mobilenetv3_small_050", "bands": ["blue", "green", "red", "nir"], "gsd_m": 30} | model,
        "split": {"block_m": 960, "buffer_m": 0},
        "chips": {"size": 64},
        "sampling": {"per_epoch": 8},
        "fit": {"epochs": 1, "batch_size": 4},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    end = geoseg("train", tmp_path / "config.yaml", "--out", tmp_path / "run")
    assert end.code == 0, end.err
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    notes = [line for line in report["result"]["notes"] if "atrous" in line]
    assert len(notes) == (note is not None)
    if note is not None:
        assert note in notes[0]
        assert notes[0] in end.out
    said = geoseg("info", tmp_path / "run" / "model.geoseg").out
    for name in model.get("options", {}):
        assert f"{name.replace('_', ' ')}: " in said
    out = tmp_path / "map.tif"
    end = geoseg("predict", tmp_path / "scene.tif", "--model", tmp_path / "run" / "model.geoseg", "--mask", out)
    assert end.code == 0, end.err
    with rasterio.open(out) as found:
        assert found.shape == (192, 192)
