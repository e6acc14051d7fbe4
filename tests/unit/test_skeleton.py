"""Thinning and following: connected as before, in the middle, between ends and junctions."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.ndimage import label

from geoseg.vectorize.skeleton import follow, thin

MASKS = arrays(np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.booleans())
TOUCHING = np.ones((3, 3))


def lines_of(paths):
    return [paths.pixels[a:b] for a, b in zip(paths.offsets[:-1], paths.offsets[1:], strict=True)]


@settings(max_examples=200)
@given(mask=MASKS)
def test_thinning_keeps_what_is_connected_and_is_done_once(mask):
    thinned = thin(mask)
    assert not (thinned & ~mask).any()
    assert label(thinned, TOUCHING)[1] == label(mask, TOUCHING)[1]
    assert label(~np.pad(thinned, 1))[1] == label(~np.pad(mask, 1))[1]  # holes stay, and none comes
    np.testing.assert_array_equal(thin(thinned), thinned)


@settings(max_examples=200)
@given(mask=MASKS)
def test_lines_pass_through_all_pixels_that_touch_others_step_by_step(mask):
    thinned = thin(mask)
    paths = follow(thinned)
    passed = np.zeros_like(thinned)
    passed[tuple(paths.pixels.T)] = True
    areas, _ = label(thinned, TOUCHING)
    lone = np.bincount(areas.ravel()) == 1
    np.testing.assert_array_equal(passed, thinned & ~lone[areas])
    steps = [frozenset(map(tuple, pair.tolist())) for line in lines_of(paths) for pair in zip_pairs(line)]
    assert len(set(steps)) == len(steps)
    for line in lines_of(paths):
        assert (np.abs(np.diff(line, axis=0)).max(axis=1) == 1).all()


def zip_pairs(line):
    return np.stack([line[:-1], line[1:]], axis=1)


def test_a_straight_road_is_one_line_in_its_middle():
    mask = np.zeros((11, 60), dtype=bool)
    mask[3:8, 4:56] = True
    (line,) = lines_of(follow(thin(mask)))
    assert set(line[:, 0].tolist()) == {5}
    assert len(line) >= 48


def test_a_crossing_is_four_lines_from_one_point():
    mask = np.zeros((41, 41), dtype=bool)
    mask[18:23] = mask[:, 18:23] = True
    paths = follow(thin(mask))
    ends = [tuple(line[end].tolist()) for line in lines_of(paths) for end in (0, -1)]
    assert len(paths) == 4
    assert ends.count((20, 20)) == 4
    assert paths.free.sum() == 4


def test_a_ring_is_one_closed_line():
    mask = np.ones((9, 9), dtype=bool)
    mask[3:6, 3:6] = False
    (line,) = lines_of(follow(thin(mask)))
    assert line[0].tolist() == line[-1].tolist()
    assert len(line) > 12
