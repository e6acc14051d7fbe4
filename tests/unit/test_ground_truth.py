"""Scenes and labels of a config, fitted to the model: statistics of the training fold alone, folds, what they lack."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from affine import Affine
from factory import BANDS, NORTH_UP, reflectance_dn, write_raster, write_scene

from geoseg.data.splits.split import TEST, TRAIN, VAL
from geoseg.errors import InputError
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.ground import open_ground
from geoseg.training.truth import TrainingGround, divide, ground_truth

CLASSES = [{"code": 1, "name": "water", "colour": "#0000ff"}, {"code": 2, "name": "land", "colour": "#00ff00"}]


def config_of(folder, scenes, **changes):
    config = {
        "scenes": scenes,
        "classes": CLASSES,
        "model": {"bands": list(BANDS.names), "gsd_m": 30, "encoder": "resnet18"},
        "split": {"block_m": 900, "buffer_m": 60},
        "chips": {"size": 32},
        "sampling": {"per_epoch": 16},
        "cache": "cache",
    } | changes
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    return read_config(path)


def truth_of(folder, scenes, **changes):
    config = config_of(folder, scenes, **changes)
    ground = open_ground(config)
    split = divide(ground, config).split
    return ground_truth(ground, split.map(), split.fingerprint)


def folds_of(scene):
    return scene.folds.folds_on(scene.labels.grid)


def labels_of(scene):
    with scene.labels.reader() as reader:
        return reader.read(scene.labels.grid.window)


@pytest.mark.parametrize("name", ["landcover8-30m", "rcv-sentinel2", "newbrunswick-aerial"])
def test_a_config_in_a_report_is_a_config(name):
    config = read_config(Path(__file__).parents[2] / "configs" / f"{name}.yaml")
    assert TrainConfig.model_validate(json.loads(json.dumps(config.model_dump(mode="json")))) == config


@pytest.fixture
def labels(tmp_path):
    rng = np.random.default_rng(0)
    codes = rng.choice([1, 2, 255], (1, 128, 128), p=[0.3, 0.6, 0.1]).astype(np.uint8)
    write_raster(tmp_path / "labels.tif", codes, nodata=255)
    return codes[0]


def test_statistics_are_those_of_the_training_fold_alone(tmp_path, labels):
    plain = truth_of(tmp_path, [{"path": str(write_scene(tmp_path / "a.tif", 128, 128)), "labels": "labels.tif"}])
    chosen = (folds_of(plain.scenes[0]) == TRAIN) & (labels != 255)
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
    truth = truth_of(tmp_path, [{"path": name, "labels": "labels.tif"} for name in ("a.tif", "b.tif")])
    one, two = (folds_of(scene) for scene in truth.scenes)
    assert (one == two).mean() > 0.97, "the same ground, so the same folds but for a pixel at the borders"
    counts = truth.pixels_by_fold
    for fold, name in ((TRAIN, "train"), (VAL, "val"), (TEST, "test")):
        expected = sum(int(((folds_of(s) == fold) & (labels_of(s) != 255)).sum()) for s in truth.scenes)
        assert sum(counts[name].values()) == expected > 0


def test_each_scene_keeps_its_own_calibration(tmp_path, labels):
    write_scene(tmp_path / "a.tif", 128, 128)
    reflectance = (reflectance_dn(128, 128, seed=2) * 2e-5 - 0.1).astype(np.float32)
    write_raster(tmp_path / "b.tif", reflectance, names=BANDS.names)
    truth = truth_of(tmp_path, [{"path": name, "labels": "labels.tif"} for name in ("a.tif", "b.tif")])
    for scene in truth.scenes:
        with scene.pixels.reader() as reader:
            raster = reader.read(scene.pixels.grid.window)
        assert abs(scene.bands.normalise(raster.data, raster.valid).mean()) < 0.3


@pytest.mark.parametrize("cache", ["cache", "none", "beside"])
def test_the_cache_changes_nothing(tmp_path, labels, cache):
    write_scene(tmp_path / "a.tif", 128, 128)
    scenes = [{"path": "a.tif", "labels": "labels.tif"}]
    config = config_of(tmp_path, scenes, cache=cache)
    chips = []
    for _ in range(2):  # the second time from the cache
        ground = open_ground(config)
        split = divide(ground, config).split
        training = TrainingGround(ground_truth(ground, split.map(), split.fingerprint), config).chips
        chips.append([training[i] for i in range(4)])
    fresh = open_ground(config_of(tmp_path, scenes, cache="none"))
    split = divide(fresh, config).split
    plain = TrainingGround(ground_truth(fresh, split.map()), config).chips
    for i in range(4):
        for chip in (chips[0][i], chips[1][i]):
            np.testing.assert_array_equal(chip.data, plain[i].data)
            np.testing.assert_array_equal(chip.labels, plain[i].labels)
            np.testing.assert_array_equal(chip.valid, plain[i].valid)
    kept = sorted(p.suffix for p in tmp_path.glob("cache/*")), sorted(p.suffix for p in tmp_path.glob("*.geoseg/*"))
    assert (
        kept
        == {"cache": ([".npy", ".npz", ".tif"], []), "none": ([], []), "beside": ([], [".npy", ".npz", ".tif"])}[cache]
    )


def test_changed_labels_are_read_anew(tmp_path, labels):
    write_scene(tmp_path / "a.tif", 128, 128)
    scenes = [{"path": "a.tif", "labels": "labels.tif"}]
    first = truth_of(tmp_path, scenes).pixels_by_fold
    write_raster(tmp_path / "labels.tif", np.where(labels == 1, 2, labels)[None], nodata=255)
    second = truth_of(tmp_path, scenes)
    assert first["train"]["water"] > 0
    assert second.pixels_by_fold["train"]["water"] == 0


def test_a_class_that_a_fold_lacks_is_said(tmp_path):
    write_scene(tmp_path / "a.tif", 128, 128)
    codes = np.full((1, 128, 128), 2, dtype=np.uint8)
    codes[0, :20, :20] = 1
    write_raster(tmp_path / "labels.tif", codes)
    truth = truth_of(tmp_path, [{"path": "a.tif", "labels": "labels.tif"}], split={"block_m": 900})
    lacking = [fold for fold in ("train", "val", "test") if truth.pixels_by_fold[fold]["water"] == 0]
    assert lacking, "one block cannot be in three folds"
    assert len(truth.warnings) == len(lacking)
    assert all(f"the {fold} fold has no water" in text for fold, text in zip(lacking, truth.warnings, strict=True))


def test_regions_can_be_the_blocks(tmp_path, labels):
    scenes = []
    for i, region in enumerate(("utah", "ohio", "iowa", "utah")):
        name = f"{i}.tif"
        shifted = NORTH_UP @ Affine.translation(400 * i, 0)
        write_scene(tmp_path / name, 128, 128, seed=i, transform=shifted)
        write_raster(tmp_path / f"l{i}.tif", labels[None], nodata=255, transform=shifted)
        scenes.append({"path": name, "labels": f"l{i}.tif", "region": region})
    truth = truth_of(tmp_path, scenes, split={"attribute": "region"})
    folds = [set(np.unique(folds_of(scene)).tolist()) for scene in truth.scenes]
    assert folds[0] == folds[3]
    assert all(len(found) == 1 for found in folds)
    assert set.union(*folds) == {TRAIN, VAL, TEST}


def test_a_buffer_that_leaves_nothing_and_blocks_larger_than_the_scene_are_refused(tmp_path, labels):
    write_scene(tmp_path / "a.tif", 128, 128)
    scenes = [{"path": "a.tif", "labels": "labels.tif"}]
    with pytest.raises(
        InputError, match=r"a buffer of 2000 m leaves no labelled pixel of the \w+ fold .* smaller buffer"
    ):
        truth_of(tmp_path, scenes, split={"block_m": 900, "buffer_m": 2000})
    with pytest.raises(InputError, match=r"all labels lie in one block .* choose a smaller block_m"):
        truth_of(tmp_path, scenes, split={"block_m": 100_000})


def test_every_class_weighs_on_the_drawn_ground(tmp_path, labels):
    write_scene(tmp_path / "a.tif", 128, 128)
    scenes = [{"path": "a.tif", "labels": "labels.tif"}]
    config = config_of(tmp_path, scenes, sampling={"per_epoch": 16, "class_share": 1.0})
    ground = open_ground(config)
    training = TrainingGround(ground_truth(ground, divide(ground, config).split.map()), config)
    assert training.shares.sum() == pytest.approx(1)
    assert training.shares[0] == pytest.approx(1 / 3, abs=0.02), "classes are mixed everywhere, as they are drawn"
    before = [training.chips[i].data for i in range(3)]
    training.start_epoch(1)
    assert not all(np.array_equal(training.chips[i].data, old) for i, old in enumerate(before))
