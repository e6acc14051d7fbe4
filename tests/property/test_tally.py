"""Counts add: in any order, in any parts, and groups make up the whole."""

from __future__ import annotations

import numpy as np
from factory import LEGEND
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from geoseg.evaluation.boundary import Boundaries
from geoseg.evaluation.confusion import Confusion, count_confusion
from geoseg.evaluation.counting import add, group_by
from geoseg.evaluation.reliability import Reliability, count_reliability
from geoseg.evaluation.tally import Arrays, Tally

PIXELS = 40
INDICES = st.sampled_from([0, 1, 2, 255])


def pixels(elements, dtype=np.uint8):
    return arrays.arrays(dtype, PIXELS, elements=elements)


@st.composite
def tallies(draw):
    truth, mapped = draw(pixels(INDICES)), draw(pixels(INDICES))
    probability = draw(pixels(st.floats(0, 1, width=32), np.float32))
    return Tally(
        confusion=Confusion.count(truth, mapped, LEGEND),
        boundaries=Boundaries(counts=draw(arrays.arrays(np.int64, (3, 6), elements=st.integers(0, 9)))),
        reliability=Reliability.count(probability, truth == mapped),
        unmapped=int(((truth != 255) & (mapped == 255)).sum()),
    )


@given(tallies(), tallies(), tallies())
def test_addition_is_associative_and_commutative(a, b, c):
    assert ((a + b) + c).to_dict() == (a + (b + c)).to_dict() == (c + (b + a)).to_dict()


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), tallies()), min_size=1, max_size=6), st.randoms())
def test_groups_make_up_the_whole_whatever_was_counted_first(pieces, random):
    counted = {}
    for scene, block, tally in pieces:
        add(counted, {(scene, block): tally})
    first, *others = (tally for _, _, tally in pieces)
    whole = sum(others, start=first).to_dict()
    shuffled = {}
    for scene, block, tally in random.sample(pieces, len(pieces)):
        add(shuffled, {(scene, block): tally})
    for position in (0, 1):
        names = {number: f"group {number}" for number in range(4)}
        found = group_by(counted, position, "group", names)
        one, *rest = (group.tally for group in found.groups)
        assert sum(rest, start=one).to_dict() == whole
        assert group_by(shuffled, position, "group", names).to_dict() == found.to_dict()


@given(pixels(INDICES), pixels(INDICES), pixels(st.integers(0, 3), np.int64), pixels(st.floats(0, 1), np.float64))
def test_counts_by_group_are_those_of_each_group_alone(truth, mapped, groups, probability):
    confusions = count_confusion(groups, 4, truth, mapped, 3)
    reliabilities = count_reliability(groups, 4, probability, truth == mapped)
    for i in range(4):
        own = groups == i
        alone = Confusion.count(truth[own], mapped[own], LEGEND)
        np.testing.assert_array_equal(confusions[i], alone.counts)
        sure = Reliability.count(probability[own], (truth == mapped)[own])
        np.testing.assert_array_equal(reliabilities[i], sure.counts)


@given(tallies())
def test_json_gives_a_tally_back_and_scores_stay_within_bounds(tally):
    again = Tally.from_dict(tally.to_dict(), LEGEND)
    assert again.to_dict() == tally.to_dict()
    assert Tally.of(Arrays(*tally.arrays), LEGEND, tally.unmapped).to_dict() == tally.to_dict()
    for score, value in tally.overall.items():
        if score.startswith("boundary"):
            continue  # drawn at random, not counted
        assert np.isnan(value) or (-1 <= value <= 1), score
