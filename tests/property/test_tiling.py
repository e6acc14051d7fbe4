from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from geoseg.core.grid import Window
from geoseg.core.tiling import plan_tiles
from geoseg.errors import InputError


@st.composite
def cuts(draw):
    """One axis of any length up to four tiles, with the request that led to it."""
    stride = draw(st.sampled_from([1, 2, 3, 8, 32]))
    size = stride * draw(st.integers(1, max(1, 64 // stride)))
    overlap = draw(st.integers(0, size - stride))
    length = draw(st.integers(1, 4 * size))
    return plan_tiles(length, 1, size=size, overlap=overlap, stride=stride).rows, (length, size, overlap, stride)


@st.composite
def plans(draw):
    stride = draw(st.sampled_from([1, 4]))
    size = stride * draw(st.integers(1, 5))
    overlap = draw(st.integers(0, size - stride))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    return plan_tiles(height, width, size=size, overlap=overlap, stride=stride), Window(
        row=0, col=0, height=height, width=width
    )


def of(length, size, overlap, stride=1):
    return plan_tiles(length, 1, size=size, overlap=overlap, stride=stride).rows, (length, size, overlap, stride)


def contributions(cut):
    """(number of contributors, sum of their float32 weights) at every pixel of an axis."""
    count, total = np.zeros(cut.length, dtype=int), np.zeros(cut.length, dtype=np.float32)
    for i in range(len(cut)):
        first, end = cut.use(i)
        count[first:end] += 1
        total[first:end] += cut.weights(i)
    return count, total


@given(plans())
def test_the_keeps_partition_the_grid(case):
    plan, scene = case
    kept = np.zeros(scene.shape, dtype=int)
    for tile in plan:
        assert tile.keep.intersect(scene) == tile.keep
        assert tile.keep.intersect(tile.read) == tile.keep
        kept[tile.keep.slices] += 1
    assert (kept == 1).all()


@given(plans())
def test_every_tile_reads_the_same_shape_and_the_plan_counts_them(case):
    plan, scene = case
    tiles = list(plan)
    assert len(tiles) == len(plan) == len(plan.rows) * len(plan.cols)
    assert len({tile.read.shape for tile in tiles}) == 1
    assert tiles == sorted(tiles, key=lambda tile: (tile.read.row, tile.read.col))
    assert plan.tile(len(plan.rows) - 1, 0) == tiles[-len(plan.cols)]
    read = sum(tile.read.height * tile.read.width for tile in tiles)
    assert plan.redundancy == pytest.approx(read / (scene.height * scene.width))


@given(plans())
def test_blending_in_two_directions_keeps_a_constant(case):
    plan, scene = case
    blended = np.zeros(scene.shape)
    for i in range(len(plan.rows)):
        for j in range(len(plan.cols)):
            rows, cols = slice(*plan.rows.use(i)), slice(*plan.cols.use(j))
            blended[rows, cols] += np.outer(plan.rows.weights(i).astype(float), plan.cols.weights(j).astype(float))
    np.testing.assert_allclose(blended, 1, atol=2e-7)


@given(cuts())
@example(of(1, 1, 0))
@example(of(1, 64, 63))
@example(of(65, 64, 0))
@example(of(65, 64, 63))
@example(of(200, 7, 6))
@example(of(129, 64, 32, 32))
def test_reads_are_one_size_and_start_in_strides_and_leave_the_scene_by_less_than_one(case):
    cut, (length, size, overlap, stride) = case
    assert cut.size % stride == 0
    assert cut.size <= size
    if len(cut) == 1:
        assert cut.starts == (0,)
        assert length <= cut.size < length + stride
    else:
        assert cut.starts[0] == 0
        assert all(start % stride == 0 for start in cut.starts)
        assert length <= cut.starts[-1] + cut.size < length + stride
        steps = np.diff(cut.starts)
        assert (steps > 0).all()
        assert (cut.size - steps >= overlap).all()


@given(cuts())
def test_no_fewer_and_no_smaller_tiles_would_do(case):
    cut, (length, size, overlap, stride) = case

    def reach(tiles, tile_size):
        return tile_size + (tiles - 1) * ((tile_size - overlap) // stride * stride)

    assert reach(len(cut), size) >= length
    assert len(cut) == 1 or reach(len(cut) - 1, size) < length
    assert cut.size == stride or reach(len(cut), cut.size - stride) < length or cut.size - stride < overlap + stride


@given(cuts())
@example(of(200, 7, 6))
@example(of(100, 64, 1))
def test_a_tile_contributes_what_it_keeps_and_no_more_than_it_reads(case):
    cut, (length, *_) = case
    for i, start in enumerate(cut.starts):
        (first, end), (keep_first, keep_end) = cut.use(i), cut.keep(i)
        assert max(start, 0) <= first <= keep_first < keep_end <= end <= min(start + cut.size, length)
        assert cut.weights(i).shape == (end - first,)


@given(cuts())
@example(of(1, 1, 0))
@example(of(3, 2, 1))
@example(of(200, 7, 6))
@example(of(256, 64, 32, 32))
def test_weights_sum_to_one_with_at_most_two_contributors(case):
    cut, _ = case
    count, total = contributions(cut)
    assert (total == 1).all()
    assert count.min() == 1
    assert count.max() <= 2
    assert all((cut.weights(i) > 0).all() for i in range(len(cut)))


@given(cuts())
def test_nothing_is_faded_at_the_border_of_the_scene(case):
    cut, _ = case
    count, _ = contributions(cut)
    assert count[0] == count[-1] == 1
    assert cut.weights(0)[0] == cut.weights(len(cut) - 1)[-1] == 1


@given(cuts())
def test_what_is_done_is_never_touched_again(case):
    cut, (length, *_) = case
    done = [cut.done(i) for i in range(len(cut))]
    assert done == sorted(done)
    assert done[-1] == length
    for i in range(1, len(cut)):
        assert all(cut.use(later)[0] >= done[i - 1] for later in range(i, len(cut)))


def test_the_fade_is_as_wide_as_the_overlap_where_there_is_room():
    rows = plan_tiles(448, 1, size=256, overlap=64).rows
    assert (rows.size, rows.starts, rows.borders, rows.blend) == (256, (0, 192), (0, 224, 448), 64)
    assert rows.use(0) == (0, 256)
    assert rows.use(1) == (192, 448)
    assert rows.weights(1)[[0, 31, 32, 63, 64]].tolist() == [1 / 128, 63 / 128, 65 / 128, 127 / 128, 1]


def test_without_overlap_the_tiles_are_a_plain_chessboard():
    plan = plan_tiles(8, 6, size=4, overlap=0)
    assert [tile.keep == tile.read for tile in plan] == [True] * 4
    assert plan.redundancy == pytest.approx(4 * 4 * 3 / 48)


def test_a_scene_smaller_than_a_tile_gets_one_that_reaches_beyond():
    plan = plan_tiles(10, 40, size=64, overlap=16, stride=32)
    (tile,) = plan
    assert tile.read == Window(row=0, col=0, height=32, width=64)
    assert tile.keep == Window(row=0, col=0, height=10, width=40)


@pytest.mark.parametrize("size", [0, -32, 48, 31])
def test_a_size_that_the_model_cannot_take_is_refused(size):
    with pytest.raises(InputError, match=f"positive multiple of the model's stride 32, got {size}"):
        plan_tiles(100, 100, size=size, overlap=0, stride=32)


@pytest.mark.parametrize("overlap", [-1, 64, 100])
def test_an_overlap_outside_of_the_tile_is_refused(overlap):
    with pytest.raises(InputError, match=f"at most 63 for a tile size of 64, got {overlap}; choose a smaller overlap"):
        plan_tiles(100, 100, size=64, overlap=overlap)


def test_an_overlap_that_leaves_no_stride_is_refused():
    with pytest.raises(InputError, match="at most 32 for a tile size of 64, got 33"):
        plan_tiles(100, 100, size=64, overlap=33, stride=32)


@given(st.integers(1, 400), st.integers(0, 20))
def test_starts_may_be_finer_than_the_stride(length, overlap):
    cut = plan_tiles(length, 1, size=64, overlap=overlap, stride=64, step=1).rows
    assert cut.size == 64
    assert len(cut) == 1 or cut.starts[-1] + 64 == length
