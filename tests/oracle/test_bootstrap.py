"""The block bootstrap: how often its intervals hold the truth, on ground that is made for it."""

from __future__ import annotations

import numpy as np
import pytest
from factory import LEGEND

from geoseg.evaluation.bootstrap import FEWEST_BLOCKS, BootstrapOptions, block_bootstrap
from geoseg.evaluation.confusion import Confusion
from geoseg.evaluation.reliability import Reliability
from geoseg.evaluation.tally import Tally

PIXELS, ACCURACY = 400, 0.7


def ground(blocks, rng):
    """Blocks in which pixels are right together: the share of right ones differs from block to block."""
    right = rng.binomial(PIXELS, rng.beta(7, 3, blocks))
    return [tally(int(n)) for n in right]


def tally(right, *, reliability=None):
    counts = np.zeros((3, 3), dtype=np.int64)
    counts[0, 0], counts[0, 1] = right, PIXELS - right
    return Tally(confusion=Confusion(counts=counts, legend=LEGEND), reliability=reliability)


def coverage(blocks, trials, rng):
    options = BootstrapOptions(replicates=300)
    found = [block_bootstrap(ground(blocks, rng), "blocks", options).overall["accuracy"] for _ in range(trials)]
    return np.mean([low <= ACCURACY <= high for low, high in found])


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    assert 0.89 <= coverage(40, 300, np.random.default_rng(0)) <= 0.98


def test_pixels_drawn_alone_would_promise_too_much():
    """The same ground as if every pixel were independent: why blocks are resampled."""
    rng = np.random.default_rng(0)
    held = []
    for _ in range(200):
        share = sum(t.confusion.counts[0, 0] for t in ground(40, rng)) / (40 * PIXELS)
        half = 1.96 * np.sqrt(share * (1 - share) / (40 * PIXELS))
        held.append(abs(share - ACCURACY) <= half)
    assert np.mean(held) < 0.6


def test_the_same_seed_gives_the_same_intervals_in_any_order_of_memory():
    blocks = ground(20, np.random.default_rng(1))
    first = block_bootstrap(blocks, "blocks", BootstrapOptions(seed=3))
    assert first == block_bootstrap(blocks, "blocks", BootstrapOptions(seed=3))
    assert first != block_bootstrap(blocks, "blocks", BootstrapOptions(seed=4))


def test_a_higher_level_is_wider():
    blocks = ground(40, np.random.default_rng(2))
    narrow, wide = (
        block_bootstrap(blocks, "blocks", BootstrapOptions(confidence=level)).overall["accuracy"]
        for level in (0.8, 0.99)
    )
    assert wide[0] < narrow[0] < narrow[1] < wide[1]


def test_too_few_blocks_give_no_interval_and_few_an_unsure_one():
    blocks = ground(40, np.random.default_rng(0))
    empty = Tally(confusion=Confusion.empty(LEGEND))
    options = BootstrapOptions(replicates=20)
    assert block_bootstrap([*blocks[: FEWEST_BLOCKS - 1], empty, empty], "blocks", options) is None
    assert "only 10 blocks" in block_bootstrap(blocks[:FEWEST_BLOCKS], "blocks", options).unsure
    assert block_bootstrap(blocks, "blocks", options).unsure == ""


def test_a_class_in_few_blocks_has_no_interval_and_is_named():
    blocks = ground(40, np.random.default_rng(0))
    counts = blocks[0].confusion.counts.copy()
    counts[2, 2] = 50
    blocks[0] = Tally(confusion=Confusion(counts=counts, legend=LEGEND))
    found = block_bootstrap(blocks, "blocks", BootstrapOptions())
    assert found.by_class["iou"][2] is None
    assert found.by_class["iou"][0] is not None
    assert "forest in fewer than 5 blocks" in found.unsure


def test_calibration_has_an_interval_where_every_block_has_probabilities():
    rng = np.random.default_rng(0)
    blocks = [tally(280, reliability=Reliability.count(rng.random(50), rng.random(50) < 0.5)) for _ in range(12)]
    low, high = block_bootstrap(blocks, "blocks", BootstrapOptions()).overall["ece"]
    assert 0 < low < high < 1
    blocks[0] = tally(280)
    assert "ece" not in block_bootstrap(blocks, "blocks", BootstrapOptions()).overall


@pytest.mark.parametrize("blocks", [12])
def test_equal_blocks_leave_no_doubt(blocks):
    found = block_bootstrap([tally(300)] * blocks, "blocks", BootstrapOptions(replicates=50))
    assert found.overall["accuracy"] == (0.75, 0.75)
