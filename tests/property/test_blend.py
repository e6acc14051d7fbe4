"""The tiler and the blender together: an identity model returns its input, a constant model a constant map."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from geoseg.core.tiling import plan_tiles
from geoseg.inference.blend import Blender


def blend_all(values, plan, model=lambda tile: tile):
    """Run `model` on every tile of values (class, row, col), padded beyond the scene, and put the pieces together."""
    classes, height, width = values.shape
    padded = np.pad(values, ((0, 0), (0, plan.rows.size), (0, plan.cols.size)))
    blender, result = Blender(plan, classes), np.full_like(values, np.nan)
    times = np.zeros((height, width), dtype=int)
    for i in range(len(plan.rows)):
        for j in range(len(plan.cols)):
            window, final = blender.add(i, j, model(padded[:, *plan.tile(i, j).read.slices]).copy())
            result[:, *window.slices] = final
            times[window.slices] += 1
    assert (times == 1).all(), "the pieces must partition the grid"
    return result


@st.composite
def plans(draw):
    size = draw(st.integers(1, 12))
    height, width = draw(st.integers(1, 3 * size + 2)), draw(st.integers(1, 3 * size + 2))
    return height, width, plan_tiles(height, width, size=size, overlap=draw(st.integers(0, size - 1)))


@given(plans(), st.integers(0, 2**31))
@settings(max_examples=300, deadline=None)
def test_identity_model_returns_its_input(case, seed):
    height, width, plan = case
    values = np.random.default_rng(seed).random((2, height, width), dtype=np.float32)
    np.testing.assert_allclose(blend_all(values, plan), values, rtol=0, atol=1e-6)


@given(plans())
@settings(max_examples=200, deadline=None)
def test_constant_model_gives_a_constant_map(case):
    height, width, plan = case
    constant = np.array([0.25, 0.75], dtype=np.float32)[:, None, None]
    result = blend_all(np.zeros((2, height, width), np.float32), plan, lambda tile: np.zeros_like(tile) + constant)
    np.testing.assert_allclose(result, np.broadcast_to(constant, result.shape), rtol=0, atol=1e-6)


@given(plans(), plans(), st.integers(0, 2**31))
@settings(max_examples=100, deadline=None)
def test_a_pointwise_model_gives_the_same_map_for_any_tiling(one, other, seed):
    height, width, plan = one
    other_plan = plan_tiles(height, width, size=other[2].rows.size + 1, overlap=other[2].rows.size // 2)
    values = np.random.default_rng(seed).random((3, height, width), dtype=np.float32)
    np.testing.assert_allclose(
        blend_all(values, plan, np.square), blend_all(values, other_plan, np.square), rtol=0, atol=1e-6
    )


def test_tiles_that_disagree_fade_into_each_other():
    plan = plan_tiles(1, 30, size=20, overlap=8)
    numbers = iter([0.0, 1.0])
    result = blend_all(np.zeros((1, 1, 30), np.float32), plan, lambda tile: np.full_like(tile, next(numbers)))[0, 0]
    steps = np.diff(result)
    assert (result[0], result[-1]) == (0.0, 1.0)
    assert steps.min() >= 0
    assert steps.max() <= 1 / 8 + 1e-6
