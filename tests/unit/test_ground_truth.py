"""Scenes and labels of a config, fitted to the model: statistics of the training fold alone, class weights."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from factory import BANDS, reflectance_dn, write_raster, write_scene

from geoseg.data.splits import TRAIN
from geoseg.training.config import read_config
from geoseg.training.ground import pixels_by_fold, read_ground_truth


def truth_of(tmp_path, scenes, **changes):
    config = {
        "scenes": scenes,
        "classes": [
            {"code": 1, "name": "water", "colour": "#0000ff"},
            {"code": 2, "name": "land", "colour": "#00ff00"},
        ],
        "model": {"bands": list(BANDS.names), "gsd_m": 30, "encoder": "resnet18"},
        "split": {"block_m": 900, "buffer_m": 60},
    } | changes
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return read_ground_truth(read_config(path))


@pytest.fixture
def labels(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.choice([1, 2, 255], (1, 128, 128), p=[0.3, 0.6, 0.1]).astype(np.uint8)
    write_raster(tmp_path / "labels.tif", codes, nodata=255)
    return codes[0]


def test_statistics_are_those_of_the_training_fold_alone(tmp_path, labels):
    plain = truth_of(tmp_path, [{"path": str(write_scene(tmp_path / "a.tif", 128, 128)), "labels": "labels.tif"}])
    chosen = (plain.scenes[0].folds == TRAIN) & (labels != 255)
    assert 0.2 < chosen.mean() < 0.8
    data = reflectance_dn(128, 128)
    data[:, ~chosen] = 60000  # were anything else looked at, the means would be far off
    path = write_raster(tmp_path / "b.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    spoilt = truth_of(tmp_path, [{"path": str(path), "labels": "labels.tif"}])
    values = data[:, chosen] * 2e-5 - 0.1
    np.testing.assert_allclose([b.mean for b in spoilt.spec.bands], values.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose([b.std for b in spoilt.spec.bands], values.std(axis=1), rtol=1e-3)


def test_scenes_in_two_crs_share_one_split(tmp_path, labels):
    write_scene(tmp_path / "a.tif", 128, 128)
    write_scene(tmp_path / "b.tif", 128, 128, seed=1, crs="EPSG:26912")
    scenes = [{"path": name, "labels": "labels.tif"} for name in ("a.tif", "b.tif")]
    truth = truth_of(tmp_path, scenes)
    one, two = (scene.folds for scene in truth.scenes)
    assert (one == two).mean() > 0.97, "the same ground, so the same folds but for a pixel at the borders"
    counts = pixels_by_fold(truth)
    assert sum(counts["train"].values()) == sum(
        int(((s.folds == TRAIN) & (s.labels != 255)).sum()) for s in truth.scenes
    )


def test_each_scene_keeps_its_own_calibration(tmp_path, labels):
    write_scene(tmp_path / "a.tif", 128, 128)
    reflectance = (reflectance_dn(128, 128, seed=2) * 2e-5 - 0.1).astype(np.float32)
    write_raster(tmp_path / "b.tif", reflectance, names=BANDS.names)
    scenes = [{"path": name, "labels": "labels.tif"} for name in ("a.tif", "b.tif")]
    truth = truth_of(tmp_path, scenes)
    for scene in truth.scenes:
        raster = scene.scene.read(scene.scene.grid.window)
        assert abs(scene.bands.normalise(raster.data, raster.valid).mean()) < 0.3
