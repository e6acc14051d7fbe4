"""Splits: folds are disjoint, keep their buffer, cover the ground, are stratified and deterministic."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from scipy.ndimage import distance_transform_edt

from geoseg.core.grid import Grid
from geoseg.data.splits import NO_FOLD, Ground, count_blocks, split_blocks
from geoseg.errors import InputError

SHARES = (0.6, 0.2, 0.2)


def grid_of(size=120, origin=(301905.0, 4154085.0), epsg=32612, pixel=30.0):
    transform = Affine(pixel, 0, origin[0], 0, -pixel, origin[1])
    return Grid(crs=CRS.from_epsg(epsg), transform=transform, height=size, width=size)


def split_of(grid, labels, *, block_m=600.0, buffer_m=0.0, seed=0, classes=3):
    ground = Ground.around(grid, block_m)
    content = count_blocks(ground, [(grid, labels)], classes)
    return split_blocks(content, ground, shares=SHARES, buffer_m=buffer_m, seed=seed)


@given(st.integers(0, 1000), st.sampled_from([400.0, 700.0, 1100.0]))
@settings(max_examples=20, deadline=None)
def test_without_a_buffer_the_folds_cover_all_labelled_ground(seed, block_m):
    grid = grid_of()
    labels = np.random.default_rng(seed).integers(0, 3, grid.shape).astype(np.uint8)
    folds = split_of(grid, labels, block_m=block_m, seed=seed).folds_on(grid)
    assert set(np.unique(folds)) == {0, 1, 2}


@given(st.integers(0, 1000), st.sampled_from([60.0, 95.0, 150.0]))
@settings(max_examples=15, deadline=None)
def test_the_buffer_is_kept(seed, buffer_m):
    grid = grid_of()
    labels = np.zeros(grid.shape, dtype=np.uint8)
    folds = split_of(grid, labels, buffer_m=buffer_m, seed=seed).folds_on(grid)
    train, other = folds == 0, (folds == 1) | (folds == 2)
    assert train.any()
    assert other.any()
    distance_m = distance_transform_edt(~other) * 30.0
    assert distance_m[train].min() > buffer_m


def test_the_same_seed_gives_the_same_split_and_another_one_does_not():
    grid = grid_of()
    labels = np.zeros(grid.shape, dtype=np.uint8)
    assert split_of(grid, labels, seed=1) == split_of(grid, labels, seed=1)
    assert split_of(grid, labels, seed=1).folds != split_of(grid, labels, seed=2).folds


def test_every_fold_gets_about_its_share_of_every_class():
    grid = grid_of(size=200)
    rng = np.random.default_rng(3)
    labels = np.kron(rng.choice(3, (40, 40), p=[0.8, 0.15, 0.05]), np.ones((5, 5), int)).astype(np.uint8)
    folds = split_of(grid, labels, block_m=450).folds_on(grid)
    for k in range(3):
        shares = np.bincount(folds[labels == k], minlength=3)[:3] / (labels == k).sum()
        np.testing.assert_allclose(shares, SHARES, atol=0.06)


def test_two_scenes_of_the_same_ground_agree_on_its_fold_across_utm_zones():
    grid = grid_of()
    split = split_of(grid, np.zeros(grid.shape, dtype=np.uint8))
    left, bottom, right, top = grid.bounds
    shifted = grid_of(size=60, origin=(left + 600, top - 900))
    inside = split.folds_on(grid)[30:90, 20:80]
    np.testing.assert_array_equal(split.folds_on(shifted), inside)
    assert (split.folds_on(grid_of(origin=(right + 5000, bottom))) == NO_FOLD).all()


def test_unusable_splits_are_refused():
    grid = grid_of()
    labels = np.full(grid.shape, 255, dtype=np.uint8)
    labels[:2, :2] = 0
    with pytest.raises(InputError, match="smaller block_m"):
        split_of(grid, labels)
    with pytest.raises(InputError, match="leaves nothing"):
        split_of(grid_of(), np.zeros((120, 120), np.uint8), block_m=600, buffer_m=300)
