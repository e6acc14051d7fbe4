"""Confusion against scikit-learn and torchmetrics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    confusion_matrix,
    jaccard_score,
    precision_recall_fscore_support,
)

from geoseg.core.legend import LandClass, Legend
from geoseg.evaluation.confusion import Confusion

LEGEND = Legend(tuple(LandClass(code=k + 1, name=f"class {k}", colour="#000000") for k in range(4)))


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    return rng.integers(0, 4, (40, 50)).astype(np.uint8), rng.integers(0, 4, (40, 50)).astype(np.uint8)


def test_counts_iou_and_accuracy_agree_with_scikit_learn(maps):
    truth, predicted = maps
    ours = Confusion.count(truth, predicted, LEGEND)
    flat = truth.ravel(), predicted.ravel()
    np.testing.assert_array_equal(ours.counts, confusion_matrix(*flat))
    np.testing.assert_allclose(ours.iou, jaccard_score(*flat, average=None))
    assert ours.mean_iou == pytest.approx(jaccard_score(*flat, average="macro"))
    assert ours.accuracy == pytest.approx(accuracy_score(*flat))


def test_precision_recall_f1_and_kappa_agree_with_scikit_learn(maps):
    truth, predicted = maps
    predicted = np.where(predicted == 3, truth, predicted)  # better than chance
    ours = Confusion.count(truth, predicted, LEGEND)
    flat = truth.ravel(), predicted.ravel()
    precision, recall, f1, support = precision_recall_fscore_support(*flat)
    np.testing.assert_allclose(ours.precision, precision)
    np.testing.assert_allclose(ours.recall, recall)
    np.testing.assert_allclose(ours.f1, f1)
    np.testing.assert_array_equal(ours.support, support)
    assert ours.mean_f1 == pytest.approx(f1.mean())
    assert ours.kappa == pytest.approx(cohen_kappa_score(*flat))
    assert ours.frequency_weighted_iou == pytest.approx(jaccard_score(*flat, average="weighted"))


def test_f1_agrees_with_torchmetrics_dice(maps):
    from torchmetrics.segmentation import DiceScore

    truth, predicted = (torch.from_numpy(m.astype(np.int64))[None] for m in maps)
    theirs = DiceScore(num_classes=4, average="none", input_format="index")(predicted, truth)
    np.testing.assert_allclose(Confusion.count(*maps, LEGEND).f1, theirs, rtol=1e-6)


def test_kappa_is_undefined_without_chance():
    one = np.zeros(5, dtype=np.uint8)
    assert np.isnan(Confusion.count(one, one, LEGEND).kappa)
    assert np.isnan(Confusion.empty(LEGEND).kappa)
    assert np.isnan(Confusion.empty(LEGEND).frequency_weighted_iou)


def test_mean_iou_agrees_with_torchmetrics(maps):
    from torchmetrics.classification import MulticlassJaccardIndex

    truth, predicted = (torch.from_numpy(m.astype(np.int64)) for m in maps)
    theirs = MulticlassJaccardIndex(num_classes=4)(predicted, truth)
    assert Confusion.count(*maps, LEGEND).mean_iou == pytest.approx(float(theirs))


def test_unlabelled_pixels_do_not_count(maps):
    truth, predicted = maps
    truth = truth.copy()
    truth[:10] = 255
    expected = Confusion.count(truth[10:], predicted[10:], LEGEND).counts
    np.testing.assert_array_equal(Confusion.count(truth, predicted, LEGEND).counts, expected)


def test_parts_add_up_in_any_order(maps):
    truth, predicted = maps
    a, b, c = (Confusion.count(truth[r], predicted[r], LEGEND) for r in (slice(9), slice(9, 20), slice(20, 40)))
    whole = Confusion.count(truth, predicted, LEGEND).counts
    np.testing.assert_array_equal(((a + b) + c).counts, whole)
    np.testing.assert_array_equal((c + (b + a)).counts, whole)


def test_a_class_that_occurs_nowhere_has_no_iou_and_no_part_in_the_mean():
    truth = np.array([0, 0, 1], dtype=np.uint8)
    confusion = Confusion.count(truth, truth, LEGEND)
    np.testing.assert_array_equal(np.isnan(confusion.iou), [False, False, True, True])
    assert confusion.mean_iou == 1
    assert np.isnan(Confusion.empty(LEGEND).mean_iou)


def test_two_legends_cannot_be_added():
    other = Legend((LandClass(code=1, name="water", colour="#0000ff"),))
    with pytest.raises(ValueError, match="two legends"):
        Confusion.empty(LEGEND) + Confusion.empty(other)
