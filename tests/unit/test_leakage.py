"""Leakage: distances, shares and counts against counting by hand, for good and for careless splits."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from scipy.ndimage import distance_transform_cdt, distance_transform_edt

from geoseg.core.grid import Grid
from geoseg.data.splits import leakage as module
from geoseg.data.splits.build import build_split
from geoseg.data.splits.chance import random_split
from geoseg.data.splits.leakage import FoldedMap, ScoreGap, leakage, masks_from_array, masks_of
from geoseg.data.splits.options import SplitOptions
from geoseg.data.splits.split import NO_FOLD
from geoseg.errors import InputError

NAMES = ("water", "forest")


@dataclass(frozen=True, eq=False)
class ArrayMap:
    grid: Grid
    labels: np.ndarray

    @contextmanager
    def reader(self):
        yield self

    def read(self, window):
        return self.labels[window.slices]


def map_of(labels, origin=(301905.0, 4154085.0)):
    transform = Affine(30, 0, origin[0], 0, -30, origin[1])
    grid = Grid(crs=CRS.from_epsg(32612), transform=transform, height=labels.shape[0], width=labels.shape[1])
    return ArrayMap(grid, labels)


def random_map(seed=0, size=90, unlabelled=0.3):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, (size, size)).astype(np.uint8)
    labels[rng.random((size, size)) < unlabelled] = 255
    return map_of(labels)


def report_of(folds, labels, **options):
    """Of folds given as an array of fold numbers on one map."""
    each = map_of(labels)
    covered = np.stack([folds == fold for fold in range(3)])
    return leakage([FoldedMap(classes=each, masks=masks_from_array(each.grid, covered))], NAMES, **options)


@given(st.integers(0, 999), st.integers(1, 9))
@settings(max_examples=15, deadline=None)
def test_one_scene_is_judged_as_by_distance_transforms(seed, chip):
    rng = np.random.default_rng(seed)
    labels = random_map(seed).labels
    folds = np.full(labels.shape, NO_FOLD)
    for _ in range(9):
        row, col = rng.integers(0, 70, 2)
        folds[row : row + rng.integers(5, 20), col : col + rng.integers(5, 20)] = rng.integers(0, 3)
    folds[:3, :3], folds[-3:, -3:], folds[:3, -3:] = 0, 1, 2
    labels[:3, :3] = labels[-3:, -3:] = labels[:3, -3:] = 1
    range_m = 30.0 * rng.uniform(1, 20)
    report = report_of(folds, labels, range_m=range_m, chip_pixels=chip)
    known = labels < 2
    masks = [(folds == fold) & known for fold in range(3)]
    for pair, (a, b) in {"train-val": (0, 1), "train-test": (0, 2), "val-test": (1, 2)}.items():
        expected = distance_transform_edt(~masks[a])[masks[b]].min() * 30.0
        assert dict(report.distances_m)[pair] == pytest.approx(expected, rel=1e-3)
    chessboard = distance_transform_cdt(~masks[0], metric="chessboard")
    for leak, mask in zip(report.evaluation, masks[1:], strict=True):
        near = (distance_transform_edt(~masks[0])[mask] * 30.0 < range_m).mean()
        assert leak.near == pytest.approx(near, abs=0.02)
        assert leak.context == pytest.approx((chessboard[mask] <= chip - 1).mean(), abs=0.02)
        assert leak.shared == 0
    for fold in range(3):
        assert report.pixels[fold] == tuple(np.bincount(labels[masks[fold]], minlength=2))
    assert report.labelled == known.sum()
    assert report.outside == (known & (folds == NO_FOLD)).sum()


def test_a_blocked_split_leaks_less_than_one_by_chance():
    each = random_map(size=200, unlabelled=0)
    built = build_split([each], 2, SplitOptions(block_m=1200.0, buffer_m=90.0))
    ready = built.split.map()
    whole = masks_of(replace(built.split, buffer_m=0.0).map())
    options = {"range_m": 150.0, "chip_pixels": 5}
    blocked = leakage([FoldedMap(classes=each, masks=masks_of(ready))], NAMES, unbuffered=whole, **options)
    chance = leakage([FoldedMap(classes=each, masks=masks_of(random_split([each.grid])))], NAMES, **options)
    assert all(distance >= 180 * 0.999 for _, distance in blocked.distances_m)
    assert all(distance == pytest.approx(30, rel=1e-3) for _, distance in chance.distances_m)
    assert [leak.near for leak in blocked.evaluation] == [0, 0]
    assert all(leak.near > 0.8 for leak in chance.evaluation)
    assert [leak.context for leak in blocked.evaluation] == [0, 0]
    assert all(leak.context > 0.8 for leak in chance.evaluation)
    lost = (ready.folds_on(each.grid) == NO_FOLD).sum()
    assert (blocked.lost_to_buffer, blocked.outside) == (lost, 0)
    assert sum(map(sum, blocked.pixels)) == each.labels.size - lost
    assert (chance.lost_to_buffer, chance.outside) == (None, 0)


def test_chips_that_overlap_are_counted_as_shared_ground():
    labels = np.zeros((40, 40), np.uint8)
    covered = np.zeros((3, 40, 40), bool)
    covered[0, :, :20] = covered[1, :, 15:30] = covered[2, :, 30:] = True
    each = map_of(labels)
    report = leakage([FoldedMap(classes=each, masks=masks_from_array(each.grid, covered))], NAMES)
    assert {leak.fold: leak.shared for leak in report.evaluation} == {"val": 5 / 15, "test": 0}
    assert dict(report.distances_m)["train-val"] == 0
    assert dict(report.distances_m)["val-test"] == pytest.approx(30, rel=1e-3)
    assert (report.evaluation[0].near, report.evaluation[0].context) == (None, None)


def test_scenes_in_different_folds_leak_where_they_overlap():
    """One fold a scene, as papers do: the second scene shares its western half with the first one."""
    labels = np.zeros((40, 40), np.uint8)
    first, second = map_of(labels), map_of(labels, origin=(301905.0 + 600, 4154085.0))
    third = map_of(labels, origin=(301905.0 + 2400, 4154085.0))
    maps = []
    for fold, each in enumerate((first, second, third)):
        covered = np.zeros((3, 40, 40), bool)
        covered[fold] = True
        maps.append(FoldedMap(classes=each, masks=masks_from_array(each.grid, covered)))
    report = leakage(maps, NAMES, range_m=1e4)
    assert {leak.fold: leak.shared for leak in report.evaluation} == {"val": 0.5, "test": 0}
    assert dict(report.distances_m)["train-val"] == pytest.approx(0, abs=1e-6)
    assert dict(report.distances_m)["val-test"] == pytest.approx(21 * 30.0, rel=1e-3)
    assert [leak.near for leak in report.evaluation] == [1, 1]


@pytest.mark.parametrize("gap", [1, 3, 12])
def test_coarser_cells_say_how_far_they_may_be_off(monkeypatch, gap):
    labels = random_map(size=160, unlabelled=0.2).labels
    folds = np.full(labels.shape, NO_FOLD)
    folds[:, :70], folds[:, 69 + gap : 120], folds[:, 119 + gap :] = 0, 1, 2
    exact = report_of(folds, labels, range_m=600.0, chip_pixels=12)
    monkeypatch.setattr(module, "MAX_CELLS", 160 * 160 // 25)
    monkeypatch.setattr(module, "_STRIP_PIXELS", 160 * 13)
    coarse = report_of(folds, labels, range_m=600.0, chip_pixels=12)
    assert exact.tolerance_m == 0
    assert coarse.tolerance_m == pytest.approx(5 * 30 * np.sqrt(2), rel=1e-3)
    for (pair, distance), (same, other) in zip(exact.distances_m, coarse.distances_m, strict=True):
        assert pair == same
        assert abs(distance - other) <= coarse.tolerance_m
    assert coarse.pixels == exact.pixels
    for leak, other in zip(exact.evaluation, coarse.evaluation, strict=True):
        assert leak.near == pytest.approx(other.near, abs=0.15)
        assert leak.context == pytest.approx(other.context, abs=0.15)


def test_missing_classes_and_empty_folds_are_told():
    labels = np.zeros((30, 30), np.uint8)
    labels[:, :10] = 1
    folds = np.zeros((30, 30), int)
    folds[:, 20:] = 1
    report = report_of(folds, labels)
    assert report.missing == (("val", "forest"),)
    assert [leak.fold for leak in report.evaluation] == ["val"]
    assert [pair for pair, _ in report.distances_m] == ["train-val"]
    assert "class forest is missing from val" in report.lines()
    with pytest.raises(InputError, match="no labelled pixel lies in a fold"):
        report_of(np.full((30, 30), NO_FOLD), labels)
    with pytest.raises(InputError, match="at least one class map"):
        leakage([], NAMES)


def test_the_report_can_be_printed_and_stored():
    each = random_map()
    report = leakage(
        [FoldedMap(classes=each, masks=masks_of(random_split([each.grid])))], NAMES, range_m=300.0, chip_pixels=16
    ).with_gap(ScoreGap(score="mIoU", random=0.71, blocked=0.55))
    stored = json.loads(json.dumps(report.to_dict()))
    assert stored["gap"]["difference"] == pytest.approx(0.16)
    assert sum(stored["pixels"]["train"].values()) == sum(report.pixels[0])
    assert stored["evaluation"]["val"]["near"] == report.evaluation[0].near
    lines = report.lines()
    assert all("\n" not in line and len(line) < 100 for line in lines)
    assert lines[-1] == "mIoU: 0.710 by chance, 0.550 by blocks, +0.160 for leaking"
