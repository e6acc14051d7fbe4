"""Boundary scores against distance transforms of whole images, whatever the window."""

from __future__ import annotations

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS
from scipy import ndimage

from geoseg.core.grid import Grid, Window
from geoseg.evaluation.boundary import Boundaries, Ruler, Sight, boundary_f1, boundary_iou, count_boundaries

CLASSES = 3
HEIGHT, WIDTH = 37, 41
GRID = Grid(crs=CRS.from_epsg(32612), transform=Affine(30, 0, 301905, 0, -20, 4154085), height=HEIGHT, width=WIDTH)


def blobs(seed):
    """Three classes in patches, and a twentieth of the pixels without a class."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=(CLASSES, HEIGHT, WIDTH)), (0, 2, 2))
    classes = smooth.argmax(axis=0).astype(np.uint8)
    classes[rng.random((HEIGHT, WIDTH)) < 0.05] = 255
    return classes


TRUTH, MAPPED = blobs(0), blobs(1)
MAPPED[TRUTH == 2] = 2  # so that something agrees


def naive(truth, mapped, sampling, tolerance):
    """Counts by distance transforms of the whole image, shape (class, 6)."""
    known = (truth != 255) & (mapped != 255)
    plus = ndimage.generate_binary_structure(2, 1)
    rows = []
    for index in range(CLASSES):
        borders, bands = [], []
        for classes in (truth, mapped):
            own, other = (classes == index) & known, (classes != index) & known
            borders.append(own & ndimage.binary_dilation(other, plus))
            away = ndimage.distance_transform_edt(~other, sampling=sampling) if other.any() else np.inf
            bands.append(own & (away <= tolerance))
        near = [
            ndimage.distance_transform_edt(~border, sampling=sampling) <= tolerance if border.any() else np.False_
            for border in borders
        ]
        true, drawn = borders
        masks = (true, true & near[1], drawn, drawn & near[0], bands[0] & bands[1], bands[0] | bands[1])
        rows.append([mask.sum() for mask in masks])
    return np.array(rows)


def windowed(tolerance, size, groups=None, count=1):
    ruler = Ruler.on(GRID, tolerance)
    total = np.zeros((count, CLASSES, 6), dtype=np.int64)
    groups = np.zeros(GRID.shape, dtype=np.int64) if groups is None else groups
    margin = max(ruler.halo) + 1
    truth, mapped = (np.pad(classes, margin, constant_values=255) for classes in (TRUTH, MAPPED))
    for window in GRID.windows(*size):
        outer = ruler.around(window)
        part = Window(row=outer.row + margin, col=outer.col + margin, height=outer.height, width=outer.width).slices
        sight = Sight(window=window, truth=truth[part], mapped=mapped[part], groups=groups[window.slices], count=count)
        total += count_boundaries(sight, ruler, CLASSES)
    return total


@pytest.mark.parametrize("tolerance", [20, 30, 45, 60, 100])
@pytest.mark.parametrize("size", [(37, 41), (8, 8), (5, 17), (1, 41)])
def test_counts_agree_with_distance_transforms_for_any_window(tolerance, size):
    np.testing.assert_array_equal(windowed(tolerance, size)[0], naive(TRUTH, MAPPED, (20, 30), tolerance * 1.001))


def test_groups_sum_to_the_whole_and_uncounted_pixels_are_left_out():
    groups = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) % 3
    by_group = windowed(45, (9, 9), groups, 3)
    np.testing.assert_array_equal(by_group.sum(axis=0), windowed(45, (37, 41))[0])
    some = np.where(groups == 2, -1, groups)
    np.testing.assert_array_equal(windowed(45, (9, 9), some, 3)[:2], by_group[:2])
    assert not windowed(45, (9, 9), some, 3)[2].any()


def test_scores_of_a_border_that_is_one_pixel_off():
    truth = np.zeros(GRID.shape, dtype=np.uint8)
    truth[:, 20:] = 1
    counts = naive(truth, np.roll(truth, 1, axis=1) * (np.arange(WIDTH) > 0), (20, 30), 30)
    boundaries = Boundaries(counts=counts)
    np.testing.assert_allclose(boundaries.f1[:2], 1)
    # each band is 1 pixel wide: shifted by one, 0 of 2 columns are shared
    np.testing.assert_allclose(boundaries.iou[:2], 0)
    assert np.isnan(boundaries.f1[2])


def test_borders_on_one_side_only_score_nothing():
    counts = np.array([[4, 0, 0, 0, 0, 9]])
    assert boundary_f1(counts) == 0
    assert boundary_iou(counts) == 0


def test_scores_agree_with_the_published_formula_on_a_disc():
    """Boundary IoU as Cheng et al. write it: masks less their erosion by a disc of the band's width."""
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    truth = (np.hypot(rows - 18, cols - 20) < 12).astype(np.uint8)
    mapped = (np.hypot(rows - 19, cols - 20) < 11).astype(np.uint8)
    d = 2
    disc = np.hypot(*np.mgrid[-d : d + 1, -d : d + 1]) <= d
    bands = [mask & ~ndimage.binary_erosion(mask, disc) for mask in (truth == 1, mapped == 1)]
    expected = (bands[0] & bands[1]).sum() / (bands[0] | bands[1]).sum()
    square = Grid(crs=GRID.crs, transform=Affine(30, 0, 301905, 0, -30, 4154085), height=HEIGHT, width=WIDTH)
    ruler = Ruler.on(square, 60)
    outer = ruler.around(square.window)
    pad = [(outer.height - HEIGHT) // 2, (outer.width - WIDTH) // 2]
    sight = Sight(
        window=square.window,
        truth=np.pad(truth, [(pad[0],) * 2, (pad[1],) * 2], constant_values=255),
        mapped=np.pad(mapped, [(pad[0],) * 2, (pad[1],) * 2], constant_values=255),
        groups=np.zeros(square.shape, dtype=np.int64),
        count=1,
    )
    assert boundary_iou(count_boundaries(sight, ruler, 2)[0])[1] == pytest.approx(expected)
