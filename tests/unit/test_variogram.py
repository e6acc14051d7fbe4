"""Variograms: the same as counting pairs, and the range of fields whose range is known."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geoseg.core.grid import Grid
from geoseg.data.splits.variogram import Structure, VariogramModel, fit_model, suggest_block_m, variogram
from geoseg.errors import InputError


@dataclass(frozen=True, eq=False)
class ArrayMap:
    grid: Grid
    labels: np.ndarray

    @contextmanager
    def reader(self):
        yield self

    def read(self, window):
        return self.labels[window.slices]


def map_of(labels, pixel=(30.0, 30.0), epsg=32612, origin=(301905.0, 4154085.0)):
    transform = Affine(pixel[1], 0, origin[0], 0, -pixel[0], origin[1])
    height, width = labels.shape
    return ArrayMap(Grid(crs=CRS.from_epsg(epsg), transform=transform, height=height, width=width), labels)


def gaussian_field(size, scale, seed):
    """A stationary Gaussian field with covariance exp(-h / scale), by circulant embedding (Wood and Chan 1994)."""
    n = 2 * size
    lag = np.minimum(np.arange(n), n - np.arange(n))
    power = np.fft.fft2(np.exp(-np.hypot(lag[:, None], lag) / scale)).real.clip(0)
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(n, n)) + 1j * rng.normal(size=(n, n))
    return (np.fft.fft2(np.sqrt(power) * noise) / n).real[:size, :size]


def brute_force(maps, classes):
    """Distance in m, and the classes, of every pair of labelled pixels of one map."""
    distances, firsts, seconds = [], [], []
    for each in maps:
        down, along = each.grid.gsd_m
        rows, cols = np.nonzero(each.labels < classes)
        values = each.labels[rows, cols]
        i, j = np.triu_indices(len(rows), 1)
        distances.append(np.hypot((rows[i] - rows[j]) * down, (cols[i] - cols[j]) * along))
        firsts.append(values[i])
        seconds.append(values[j])
    return np.concatenate(distances), np.concatenate(firsts), np.concatenate(seconds)


@given(st.integers(0, 999), st.sampled_from([(30.0, 30.0), (20.0, 50.0)]), st.floats(0, 0.6))
@settings(max_examples=12, deadline=None)
def test_pairs_are_those_of_counting_them_one_by_one(seed, pixel, unlabelled):
    rng = np.random.default_rng(seed)
    maps = []
    for shape in ((24, 31), (17, 12)):
        labels = rng.integers(0, 3, shape).astype(np.uint8)
        labels[rng.random(shape) < unlabelled] = 255
        maps.append(map_of(labels, pixel))
    found = variogram(maps, 4)
    distance, first, second = brute_force(maps, 4)
    # bins are told by their pairs: sorted by distance, the same numbers of pairs follow each other
    order = np.argsort(distance, kind="stable")
    position = int((distance < max(pixel) / 2).sum())  # lags that fill no bin
    for lag, pairs, gamma, by_class in zip(found.lags_m, found.pairs, found.gamma, found.by_class.T, strict=True):
        chosen = order[position : position + pairs]
        position += pairs
        assert distance[chosen].mean() == pytest.approx(lag)
        assert gamma == pytest.approx((first[chosen] != second[chosen]).mean() / 2)
        for k in range(4):
            one_of_two = (first[chosen] == k) != (second[chosen] == k)
            assert by_class[k] == pytest.approx(one_of_two.mean() / 2)
    assert position > 0.2 * len(distance)


@pytest.mark.parametrize(("scale", "seed"), [(8, 0), (8, 1), (20, 0)])
def test_the_range_of_a_cut_gaussian_field_is_found(scale, seed):
    """Theory: cut at its median, two places differ with probability arccos(rho) / pi (Sheppard 1899)."""
    found = variogram([map_of((gaussian_field(400, scale, seed) > 0).astype(np.uint8))], 2)
    expected = -np.log(np.cos(0.95 * np.pi / 2)) * scale * 30.0
    assert abs(found.range_m / expected - 1) < 0.2
    assert not found.at_least
    rho = np.exp(-found.lags_m / (scale * 30.0))
    near = found.lags_m < 4 * scale * 30.0
    np.testing.assert_allclose(found.gamma[near], (np.arccos(rho) / np.pi / 2)[near], atol=0.03)
    assert found.sill == pytest.approx(0.25, abs=0.01)


def test_squares_of_random_classes_differ_as_geometry_says():
    """Along an axis, pixels h apart lie in two squares of side a with probability h / a, and then differ by 1-Σp²."""
    side, classes = 20, 4
    squares = np.random.default_rng(0).integers(0, classes, (40, 40)).astype(np.uint8)
    found = variogram([map_of(np.kron(squares, np.ones((side, side), np.uint8)))], classes)
    first = found.gamma[0]  # one pixel along an axis, or one each (sqrt 2 is below 1.5): 2 of each
    expected = found.sill * (2 * (1 / side) + 2 * (1 - (1 - 1 / side) ** 2)) / 4
    assert first == pytest.approx(expected, rel=0.05)
    assert [part.kind for part in found.model.structures] == ["spherical"]
    assert 0.8 * side * 30 < found.range_m < 1.3 * side * 30
    far = found.lags_m > 1.5 * side * 30
    np.testing.assert_allclose(found.gamma[far], found.sill, rtol=0.03)
    np.testing.assert_allclose(found.by_class.sum(axis=0), 2 * found.gamma)


def test_noise_has_no_range_and_a_trend_has_one_longer_than_the_scene_shows():
    noise = np.random.default_rng(0).integers(0, 2, (200, 200)).astype(np.uint8)
    found = variogram([map_of(noise)], 2)
    assert found.range_m < 60
    halves = np.zeros((200, 200), np.uint8)
    halves[:, 100:] = 1
    found = variogram([map_of(halves)], 2)
    assert found.at_least
    assert any("at least 3000 m" in line for line in found.lines())


def test_decimation_keeps_the_range():
    labels = (gaussian_field(600, 20, 3) > 0).astype(np.uint8)
    whole, coarse = variogram([map_of(labels)], 2), variogram([map_of(labels)], 2, max_side=150)
    assert abs(coarse.range_m / whole.range_m - 1) < 0.15
    assert coarse.labelled_m2 == pytest.approx(whole.labelled_m2)
    assert coarse.lags_m[0] > 3 * whole.lags_m[0]


def test_distances_are_in_m_on_grids_in_degrees():
    labels = (gaussian_field(300, 10, 0) > 0).astype(np.uint8)
    degrees = map_of(labels, (30 / 110_574, 30 / (111_320 * np.cos(np.radians(37)))), 4326, (-113.0, 37.0))
    assert variogram([degrees], 2).range_m == pytest.approx(variogram([map_of(labels)], 2).range_m, rel=0.02)


def test_labels_that_show_nothing_are_refused():
    with pytest.raises(InputError, match="one class"):
        variogram([map_of(np.zeros((50, 50), np.uint8))], 2)
    with pytest.raises(InputError, match="no pixel is labelled"):
        variogram([map_of(np.full((50, 50), 255, np.uint8))], 2)


@given(st.floats(0, 0.6), st.floats(100, 3000), st.sampled_from(["exponential", "spherical"]), st.floats(0.05, 0.5))
@settings(max_examples=15, deadline=None)
def test_a_model_is_found_again(nugget, scale_m, kind, sill):
    lags = np.geomspace(30, 10_000, 60)
    model = VariogramModel(sill=sill, structures=(Structure(kind=kind, share=1 - nugget, scale_m=scale_m),))
    found = fit_model(lags, model.at(lags), np.full(60, 1e6) * lags**2, sill)
    assert [part.kind for part in found.structures] == [kind]
    assert found.nugget == pytest.approx(nugget, abs=0.01)
    assert found.range_m == pytest.approx(model.range_m, rel=0.01)
    assert found.at(np.array([found.range_m]))[0] == pytest.approx(0.95 * sill)


def test_two_scales_are_found_again():
    lags = np.geomspace(30, 20_000, 60)
    parts = (
        Structure(kind="exponential", share=0.5, scale_m=100),
        Structure(kind="exponential", share=0.3, scale_m=2500),
    )
    model = VariogramModel(sill=0.25, structures=parts)
    found = fit_model(lags, model.at(lags), np.full(60, 1e6) * lags**2, 0.25)
    assert len(found.structures) == 2
    assert found.range_m == pytest.approx(model.range_m, rel=0.02)
    assert found.nugget == pytest.approx(0.2, abs=0.02)


def test_blocks_are_as_long_as_the_range_as_far_as_there_are_enough():
    found = variogram([map_of((gaussian_field(400, 8, 0) > 0).astype(np.uint8))], 2)
    advice = suggest_block_m(found, (0.6, 0.2, 0.2))
    assert advice.block_m == pytest.approx(found.range_m, rel=0.05)
    assert "rounded" in advice.reason
    halves = np.zeros((200, 200), np.uint8)
    halves[:, 100:] = 1
    advice = suggest_block_m(variogram([map_of(halves)], 2), (0.6, 0.2, 0.2))
    assert 1100 <= advice.block_m <= 1200  # 25 blocks of 36 km²
    assert "fewer than 25" in advice.reason
    many = suggest_block_m(variogram([map_of(halves)], 2), (0.8, 0.1, 0.1))
    assert many.block_m < advice.block_m
