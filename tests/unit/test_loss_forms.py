"""Each loss against a closed form or another implementation."""

from __future__ import annotations

import math

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from pydantic import ValidationError

from geoseg.losses.boundary import boundary, boundary_cross_entropy, hausdorff
from geoseg.losses.distance import border_distance, near_border, signed_distance
from geoseg.losses.drawn import Drawn, effective_number, inverse_frequency
from geoseg.losses.mixture import USUAL, Losses, summed
from geoseg.losses.pixel import bootstrapped, cross_entropy, focal, generalised_cross_entropy, hardest
from geoseg.losses.region import lovasz, tversky
from geoseg.losses.schedule import Schedule, weight_at
from geoseg.losses.soft import divergence

LABELS = torch.tensor([[[0, 0, 1, 1], [0, 2, 2, 1], [255, 2, 2, 0]]], dtype=torch.uint8)
LOGITS = torch.randn(1, 3, 3, 4, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
TRUTH = LABELS.long()
KNOWN = LABELS != 255
CHANCES = LOGITS.softmax(dim=1).movedim(1, -1)[KNOWN]  # (pixel, class)
INDEX = TRUTH[KNOWN]
OWN = CHANCES[torch.arange(len(INDEX)), INDEX].numpy()  # the probability of the truth


def test_label_smoothing_and_class_weights_are_those_of_torch():
    weights = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    expected = torch.nn.functional.cross_entropy(LOGITS, TRUTH, weight=weights, ignore_index=255, label_smoothing=0.2)
    assert cross_entropy(LOGITS, LABELS, weights, smoothing=0.2).item() == pytest.approx(expected.item())


def test_focal_is_cross_entropy_times_a_power_of_the_error():
    assert focal(LOGITS, LABELS, gamma=2).item() == pytest.approx((-((1 - OWN) ** 2) * np.log(OWN)).mean())
    assert focal(LOGITS, LABELS, gamma=0).item() == pytest.approx(cross_entropy(LOGITS, LABELS).item())
    weights = torch.tensor([1.0, 3.0, 0.5], dtype=torch.float64)
    each = weights.numpy()[INDEX]
    expected = (-each * (1 - OWN) ** 2 * np.log(OWN)).sum() / each.sum()
    assert focal(LOGITS, LABELS, weights, gamma=2).item() == pytest.approx(expected)


def test_generalised_cross_entropy_and_its_limits():
    assert generalised_cross_entropy(LOGITS, LABELS, q=0.7).item() == pytest.approx(((1 - OWN**0.7) / 0.7).mean())
    assert generalised_cross_entropy(LOGITS, LABELS, q=1).item() == pytest.approx((1 - OWN).mean())
    almost = cross_entropy(LOGITS, LABELS).item()
    assert generalised_cross_entropy(LOGITS, LABELS, q=1e-6).item() == pytest.approx(almost, rel=1e-5)


def test_bootstrapped_believes_the_network_by_the_rest():
    entropy = -(CHANCES * CHANCES.log()).sum(dim=1).mean().item()
    plain = cross_entropy(LOGITS, LABELS).item()
    assert bootstrapped(LOGITS, LABELS, kind="soft", beta=0.9).item() == pytest.approx(0.9 * plain + 0.1 * entropy)
    sure = -CHANCES.max(dim=1).values.log().mean().item()
    assert bootstrapped(LOGITS, LABELS, kind="hard", beta=0.8).item() == pytest.approx(0.8 * plain + 0.2 * sure)
    assert bootstrapped(LOGITS, LABELS, kind="soft", beta=1).item() == pytest.approx(plain)


@pytest.mark.parametrize(("share", "count"), [(1.0, 11), (0.25, 3), (0.01, 1)])
def test_the_hardest_pixels_are_those_of_highest_cross_entropy(share, count):
    expected = np.sort(-np.log(OWN))[::-1][:count].mean()
    assert hardest(LOGITS, LABELS, share=share).item() == pytest.approx(expected)


def test_divergence_is_cross_entropy_less_the_entropy_of_the_shares():
    shares = torch.tensor([0.2, 0.7, 0.1], dtype=torch.float64)[None, :, None, None].expand(1, 3, 3, 4)
    entropy = -sum(s * math.log(s) for s in (0.2, 0.7, 0.1))
    assert divergence(LOGITS, shares).item() == pytest.approx(cross_entropy(LOGITS, shares).item() - entropy)
    assert divergence(shares.log(), shares).item() == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("gamma", [1.0, 0.75])
def test_tversky_is_that_of_segmentation_models_pytorch(gamma):
    oracle = smp.losses.TverskyLoss("multiclass", ignore_index=255, alpha=0.3, beta=0.7, gamma=gamma, smooth=2.0)
    ours = tversky(LOGITS, LABELS, false_alarms=0.3, misses=0.7, smooth=2.0)
    if gamma == 1:
        assert ours.item() == pytest.approx(oracle(LOGITS, TRUTH).item())
    by_class = 1 - torch.stack([_tversky_index(c) for c in range(3)])
    expected = (by_class**gamma).mean().item()
    assert tversky(LOGITS, LABELS, smooth=2.0, exponent=gamma).item() == pytest.approx(expected)


def _tversky_index(c):
    own, truth = CHANCES[:, c], (c == INDEX).double()
    hits = (own * truth).sum()
    return (hits + 2) / (hits + 0.3 * (own * (1 - truth)).sum() + 0.7 * ((1 - own) * truth).sum() + 2)


@pytest.mark.parametrize("labels", [LABELS, LABELS.masked_fill(LABELS == 1, 255)])
def test_lovasz_is_that_of_segmentation_models_pytorch(labels):
    oracle = smp.losses.LovaszLoss("multiclass", ignore_index=255, from_logits=True)
    single = LOGITS.float()  # theirs takes no other
    assert lovasz(LOGITS, labels).item() == pytest.approx(oracle(single, labels.long()).item(), rel=1e-5)


def test_lovasz_of_a_certain_map_is_one_minus_its_iou():
    guess = torch.tensor([0, 0, 1, 1, 1, 0], dtype=torch.uint8)
    labels = torch.tensor([0, 1, 1, 1, 0, 0], dtype=torch.uint8)[None, None]
    logits = 1000 * torch.nn.functional.one_hot(guess.long(), 2).T.double()[None, :, None]
    assert lovasz(logits, labels).item() == pytest.approx(1 - 0.5)


def brute_force(classes, count):
    """(distance to the nearest pixel of the class, to the nearest of another), less half a pixel."""
    places = np.argwhere(np.ones(classes.shape, dtype=bool))
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    flat = classes.ravel()
    inside = [apart[:, flat == c].min(axis=1) - 0.5 for c in range(count)]
    outside = [apart[:, (flat != c) & (flat != 255)].min(axis=1) - 0.5 for c in range(count)]
    signed = [
        np.where(flat == c, -outside[c], np.where(flat == 255, 0, inside[c])).reshape(classes.shape)
        for c in range(count)
    ]
    return np.array(signed)


def test_distances_are_those_to_the_nearest_labelled_pixel():
    expected = brute_force(LABELS[0].numpy(), 3)
    np.testing.assert_allclose(signed_distance(LABELS, 3, LOGITS)[0], expected)
    np.testing.assert_allclose(border_distance(LABELS, 3, LOGITS)[0], np.abs(expected))


def test_there_is_no_border_of_a_class_that_is_nowhere_or_everywhere():
    ones = torch.ones((1, 4, 4), dtype=torch.uint8)
    assert (signed_distance(ones, 3, LOGITS) == 0).all()


def test_near_a_border_is_where_a_square_holds_two_classes():
    rng = np.random.default_rng(0)
    labels = rng.choice([0, 1, 2, 255], (12, 15), p=[0.8, 0.05, 0.05, 0.1]).astype(np.uint8)
    found = near_border(torch.from_numpy(labels)[None], 3, 1)[0].numpy()
    for row, col in np.ndindex(labels.shape):
        square = labels[max(row - 1, 0) : row + 2, max(col - 1, 0) : col + 2]
        two = len(set(square.ravel().tolist()) - {255}) > 1
        assert found[row, col] == (two and labels[row, col] != 255)


def test_boundary_cross_entropy_weighs_borders_up_down_and_out():
    losses = -np.log(OWN)
    near = near_border(LABELS, 3, 1)[KNOWN].numpy()
    for factor in (3.0, 0.5):
        weights = np.where(near, factor, 1)
        ours = boundary_cross_entropy(LOGITS, LABELS, factor=factor, width=1)
        assert ours.item() == pytest.approx((losses * weights).sum() / weights.sum())
    assert boundary_cross_entropy(LOGITS, LABELS, factor=1).item() == pytest.approx(losses.mean())


def test_boundary_is_probability_times_distance():
    distances = torch.from_numpy(brute_force(LABELS[0].numpy(), 3)).movedim(0, -1)[KNOWN[0]] / 4
    assert boundary(LOGITS, LABELS).item() == pytest.approx((CHANCES * distances).sum(dim=1).mean().item())
    assert boundary(1000 * _one_hot(LABELS), LABELS).item() < 0 < boundary(-1000 * _one_hot(LABELS), LABELS).item()


def _one_hot(labels):
    return torch.nn.functional.one_hot((labels % 255).long(), 3).movedim(-1, 1).double()


def test_hausdorff_weighs_errors_by_the_distance_to_both_borders():
    labels = torch.zeros((1, 1, 8), dtype=torch.uint8)
    labels[..., 4:] = 1
    guess = labels.clone()
    guess[..., 0] = 1  # an island, three and a half pixels from the true border
    logits = 1000 * torch.nn.functional.one_hot(guess.long(), 2).movedim(-1, 1).double()
    truth, mapped = 3.5 / 8, 0.5 / 8
    assert hausdorff(logits, labels).item() == pytest.approx(2 * (truth**2 + mapped**2) / 8)
    assert hausdorff(logits, labels, alpha=1).item() == pytest.approx(2 * (truth + mapped) / 8)


def test_class_weights_follow_from_what_is_drawn():
    drawn = Drawn(shares=(0.9, 0.1, 0.0), pixels=100)
    np.testing.assert_allclose(inverse_frequency(drawn, 1.0), [1 / 0.9 / 2, 1 / 0.1 / 2, 0])
    half = inverse_frequency(drawn, 0.5)
    assert half[1] / half[0] == pytest.approx(3)
    effective = effective_number(drawn, 0.9)
    assert effective[1] / effective[0] == pytest.approx((1 - 0.9**90) / (1 - 0.9**10))
    assert effective[2] == 0
    for weights in (half, effective):
        assert (weights * np.array(drawn.shares)).sum() == pytest.approx(1)


def test_a_schedule_is_a_straight_line():
    schedule = Schedule(start=1, end=3, within=(0.2, 0.6))
    found = [weight_at(schedule, p) for p in (0, 0.2, 0.3, 0.4, 0.6, 1)]
    assert found == pytest.approx([1, 1, 1.5, 2, 3, 3])
    assert weight_at(Schedule(start=0, end=2, within=(0.5, 0.5)), 0.5) == 2
    assert weight_at(0.7, 0.3) == 0.7


def test_the_sum_is_weighted_and_names_its_parts():
    drawn = Drawn(shares=(1 / 3,) * 3)
    losses = Losses(
        cross_entropy={"weight": {"start": 1, "end": 0}}, dice={"weight": 2}, lovasz={"weight": {"start": 0, "end": 1}}
    )
    start, middle = (summed(losses, LOGITS, LABELS, drawn, progress) for progress in (0, 0.5))
    assert set(start.parts) == {"cross_entropy", "dice"}
    parts = middle.parts
    expected = 0.5 * parts["cross_entropy"] + 2 * parts["dice"] + 0.5 * parts["lovasz"]
    assert middle.total.item() == pytest.approx(expected.item())
    assert set(USUAL.chosen) == {"cross_entropy", "dice"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "no loss is named; choose from cross_entropy, focal"),
        ({"focal": {"gamma": -1}}, "greater than or equal to 0"),
        ({"dice": {"weight": {"start": 1, "end": 0, "within": [0.8, 0.2]}}}, "must not be above"),
        ({"jaccard": {}}, "jaccard"),
        ({"dice": {"weight": 0}, "focal": {"weight": {"start": 0, "end": 0}}}, "focal and dice is always 0"),
    ],
)
def test_mistakes_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        Losses(**values)
