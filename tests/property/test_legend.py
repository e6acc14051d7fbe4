from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from geoseg.core.legend import UNLABELLED, LandClass, Legend

CODES = st.lists(st.integers(0, 254), min_size=1, max_size=255, unique=True)


def legend_of(codes):
    return Legend(tuple(LandClass(code=code, name=f"class {code}", colour="#a0b0c0") for code in codes))


@given(CODES, st.data())
def test_indices_survive_the_way_to_codes_and_back(codes, data):
    legend = legend_of(codes)
    index = st.sampled_from([*range(len(codes)), UNLABELLED])
    indices = data.draw(hnp.arrays(np.uint8, hnp.array_shapes(max_dims=2), elements=index))
    assert (legend.to_indices(legend.to_codes(indices)) == indices).all()


@given(CODES, hnp.arrays(np.int32, st.integers(0, 40), elements=st.integers(-600, 600)))
def test_every_number_is_a_class_or_unlabelled_or_unknown(codes, numbers):
    legend = legend_of(codes)
    expected = [codes.index(n) if n in codes else UNLABELLED for n in numbers.tolist()]
    assert legend.to_indices(numbers).tolist() == expected
    assert legend.unknown_codes(numbers) == tuple(sorted(set(numbers.tolist()) - {*codes, UNLABELLED}))
