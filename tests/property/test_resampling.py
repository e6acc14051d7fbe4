"""Laws of the triangle filter: weights are a partition of one, whatever the lengths."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from geoseg.core.resampling import Taps, resize

LENGTHS = st.integers(1, 50)
SCALES = st.floats(0.2, 5)


@given(length=LENGTHS, scale=SCALES)
def test_weights_are_a_partition_of_one(length, scale):
    taps = Taps.triangle(length, math.ceil(length * scale), scale)
    assert (taps.weights >= 0).all()
    np.testing.assert_allclose(taps.weights.sum(axis=1), 1, rtol=0, atol=1e-6)
    assert taps.positions.min() >= 0
    assert taps.positions.max() < length


@given(length=LENGTHS, scale=SCALES)
def test_new_samples_lie_where_they_belong(length, scale):
    """A ramp keeps its values at every centre whose triangle lies within the axis."""
    new = math.ceil(length * scale)
    ramp = (np.arange(length, dtype=np.float32) + 0.5)[None]
    found = Taps.triangle(length, new, scale).along(ramp, -1)[0]
    centres = (np.arange(new) + 0.5) / scale
    half = max(1, 1 / scale)
    inside = (centres >= half) & (centres <= length - half)
    if scale >= 1:  # a weighted mean of few samples is that of the ramp only where they lie evenly
        np.testing.assert_allclose(found[inside], centres[inside], rtol=0, atol=1e-4)
    assert (np.diff(found) >= -1e-4).all()
    assert (np.abs(found - centres) <= half).all()


@given(rows=LENGTHS, cols=LENGTHS, scale=SCALES)
def test_a_constant_stays(rows, cols, scale):
    shape = math.ceil(rows * scale), math.ceil(cols * scale)
    found = resize(np.full((2, rows, cols), 7, dtype=np.float32), shape, scale)
    assert found.shape == (2, *shape)
    np.testing.assert_allclose(found, 7, rtol=1e-6)
