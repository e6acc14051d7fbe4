"""Chips: windows of scenes with labels, whichever process reads them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from factory import BANDS, LEGEND, write_raster, write_scene
from memory import MemoryFolds, MemoryMap

from geoseg.core.legend import UNLABELLED
from geoseg.data.chips import ChipOptions, EvaluationChips, TrainingChips
from geoseg.data.content import count_content
from geoseg.data.labels import as_label_options, open_labels
from geoseg.data.readers import LabelledScene
from geoseg.data.sampling import SamplingOptions, class_chances, plan_epoch, sampled_ground
from geoseg.data.splits.split import TRAIN, VAL
from geoseg.data.stack import Chip, stack
from geoseg.data.store import store_labels
from geoseg.errors import OutputError
from geoseg.inference.contract import calibrate
from geoseg.io.scene import open_scene

NAMES = [c.name for c in LEGEND]


def labelled(folder, *, height=90, width=130, seed=0, classes=None, sun=(135.0, 40.0)):
    """A scene whose left half is train and right half val, with 3 px between."""
    scene = open_scene(write_scene(folder / f"scene{seed}.tif", height, width, seed=seed))
    rng = np.random.default_rng(seed)
    if classes is None:
        classes = rng.choice([0, 1, 2, 255], (height, width), p=[0.8, 0.09, 0.01, 0.1]).astype(np.uint8)
    folds = np.full((height, width), TRAIN, dtype=np.uint8)
    folds[:, width // 2 :] = VAL
    folds[:, width // 2 - 3 : width // 2] = 255
    return LabelledScene(
        name=scene.name,
        pixels=scene,
        bands=calibrate(BANDS, scene.bands),
        labels=MemoryMap(scene.grid, classes),
        folds=MemoryFolds(scene.grid, folds),
        sun=sun,
    )


def training(scenes, *, seed=0, epoch=0, chips=None, **sampling):
    options = SamplingOptions(**({"per_epoch": 12} | sampling))
    contents = [count_content(s.labels, s.folds, 3) for s in scenes]
    ground = sampled_ground(contents, TRAIN, options, [s.region for s in scenes])
    chances = class_chances(ground.totals, options, NAMES)
    result = TrainingChips(scenes, ground, TRAIN, chips or ChipOptions(size=32), seed)
    result.start_epoch(epoch, plan_epoch(ground, chances, options, seed=(seed, epoch)))
    return result


def values(chip: Chip) -> np.ndarray:
    return stack([chip], 3).batch(BANDS, 3, 30.0).values[0].numpy()


def same(one: Chip, two: Chip) -> bool:
    return np.array_equal(one.data, two.data) and np.array_equal(one.labels, two.labels)


def test_a_chip_is_its_window_of_the_scene_in_physical_values(tmp_path):
    scene = labelled(tmp_path)
    whole = scene.bands.physical(scene.pixels.read(scene.pixels.grid.window).data)
    for chip in training([scene]):
        places = [
            (row, col)
            for row in range(90 - 31)
            for col in range(130 - 31)
            if np.array_equal(whole[0, row, col : col + 4], values(chip)[0, 0, :4])
        ]
        ((row, col),) = places
        np.testing.assert_array_equal(values(chip), whole[:, row : row + 32, col : col + 32])
        expected = scene.labels.classes[row : row + 32, col : col + 32].copy()
        expected[scene.folds.folds[row : row + 32, col : col + 32] != TRAIN] = UNLABELLED
        np.testing.assert_array_equal(chip.labels, expected)
        assert chip.sun == (135.0, 40.0)


def test_training_chips_never_show_labels_of_another_fold(tmp_path):
    scene = labelled(tmp_path)
    scene.labels.classes[scene.folds.folds != TRAIN] = 2
    scene.labels.classes[(scene.folds.folds == TRAIN) & (scene.labels.classes == 2)] = 0
    chips = training([scene], class_share=0.0, per_epoch=40)
    counts = sum(np.bincount(chip.labels.ravel(), minlength=256) for chip in chips)
    assert counts[UNLABELLED] > 0
    assert counts[0] > 0
    assert counts[2] == 0


def test_blanked_context_shows_nothing_of_other_folds(tmp_path):
    scene = labelled(tmp_path)
    kept, blanked = (training([scene], chips=ChipOptions(size=64, context=c)) for c in ("keep", "blank"))
    for keep, blank in zip(kept, blanked, strict=True):
        np.testing.assert_array_equal(keep.labels, blank.labels)
        assert keep.valid.all()
        assert not blank.valid[:, -1].all()  # a chip of 64 px reaches over the border of the fold
        assert (values(blank)[:, ~blank.valid] == 0).all()
        np.testing.assert_array_equal(values(keep)[:, blank.valid], values(blank)[:, blank.valid])


def test_chips_depend_on_seed_epoch_and_number_only(tmp_path):
    scenes = [labelled(tmp_path), labelled(tmp_path, seed=1)]
    one, two = training(scenes, seed=3), training(scenes, seed=3)
    assert same(two[4], one[4])  # without those before it
    assert not same(one[4], training(scenes, seed=3, epoch=1)[4])
    assert not same(one[4], training(scenes, seed=4)[4])


def test_chips_travel_to_another_process(tmp_path):
    chips = training([labelled(tmp_path)])
    first = chips[0]  # files are open now
    assert same(pickle.loads(pickle.dumps(chips))[0], first)  # noqa: S301 -- our own bytes


def test_a_chip_larger_than_its_scene_is_filled_up_with_nothing(tmp_path):
    scene = labelled(tmp_path, height=40, width=50)
    for chip in training([scene], chips=ChipOptions(size=96)):
        assert chip.data.shape == (4, 96, 96)
        assert chip.valid.sum() == 40 * 50
        assert (chip.labels[~chip.valid] == UNLABELLED).all()
        assert (values(chip)[:, ~chip.valid] == 0).all()


def test_nodata_is_invalid_zero_and_unlabelled(tmp_path):
    scene = labelled(tmp_path)
    with_hole = scene.pixels.read(scene.pixels.grid.window).data
    with_hole[:, :, 20:24] = 65535
    path = write_raster(tmp_path / "hole.tif", with_hole, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    holed = LabelledScene(
        name="hole", pixels=open_scene(path), bands=scene.bands, labels=scene.labels, folds=scene.folds
    )
    chips = list(training([holed]))
    assert any(not chip.valid.all() for chip in chips)
    for chip in chips:
        assert (chip.labels[~chip.valid] == UNLABELLED).all()
        assert (values(chip)[:, ~chip.valid] == 0).all()
        assert np.isfinite(values(chip)).all()


def test_the_drawn_class_is_near_the_middle(tmp_path):
    classes = np.zeros((200, 260), dtype=np.uint8)
    classes[100, 60] = 2  # one pixel of 26,000
    chips = training([labelled(tmp_path, height=200, width=260, classes=classes)], class_share=1.0, per_epoch=30)
    seen = [chip for chip in chips if (chip.labels == 2).any()]
    assert len(seen) >= 8
    for chip in seen:
        row, col = np.argwhere(chip.labels == 2)[0]
        assert 8 <= row <= 24
        assert 8 <= col <= 24


def test_evaluation_chips_show_every_labelled_pixel_of_their_fold_once(tmp_path):
    scenes = [labelled(tmp_path), labelled(tmp_path, height=40, width=50, seed=1)]
    contents = [count_content(s.labels, s.folds, 3) for s in scenes]
    chips = EvaluationChips(scenes, contents, VAL, size=32, overlap=8)
    counts = sum(np.bincount(chips[i].labels.ravel(), minlength=256) for i in range(len(chips)))
    expected = sum(np.bincount(s.labels.classes[s.folds.folds == VAL], minlength=256) for s in scenes)
    np.testing.assert_array_equal(counts[:3], expected[:3])
    assert {chips[i].data.shape for i in range(len(chips))} == {(4, 32, 32)}


def test_soft_labels_come_along_and_certain_ones_join_them(tmp_path):
    scene = labelled(tmp_path)
    shares = np.random.default_rng(0).dirichlet([1, 1, 1], (90, 130)).transpose(2, 0, 1).astype(np.float32)
    shares[:, :4] = np.nan
    write_raster(tmp_path / "shares.tif", shares, names=tuple(NAMES), nodata=np.nan)
    options = as_label_options({"path": tmp_path / "shares.tif", "probabilities": True})
    labels = open_labels(options, scene.pixels.grid, LEGEND)
    stored = store_labels(labels, scene.pixels, tmp_path / "cache")
    soft = LabelledScene(
        name="soft", pixels=scene.pixels, bands=scene.bands, labels=stored, folds=scene.folds, soft=stored.soft
    )
    batch = stack([*training([soft]), training([scene])[0]], 3).batch(BANDS, 3, 30.0)
    sums = batch.soft.sum(dim=1)
    torch.testing.assert_close(sums, (batch.labels != UNLABELLED).float(), atol=1e-5, rtol=0)
    known = batch.labels != UNLABELLED
    assert torch.equal(batch.soft.argmax(dim=1)[known], batch.labels[known].long())
    assert batch.target is batch.soft


@pytest.mark.parametrize("cache", ["beside", "none", "folder"])
def test_stored_labels_are_made_once_and_read_alike(tmp_path, cache):
    scene = labelled(tmp_path)
    codes = np.array([1, 2, 4])[np.minimum(scene.labels.classes, 2)].astype(np.uint8)
    codes[scene.labels.classes == UNLABELLED] = 255
    write_raster(tmp_path / "labels.tif", codes[None], nodata=255)
    labels = open_labels(as_label_options(tmp_path / "labels.tif"), scene.pixels.grid, LEGEND)
    stored = store_labels(labels, scene.pixels, tmp_path / "cache" if cache == "folder" else cache)
    with stored.reader() as reader:
        np.testing.assert_array_equal(reader.read(scene.pixels.grid.window), scene.labels.classes)
    folder = {"beside": tmp_path / "labels.tif.geoseg", "folder": tmp_path / "cache"}.get(cache, stored.path.parent)
    assert stored.path.parent == folder
    written = stored.path.stat().st_mtime_ns
    again = store_labels(labels, scene.pixels, tmp_path / "cache" if cache == "folder" else cache)
    assert (again.path == stored.path) == (cache != "none")
    assert stored.path.stat().st_mtime_ns == written
    if cache == "none":
        del stored
        assert not folder.exists()


def test_stored_labels_know_where_the_scene_is_invalid(tmp_path):
    scene = labelled(tmp_path)
    data = scene.pixels.read(scene.pixels.grid.window).data
    data[:, :10] = 65535
    path = write_raster(tmp_path / "hole.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    codes = write_raster(tmp_path / "labels.tif", np.full((1, 90, 130), 2, dtype=np.uint8))
    labels = open_labels(as_label_options(codes), scene.pixels.grid, LEGEND)
    paths = set()
    for pixels, unlabelled in ((open_scene(path), 10), (scene.pixels, 0)):
        stored = store_labels(labels, pixels, tmp_path)
        paths.add(stored.path)
        with stored.reader() as reader:
            found = reader.read(scene.pixels.grid.window)
        assert (found[:unlabelled] == UNLABELLED).all()
        assert (found[unlabelled:] == 1).all()
    assert len(paths) == 2


def test_where_nothing_can_be_written_beside_labels_they_are_kept_for_the_moment(tmp_path):
    scene = labelled(tmp_path)
    write_raster(tmp_path / "labels.tif", np.full((1, 90, 130), 2, dtype=np.uint8))
    labels = open_labels(as_label_options(tmp_path / "labels.tif"), scene.pixels.grid, LEGEND)
    taken = write_raster(tmp_path / "taken", np.zeros((1, 3, 3), dtype=np.uint8))
    with pytest.raises(OutputError, match=r"taken: cannot be written .* choose another `cache`"):
        store_labels(labels, scene.pixels, taken)
    write_raster(
        tmp_path / "labels.tif.geoseg", np.zeros((1, 3, 3), dtype=np.uint8)
    )  # a file where the folder would be
    stored = store_labels(labels, scene.pixels, "beside")
    assert stored.temporary
    assert stored.path.is_file()
