"""Calibration against torchmetrics, and its sums in any order."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.evaluation.reliability import Reliability


@pytest.fixture
def guesses():
    rng = np.random.default_rng(0)
    probability = rng.random(5000).astype(np.float32)
    return probability, rng.random(5000) < probability**2  # overconfident


@pytest.mark.parametrize("bins", [5, 15])
def test_ece_agrees_with_torchmetrics(guesses, bins):
    from torchmetrics.functional.classification import binary_calibration_error

    probability, right = guesses
    theirs = binary_calibration_error(torch.from_numpy(probability), torch.from_numpy(right.astype(int)), n_bins=bins)
    ours = Reliability.count(probability, right, bins=bins)
    assert ours.ece == pytest.approx(float(theirs), abs=1e-5)
    assert ours.overconfidence == pytest.approx(probability.mean() - right.mean(), abs=1e-5)


def test_the_curve_is_accuracy_by_confidence(guesses):
    probability, right = guesses
    ours = Reliability.count(probability, right, bins=10)
    inside = (probability >= 0.3) & (probability < 0.4)
    assert ours.pixels[3] == inside.sum()
    assert ours.confidence[3] == pytest.approx(probability[inside].mean(), abs=1e-6)
    assert ours.accuracy[3] == pytest.approx(right[inside].mean())


def test_parts_add_up_to_the_same_numbers_in_any_order(guesses):
    probability, right = guesses
    whole = Reliability.count(probability, right).counts
    parts = [Reliability.count(probability[i::7], right[i::7]) for i in range(7)]
    for order in (range(7), (6, 2, 0, 1, 5, 3, 4)):
        total = Reliability.empty()
        for i in order:
            total = total + parts[i]
        np.testing.assert_array_equal(total.counts, whole)


def test_what_is_unknown_is_not_counted_and_one_lies_in_the_last_bin():
    ours = Reliability.count(np.array([np.nan, 1.0, 0.0]), np.array([True, True, False]), bins=4)
    assert ours.pixels.tolist() == [1, 0, 0, 1]
    assert ours.ece == 0
    assert np.isnan(Reliability.empty().ece)
