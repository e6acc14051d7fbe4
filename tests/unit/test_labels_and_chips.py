"""Labels on scenes and the chips that are cut from them."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
from affine import Affine
from factory import BANDS, LEGEND, NORTH_UP, write_raster, write_scene
from shapely.geometry import box

from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.geometry import flip_and_turn
from geoseg.data.augment.radiometry import Jitter, jitter_bands
from geoseg.data.chips import ChipOptions, EvaluationChips, LabelledScene, TrainingChips
from geoseg.data.labels import LabelSource, read_labels
from geoseg.errors import InputError
from geoseg.io.scene import open_scene


def labelled(tmp_path, *, height=90, width=130, seed=0):
    scene = open_scene(write_scene(tmp_path / f"scene{seed}.tif", height, width, seed=seed))
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, (height, width), p=[0.9, 0.09, 0.01]).astype(np.uint8)
    folds = np.zeros((height, width), dtype=np.uint8)
    folds[:, width // 2 :] = 1
    folds[:, width // 2 - 3 : width // 2] = 255
    return LabelledScene(scene=scene, bands=BANDS, labels=labels, folds=folds)


def test_label_rasters_in_another_crs_land_on_the_right_ground(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif", 80, 80))
    codes = np.full((1, 40, 80), 1, dtype=np.uint8)
    codes[:, :, 40:] = 4
    # the same ground in another datum realisation, pixels twice as tall
    write_raster(
        tmp_path / "l.tif", codes, crs="EPSG:26912", nodata=255, transform=Affine(30, 0, 301905, 0, -60, 4154085)
    )
    labels = read_labels(LabelSource(path=tmp_path / "l.tif"), scene.grid, LEGEND)
    assert (labels[:, :38] == 0).all()
    assert (labels[:, 42:] == 2).all()


def test_label_polygons_by_name_or_code(tmp_path):
    scene = open_scene(write_scene(tmp_path / "scene.tif", 40, 40))
    left, top = NORTH_UP @ (0, 0)
    squares = [box(left, top - 600, left + 600, top), box(left + 600, top - 600, left + 1200, top)]
    for column, values in (("name", ["forest", "water"]), ("number", [4, 1])):
        path = tmp_path / f"{column}.gpkg"
        geopandas.GeoDataFrame({column: values}, geometry=squares, crs="EPSG:32612").to_crs(4326).to_file(path)
        labels = read_labels(LabelSource(path=path, column=column), scene.grid, LEGEND)
        assert (labels[2:18, 2:18] == 2).all()
        assert (labels[2:18, 22:38] == 0).all()
        assert (labels[22:] == UNLABELLED).all()


def test_training_chips_stay_in_their_fold(tmp_path):
    scene = labelled(tmp_path)
    scene.labels[scene.folds != 0] = 2  # were another fold seen, this rare class would be frequent
    chips = TrainingChips([scene], 0, (), ChipOptions(size=32, per_epoch=40, class_share=0), seed=1)
    counts = sum(np.bincount(labels.ravel(), minlength=256) for _, labels in chips)
    assert counts[UNLABELLED] > 0
    assert counts[2] / counts[:3].sum() < 0.05


def test_chips_depend_on_seed_epoch_and_number_only(tmp_path):
    scene = labelled(tmp_path)
    options = ChipOptions(size=32, per_epoch=6, jitter=Jitter(gain=0.1, band_gain=0.1, offset=0.01))
    one, two = (TrainingChips([scene], 0, ("ndvi",), options, seed=3) for _ in range(2))
    np.testing.assert_array_equal(one[4][0], two[4][0])
    one.start_epoch(1)
    assert not np.array_equal(one[4][0], two[4][0])
    assert len(list(one)) == 6


def test_class_aware_chips_show_rare_classes_more_often(tmp_path):
    scene = labelled(tmp_path)
    scene.labels[scene.labels == 2] = 0
    scene.labels[10:12, 10:12] = 2

    def share(class_share):
        chips = TrainingChips([scene], 0, (), ChipOptions(size=16, per_epoch=60, class_share=class_share), seed=0)
        return np.mean([(labels == 2).any() for _, labels in chips])

    assert share(1.0) > 0.25 > share(0.0)


def test_evaluation_chips_show_every_labelled_pixel_of_their_fold_once(tmp_path):
    scenes = [labelled(tmp_path), labelled(tmp_path, height=40, width=50, seed=1)]
    chips = EvaluationChips(scenes, 1, ("ndvi",), size=32, overlap=8)
    counts = sum(np.bincount(labels.ravel(), minlength=256) for _, labels in (chips[i] for i in range(len(chips))))
    expected = sum(np.bincount(s.labels[s.folds == 1], minlength=256) for s in scenes)
    np.testing.assert_array_equal(counts[:3], expected[:3])
    assert {channels.shape for channels, _ in (chips[i] for i in range(len(chips)))} == {(5, 32, 32)}


def test_a_fold_without_labels_is_refused(tmp_path):
    scene = labelled(tmp_path)
    with pytest.raises(InputError, match="no labelled pixel"):
        TrainingChips([scene], 2, (), ChipOptions(), seed=0)


def test_flips_and_turns_move_channels_and_labels_alike_and_reach_all_eight():
    channels, labels = np.arange(18).reshape(2, 3, 3), np.arange(9).reshape(3, 3)
    seen = set()
    for seed in range(100):
        turned, moved = flip_and_turn(channels, labels, np.random.default_rng(seed))
        np.testing.assert_array_equal(turned[0], moved)
        np.testing.assert_array_equal(turned[1], moved + 9)
        seen.add(moved.tobytes())
    assert len(seen) == 8


def test_jitter_changes_reflectance_by_gain_and_offset():
    raw = np.full((4, 50, 50), 0.2, dtype=np.float32)
    rng = np.random.default_rng(0)
    assert jitter_bands(BANDS, Jitter(), rng).physical(raw) == pytest.approx(raw)
    values = [jitter_bands(BANDS, Jitter(gain=0.1), rng).physical(raw)[:, 0, 0] for _ in range(200)]
    np.testing.assert_allclose(np.log(np.array(values) / 0.2).std(axis=0), 0.1, rtol=0.2)
    assert np.ptp(values[0]) == pytest.approx(0, abs=1e-6), "a common gain keeps the bands' ratios"
