"""Losses against closed forms, with unlabelled pixels, and against finite differences."""

from __future__ import annotations

import math

import pytest
import torch

from geoseg.losses.pixel import cross_entropy
from geoseg.losses.region import dice


def logits_of(probabilities):
    """(pixel, class) probabilities as logits of shape (1, class, 1, pixel)."""
    return torch.tensor(probabilities, dtype=torch.float64).log().T[None, :, None, :]


def labels_of(*indices):
    return torch.tensor(indices, dtype=torch.uint8)[None, None, :]


def test_cross_entropy_is_the_mean_of_minus_log_probability_of_the_truth():
    logits = logits_of([[0.5, 0.5], [0.1, 0.9]])
    assert cross_entropy(logits, labels_of(0, 1)).item() == pytest.approx(-(math.log(0.5) + math.log(0.9)) / 2)


def test_cross_entropy_weights_its_mean():
    logits = logits_of([[0.5, 0.5], [0.1, 0.9]])
    weights = torch.tensor([3.0, 1.0], dtype=torch.float64)
    expected = -(3 * math.log(0.5) + math.log(0.9)) / 4
    assert cross_entropy(logits, labels_of(0, 1), weights).item() == pytest.approx(expected)


def test_dice_matches_its_formula():
    logits = logits_of([[0.8, 0.2], [0.3, 0.7], [0.6, 0.4]])
    first = 1 - (2 * (0.8 + 0.6) + 1) / ((0.8 + 0.3 + 0.6) + 2 + 1)
    second = 1 - (2 * 0.7 + 1) / ((0.2 + 0.7 + 0.4) + 1 + 1)
    assert dice(logits, labels_of(0, 1, 0)).item() == pytest.approx((first + second) / 2)


def test_dice_leaves_out_classes_that_do_not_occur():
    logits = logits_of([[0.8, 0.2], [0.6, 0.4]])
    assert dice(logits, labels_of(0, 0)).item() == pytest.approx(1 - (2 * 1.4 + 1) / (1.4 + 2 + 1))


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_unlabelled_pixels_have_no_influence(loss):
    known = logits_of([[0.8, 0.2], [0.3, 0.7]])
    more = logits_of([[0.8, 0.2], [0.3, 0.7], [0.001, 0.999]])
    assert loss(more, labels_of(0, 1, 255)).item() == pytest.approx(loss(known, labels_of(0, 1)).item())


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_a_chip_without_labels_costs_nothing_and_has_a_finite_gradient(loss):
    logits = logits_of([[0.8, 0.2]]).requires_grad_()
    value = loss(logits, labels_of(255))
    value.backward()
    assert value.item() == 0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_certain_shares_are_the_same_target_as_labels(loss):
    logits = logits_of([[0.8, 0.2], [0.3, 0.7], [0.5, 0.5]])
    shares = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]], dtype=torch.float64).T[None, :, None, :]
    assert loss(logits, shares).item() == pytest.approx(loss(logits, labels_of(0, 1, 255)).item())


def test_cross_entropy_of_shares_is_the_mean_over_them():
    logits = logits_of([[0.8, 0.2]])
    shares = torch.tensor([[0.25, 0.75]], dtype=torch.float64).T[None, :, None, :]
    plain = -(0.25 * math.log(0.8) + 0.75 * math.log(0.2))
    assert cross_entropy(logits, shares).item() == pytest.approx(plain)
    weighted = -(0.5 * math.log(0.8) + 0.75 * math.log(0.2)) / 1.25
    assert cross_entropy(logits, shares, torch.tensor([2.0, 1.0]).double()).item() == pytest.approx(weighted)


@pytest.mark.parametrize("loss", [cross_entropy, dice])
def test_gradients_agree_with_finite_differences(loss):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    labels = torch.randint(0, 3, (2, 2, 3), generator=generator, dtype=torch.uint8)
    labels[0, 0, 0] = 255
    assert torch.autograd.gradcheck(lambda x: loss(x, labels), (logits,))
