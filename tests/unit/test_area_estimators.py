"""Estimators of accuracy and area for stratified random samples: published numbers, closed forms, simulated samples."""

from __future__ import annotations

import numpy as np
import pytest

from geoseg.evaluation.areas.allocation import allocate, deviations, sample_size
from geoseg.evaluation.areas.estimators import (
    Sample,
    Strata,
    area_shares,
    error_matrix,
    overall_accuracy,
    producers_accuracy,
    users_accuracy,
)

# Table 8 of Olofsson et al. 2014, as in R's mapaccuracy: deforestation, forest gain, stable forest, stable non-forest
COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])
PIXEL_HA = 0.09

# The numerical example of Stehman 2014, as listed in R's packages mapaccuracy and mapac
STRATUM = np.repeat(np.arange(4), 10)
MAPPED = np.array(["ABCD".index(c) for c in "AAAAAAABBBABBBBBBBBBBBCCCCCCBBDDDDDDDDDD"])
REFERENCE = np.array(["ABCD".index(c) for c in "AAAAACBABCABBBBBAABBCCCCCDDBBADDDDDDDCCB"])


def sample_of(counts):
    """The sample with these counts (map, reference) whose strata are the map's classes."""
    mapped, reference = (np.repeat(part.ravel(), counts.ravel()) for part in np.indices(counts.shape))
    return Sample(stratum=mapped, mapped=mapped, reference=reference)


def strata_of(areas, *, known=True):
    size = len(areas)
    holds = np.eye(size, dtype=bool) if known else np.ones((size, size), dtype=bool)
    return Strata(area_m2=np.asarray(areas, dtype=float), holds=holds)


OLOFSSON = sample_of(COUNTS), strata_of(PIXELS * PIXEL_HA * 10_000)
STEHMAN = Sample(stratum=STRATUM, mapped=MAPPED, reference=REFERENCE), strata_of([4e4, 3e4, 2e4, 1e4], known=False)


def test_the_example_of_olofsson_2014():
    """The accuracies and areas ± 1.96 standard errors, in hectares."""
    users, producers, overall = (f(*OLOFSSON) for f in (users_accuracy, producers_accuracy, overall_accuracy))
    np.testing.assert_allclose(users.value, [0.88, 0.73, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(1.96 * users.error, [0.07, 0.10, 0.04, 0.02], atol=0.005)
    np.testing.assert_allclose(producers.value, [0.75, 0.85, 0.93, 0.96], atol=0.005)
    np.testing.assert_allclose(1.96 * producers.error[[0, 2, 3]], [0.21, 0.03, 0.02], atol=0.005)
    assert (round(overall.value[0], 2), round(1.96 * overall.error[0], 2)) == (0.95, 0.02)
    hectares = PIXELS.sum() * PIXEL_HA
    shares = area_shares(*OLOFSSON)
    np.testing.assert_allclose(shares.value * hectares, [21_158, 11_686, 285_770, 581_386], atol=0.5)
    np.testing.assert_allclose(1.96 * shares.error * hectares, [6_158, 3_756, 15_510, 16_282], atol=0.5)


def test_strata_that_are_the_maps_classes_give_the_simple_formulas():
    """Olofsson et al. 2014, equations 4 to 11, written out by hand on the counts."""
    weights, points = PIXELS / PIXELS.sum(), COUNTS.sum(axis=1)
    rates = COUNTS / points[:, None]
    matrix = weights[:, None] * rates
    np.testing.assert_allclose(error_matrix(*OLOFSSON), matrix)
    u = np.diag(rates)
    np.testing.assert_allclose(users_accuracy(*OLOFSSON).error ** 2, u * (1 - u) / (points - 1))
    overall = overall_accuracy(*OLOFSSON)
    np.testing.assert_allclose(overall.error**2, (weights**2 * u * (1 - u) / (points - 1)).sum())
    area = (weights[:, None] ** 2 * rates * (1 - rates) / (points[:, None] - 1)).sum(axis=0)
    np.testing.assert_allclose(area_shares(*OLOFSSON).error ** 2, area)
    for j, p in enumerate(np.diag(matrix) / matrix.sum(axis=0)):
        others = np.arange(4) != j
        spread = (PIXELS**2 * rates[:, j] * (1 - rates[:, j]) / (points - 1))[others].sum()
        own = PIXELS[j] ** 2 * (1 - p) ** 2 * u[j] * (1 - u[j]) / (points[j] - 1)
        found = (own + p**2 * spread) / (PIXELS @ rates[:, j]) ** 2
        assert producers_accuracy(*OLOFSSON).error[j] ** 2 == pytest.approx(found)


def test_the_example_of_stehman_2014():
    """Strata that are not the map's classes; mapac 0.1 prints seven digits of it."""
    np.testing.assert_allclose(area_shares(*STEHMAN).value, [0.35, 0.34, 0.20, 0.11])
    np.testing.assert_allclose(area_shares(*STEHMAN).error[[0, 2]], [0.082, 0.064], atol=0.0005)
    overall, users, producers = (f(*STEHMAN) for f in (overall_accuracy, users_accuracy, producers_accuracy))
    assert (overall.value[0], overall.error[0]) == (pytest.approx(0.63), pytest.approx(0.085, abs=0.0005))
    np.testing.assert_allclose(users.value[:2], [0.7419355, 0.5744681], atol=1e-7)
    np.testing.assert_allclose(users.error[:3], [0.1645627, 0.1248023, 0.2151657], atol=1e-7)
    np.testing.assert_allclose(producers.value[:3], [0.6571429, 0.7941176, 0.3], atol=1e-7)
    np.testing.assert_allclose(producers.error[:3], [0.1477318, 0.1165671, 0.1504438], atol=1e-7)
    assert error_matrix(*STEHMAN)[1, 2] == pytest.approx(0.08)


def population():
    """A map and a truth of 6,000 pixels in three strata that are not its classes."""
    rng = np.random.default_rng(7)
    stratum = np.repeat(np.arange(3), [3000, 2000, 1000])
    truth = np.where(rng.random(6000) < np.array([0.1, 0.4, 0.8])[stratum], 1, 0)
    truth[rng.random(6000) < 0.08] = 2
    mapped = np.where(rng.random(6000) < 0.8, truth, rng.integers(0, 3, 6000))
    return stratum, mapped, truth


def simulated(trials):
    """Estimates and standard errors of accuracies and areas over many samples, and the truth, shape (number,)."""
    stratum, mapped, truth = population()
    strata = Strata(area_m2=np.bincount(stratum) * 900.0, holds=np.ones((3, 3), dtype=bool))
    rng = np.random.default_rng(11)
    members = [np.flatnonzero(stratum == h) for h in range(3)]
    functions = (overall_accuracy, area_shares, users_accuracy, producers_accuracy)
    values, errors = [], []
    for _ in range(trials):
        drawn = np.concatenate([rng.choice(m, n, replace=False) for m, n in zip(members, (80, 60, 60), strict=True)])
        sample = Sample(stratum=stratum[drawn], mapped=mapped[drawn], reference=truth[drawn])
        found = [f(sample, strata) for f in functions]
        values.append(np.concatenate([f.value for f in found]))
        errors.append(np.concatenate([f.error for f in found]))
    right, indicator = mapped == truth, np.eye(3, dtype=bool)
    exact = [right.mean(), *indicator[truth].mean(axis=0)]
    exact += [right[mapped == k].mean() for k in range(3)] + [right[truth == k].mean() for k in range(3)]
    return np.array(values), np.array(errors), np.array(exact)


def test_estimates_are_unbiased_and_intervals_hold_the_truth_as_often_as_they_say():
    values, errors, exact = simulated(600)
    deviation = values.std(axis=0)
    np.testing.assert_array_less(np.abs(values.mean(axis=0) - exact), 4 * deviation / np.sqrt(600) + 0.004)
    np.testing.assert_allclose(np.sqrt((errors**2).mean(axis=0)), deviation, rtol=0.12)
    covered = (np.abs(values - exact) <= 1.96 * errors).mean(axis=0)
    assert covered[:-1].min() > 0.90
    assert covered.mean() == pytest.approx(0.94, abs=0.02)
    assert 0.80 < covered[-1] < 0.90  # the producer's accuracy of the rare class, of 16 points: see FEW_POINTS


def test_pixel_counts_would_be_biased_where_the_estimate_is_not():
    """What the whole exercise is for: the map's own areas are off by more than the estimates' mean is."""
    values, _, exact = simulated(300)
    _, mapped, truth = population()
    shown = np.bincount(mapped, minlength=3) / len(truth)
    bias = np.abs(values[:, 1:4].mean(axis=0) - exact[1:4])
    assert np.abs(shown - exact[1:4]).max() > 5 * bias.max()


def test_a_single_point_leaves_only_what_does_not_need_its_variance():
    counts = np.array([[1, 0], [5, 45]])
    sample, strata = sample_of(counts), strata_of([100.0, 900.0])
    assert overall_accuracy(sample, strata).value[0] == pytest.approx(0.1 + 0.9 * 0.9)
    assert np.isnan(overall_accuracy(sample, strata).error[0])
    users = users_accuracy(sample, strata)
    assert np.isnan(users.error[0])
    assert users.error[1] == pytest.approx(np.sqrt(0.9 * 0.1 / 49))
    assert np.isnan(area_shares(sample, strata).error).all()


def test_a_class_that_no_point_shows_has_no_accuracy():
    sample = sample_of(np.array([[10, 0, 2], [0, 0, 0], [1, 0, 9]]))
    sample = Sample(stratum=np.minimum(sample.stratum, 1), mapped=sample.mapped, reference=sample.reference)
    strata = Strata(area_m2=np.array([1.0, 1.0]), holds=np.ones((2, 3), dtype=bool))
    for estimates in (users_accuracy(sample, strata), producers_accuracy(sample, strata)):
        assert np.isnan(estimates.value[1])
        assert np.isnan(estimates.error[1])
        assert np.isfinite(estimates.value[[0, 2]]).all()
    assert area_shares(sample, strata).value[1] == 0


def test_sample_size_of_olofsson_2014():
    """Their example: expected accuracies of 0.70, 0.60, 0.90 and 0.95, a standard error of 0.01."""
    assert sample_size(PIXELS / PIXELS.sum(), np.array([0.7, 0.6, 0.9, 0.95]), 0.01) == 641


def test_as_many_points_as_it_takes_give_the_wanted_error():
    shares, accuracy = np.array([0.2, 0.3, 0.5]), np.array([0.6, 0.8, 0.9])
    count = sample_size(shares, accuracy, 0.02)
    points = np.array(allocate(count, shares * deviations(accuracy), 0, np.full(3, 10**6), "abc"))
    error = np.sqrt((shares**2 * accuracy * (1 - accuracy) / points).sum())
    assert error == pytest.approx(0.02, rel=0.005)


@pytest.mark.parametrize(
    ("count", "minimum", "pixels", "found"),
    [
        (100, 0, (10**6,) * 3, [60, 30, 10]),
        (100, 20, (10**6,) * 3, [53, 27, 20]),
        (100, 20, (10**6, 10**6, 5), [63, 32, 5]),
        (100, 20, (10**6, 10**6, 0), [67, 33, 0]),
        (7, 1, (10**6,) * 3, [4, 2, 1]),
        (3, 1, (1, 1, 1), [1, 1, 1]),
    ],
)
def test_points_are_dealt_by_area_with_a_minimum(count, minimum, pixels, found):
    assert allocate(count, np.array([6.0, 3.0, 1.0]), minimum, np.array(pixels), "abc") == found


def test_too_few_points_or_pixels_are_refused():
    with pytest.raises(
        ValueError, match=r"9 points are too few for 5 in each of the 2 strata \(a, b\); draw at least 10"
    ):
        allocate(9, np.ones(2), 5, np.array([50, 50]), "ab")
    with pytest.raises(ValueError, match="found 4 pixels with a class, fewer than the 9 points"):
        allocate(9, np.ones(2), 1, np.array([2, 2]), "ab")
