"""Sampling: which classes and cells an epoch draws, and how often."""

from __future__ import annotations

import numpy as np
import pytest
from factory import NORTH_UP
from hypothesis import given
from hypothesis import strategies as st
from memory import MemoryFolds, MemoryMap
from pyproj import CRS

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.content import CELL, cached_content, count_content
from geoseg.data.sampling import (
    Difficulty,
    SamplingOptions,
    cell_chances,
    class_chances,
    expected_shares,
    plan_epoch,
    sampled_ground,
)
from geoseg.data.splits.split import TEST, TRAIN, VAL
from geoseg.errors import InputError

NAMES = ["a", "b", "c", "d"]


def maps(height=200, width=9000, seed=0):
    """Wider than a strip of cells."""
    rng = np.random.default_rng(seed)
    grid = Grid(crs=CRS.from_epsg(32612), transform=NORTH_UP, height=height, width=width)
    classes = rng.choice([0, 1, 2, 255], (height, width), p=[0.5, 0.1, 0.1, 0.3]).astype(np.uint8)
    folds = rng.choice([TRAIN, VAL, TEST, 255], (height, width)).astype(np.uint8)
    classes[:, 200:900] = UNLABELLED
    return MemoryMap(grid, classes), MemoryFolds(grid, folds)


def test_content_counts_every_labelled_pixel_of_every_fold():
    labels, folds = maps()
    content = count_content(labels, folds, 4)
    for fold in (TRAIN, VAL, TEST):
        found = labels.classes[(folds.folds == fold) & (labels.classes != UNLABELLED)]
        np.testing.assert_array_equal(content.pixels[:, fold].sum(axis=0), np.bincount(found, minlength=4))
    for i in range(0, len(content.corners), 37):
        row, col = content.corners[i]
        part = (slice(row, row + CELL), slice(col, col + CELL))
        own = labels.classes[part][(folds.folds[part] == VAL) & (labels.classes[part] != UNLABELLED)]
        np.testing.assert_array_equal(content.pixels[i, VAL], np.bincount(own, minlength=4))
    assert content.pixels.any(axis=(1, 2)).all(), "empty cells are left out"
    assert content.has(TRAIN, Window(row=10, col=100, height=5, width=5))
    assert not content.has(TRAIN, Window(row=10, col=300, height=50, width=50))


def test_content_is_counted_once_and_then_read(tmp_path):
    labels, folds = maps(100, 100)
    first = cached_content(labels, folds, 4, tmp_path / "content.npz")
    labels.classes[:] = UNLABELLED
    again = cached_content(labels, folds, 4, tmp_path / "content.npz")
    np.testing.assert_array_equal(again.pixels, first.pixels)
    np.testing.assert_array_equal(again.corners, first.corners)
    assert not cached_content(labels, folds, 4, tmp_path / "other.npz").pixels.any()


@given(
    totals=st.lists(st.integers(0, 10**9), min_size=4, max_size=4).filter(any),
    share=st.floats(0, 1),
    least=st.floats(0, 0.25),
)
def test_every_present_class_gets_its_least_share(totals, share, least):
    options = SamplingOptions(class_share=share, minimum_share=least)
    chances = class_chances(np.array(totals), options, NAMES)
    present = np.array(totals) > 0
    assert chances.sum() == pytest.approx(1)
    assert (chances[~present] == 0).all()
    assert (chances[present] >= least - 1e-9).all()


def test_chances_without_a_minimum_are_the_mixture_that_was_asked_for():
    options = SamplingOptions(class_share=0.4)
    chances = class_chances(np.array([600, 300, 100, 0]), options, NAMES)
    np.testing.assert_allclose(chances, 0.4 / 3 * np.array([1, 1, 1, 0]) + 0.6 * np.array([0.6, 0.3, 0.1, 0]))


def test_a_class_of_one_pixel_in_a_hundred_thousand_is_drawn_as_often_as_asked():
    labels, folds = maps(400, 500)
    labels.classes[:], folds.folds[:] = 0, TRAIN
    labels.classes[200, 300] = labels.classes[50, 50] = 3
    options = SamplingOptions(per_epoch=5000, class_share=0, minimum_share={"d": 0.1})
    ground = sampled_ground([count_content(labels, folds, 4)], TRAIN, options, [""])
    assert ground.totals.tolist() == [199_998, 0, 0, 2]
    chances = class_chances(ground.totals, options, NAMES)
    draws = plan_epoch(ground, chances, options, seed=(0, 0))
    assert (draws.classes == 3).mean() == pytest.approx(0.1, abs=0.02)
    corners = {tuple(corner) for corner in ground.corners[draws.cells[draws.classes == 3]].tolist()}
    assert corners == {(192, 256), (0, 0)}
    shares = expected_shares(ground, chances)
    assert shares.sum() == pytest.approx(1)
    assert shares[3] > 1e-5, "seen more often than on the ground"


def test_minimum_shares_that_cannot_be_are_refused():
    totals = np.array([5, 5, 5, 5])
    with pytest.raises(InputError, match=r"adds up to 1\.2 .* at most 1"):
        class_chances(totals, SamplingOptions(minimum_share=0.3), NAMES)
    with pytest.raises(InputError, match="names water; the classes are a, b, c, d"):
        class_chances(totals, SamplingOptions(minimum_share={"water": 0.3}), NAMES)


@pytest.mark.parametrize(("balance", "expected"), [("none", 0.9), ("scenes", 1 / 3), ("regions", 0.5)])
def test_balance_of_scenes_and_regions(balance, expected):
    contents = []
    for width, seed in ((900, 0), (50, 1), (50, 2)):
        labels, folds = maps(100, width, seed=seed)
        labels.classes[:], folds.folds[:] = 0, TRAIN
        contents.append(count_content(labels, folds, 4))
    options = SamplingOptions(per_epoch=4000, balance=balance)
    ground = sampled_ground(contents, TRAIN, options, ["utah", "ohio", "ohio"])
    draws = plan_epoch(ground, class_chances(ground.totals, options, NAMES), options, seed=(0, 0))
    assert (ground.scene[draws.cells] == 0).mean() == pytest.approx(expected, abs=0.03)


def test_hard_ground_is_drawn_more_often_and_never_out_of_bounds():
    labels, folds = maps(128, 192)
    labels.classes[:], folds.folds[:] = 0, TRAIN
    options = SamplingOptions(per_epoch=6000, hard=1.0)
    ground = sampled_ground([count_content(labels, folds, 4)], TRAIN, options, [""])
    difficulty = Difficulty(6)
    np.testing.assert_array_equal(difficulty.weights(1.0), 1)
    difficulty.update(np.array([0, 1, 2, 3]), np.array([2.0, 1.0, 1.0, 0.0]))
    weights = difficulty.weights(1.0)
    np.testing.assert_allclose(weights, [2, 1, 1, 0.25, 1, 1])
    np.testing.assert_array_equal(difficulty.weights(0.0), 1)
    draws = plan_epoch(ground, np.array([1.0, 0, 0, 0]), options, seed=(0, 0), hardness=weights)
    np.testing.assert_allclose(np.bincount(draws.cells) / 6000, weights / weights.sum(), atol=0.02)
    difficulty.update(np.array([0]), np.array([4.0]))
    assert difficulty.weights(1.0)[0] == pytest.approx(3.0 / 1.25)


def test_draws_depend_on_seed_and_epoch_only():
    labels, folds = maps(128, 192)
    options = SamplingOptions(per_epoch=50)
    ground = sampled_ground([count_content(labels, folds, 4)], TRAIN, options, [""])
    chances = class_chances(ground.totals, options, NAMES)
    one, two, other = (plan_epoch(ground, chances, options, seed=seed) for seed in ((1, 2), (1, 2), (1, 3)))
    np.testing.assert_array_equal(one.cells, two.cells)
    assert not np.array_equal(one.cells, other.cells)
    assert all(ground.pixels[cell, index] > 0 for cell, index in zip(one.cells, one.classes, strict=True))
    np.testing.assert_allclose(cell_chances(ground, 1).sum(), 1)


def test_a_fold_without_labels_is_refused():
    labels, folds = maps(100, 100)
    folds.folds[:] = VAL
    with pytest.raises(InputError, match="training fold holds no labelled pixel"):
        sampled_ground([count_content(labels, folds, 4)], TRAIN, SamplingOptions(), [""])
