"""Boundary scores: how well a map draws the borders between classes, at a tolerance in metres.

A border pixel of a class has a pixel of another class above, below, left or right of it. Its band are all pixels of the
class with a pixel of another class within the tolerance. Both know only pixels that have a class in truth and map
alike: a border to unlabelled ground is none. Distances are in m between pixel centres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.labels.boundary import PixelSizes
from geoseg.evaluation.scores import Floats, ratio

_SLACK = 1.001  # a UTM pixel of 30 m is up to 0.1 % longer on the ground, and 60 m are meant to reach two pixels
_FAR = 2**30  # pixels

_TRUE, _FOUND, _DRAWN, _RIGHT, _SHARED, _EITHER = range(6)
COLUMNS = ("true", "found", "drawn", "right", "shared", "either")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boundaries:
    """Pixels at the borders of each class, int64, shape (class, 6), in the order of `COLUMNS`; `+` is associative.

    Border pixels in truth (`true`), and those of them with a border pixel of the map's class within the tolerance
    (`found`); border pixels in the map (`drawn`), and those with one of truth within the tolerance (`right`); pixels
    in the bands along the borders of both truth and map (`shared`), and of one of them at least (`either`).
    """

    counts: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> Boundaries:
        """No pixels: the neutral element of `+`."""
        return cls(counts=np.zeros((classes, len(COLUMNS)), dtype=np.int64))

    def __add__(self, other: Boundaries) -> Boundaries:
        return Boundaries(counts=self.counts + other.counts)

    @property
    def f1(self) -> Floats:
        """See `boundary_f1`."""
        return boundary_f1(self.counts)

    @property
    def iou(self) -> Floats:
        """See `boundary_iou`."""
        return boundary_iou(self.counts)


def boundary_f1(counts: NDArray[np.int64]) -> Floats:
    """Harmonic mean of the shares of drawn borders that are right and of true ones that are found, shape (..., class).

    Csurka, Larlus and Perronnin 2013 (doi:10.5244/C.27.32). 0 where borders are on one side only, NaN without any.

    Args:
        counts: of boundaries, shape (..., class, 6).
    """
    true, drawn = counts[..., _TRUE], counts[..., _DRAWN]
    right = np.nan_to_num(ratio(counts[..., _RIGHT], drawn))
    found = np.nan_to_num(ratio(counts[..., _FOUND], true))
    both = right + found
    score = np.divide(2 * right * found, both, out=np.zeros_like(both), where=both > 0)
    return np.where(true + drawn > 0, score, np.nan)


def boundary_iou(counts: NDArray[np.int64]) -> Floats:
    """IoU of the bands along the borders, shape (..., class); NaN without any.

    Cheng et al. 2021 (doi:10.1109/CVPR46437.2021.01508).

    Args:
        counts: of boundaries, shape (..., class, 6).
    """
    return ratio(counts[..., _SHARED], counts[..., _EITHER])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ruler:
    """A tolerance in m on a grid: the pixels' sizes, and the rows and columns that it reaches over."""

    sizes: PixelSizes
    halo: tuple[int, int]
    tolerance_m: float

    @classmethod
    def on(cls, grid: Grid, tolerance_m: float) -> Ruler:
        """The tolerance on a grid; a thousandth longer, as projected metres are not quite those on the ground."""
        sizes, reach = PixelSizes.of(grid), tolerance_m * _SLACK
        return cls(sizes=sizes, halo=sizes.halo(grid, reach), tolerance_m=reach)

    def around(self, window: Window) -> Window:
        """What has to be read so that every pixel of a window can be judged: the halo, and a pixel's neighbours."""
        rows, cols = self.halo[0] + 1, self.halo[1] + 1
        return Window(
            row=window.row - rows, col=window.col - cols, height=window.height + 2 * rows, width=window.width + 2 * cols
        )

    def near(self, points: NDArray[np.bool_], window: Window) -> NDArray[np.bool_]:
        """Pixels of a window that have a point within the tolerance, shape (row, col); exact, whatever the window.

        First along rows, then over them (Saito and Toriwaki 1994, doi:10.1016/0031-3203(94)90133-3).

        Args:
            points: of the window and the halo around it, shape (row + 2 halo, col + 2 halo).
            window: counted on the grid.
        """
        rows, cols = self.halo
        found = np.zeros(window.shape, dtype=np.bool_)
        if not points.any():
            return found
        sizes = self.sizes.rows(window)
        along = _to_nearest(points)[:, cols : cols + window.width]
        for step in range(-rows, rows + 1):
            rest = self.tolerance_m**2 - (step * sizes.heights) ** 2
            reach = np.where(rest >= 0, np.sqrt(np.maximum(rest, 0)) / sizes.widths, -1)
            found |= along[rows + step : rows + step + window.height] <= reach[:, None]
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sight:
    """Class indices of truth and map in a window and around it (`Ruler.around`), and the group of each pixel within.

    `groups` are 0 to `count` - 1, or -1 where a pixel is not counted, shape (row, col) of the window.
    """

    window: Window
    truth: NDArray[np.uint8]
    mapped: NDArray[np.uint8]
    groups: NDArray[np.int64]
    count: int


def count_boundaries(sight: Sight, ruler: Ruler, classes: int) -> NDArray[np.int64]:
    """The counts of `Boundaries` for each group, shape (group, class, 6)."""
    known = (sight.truth != UNLABELLED) & (sight.mapped != UNLABELLED)
    truth, mapped = (np.where(known, part, UNLABELLED).astype(np.uint8) for part in (sight.truth, sight.mapped))
    edges = [_edges(part) for part in (truth, mapped)]
    truth, mapped = truth[1:-1, 1:-1], mapped[1:-1, 1:-1]
    counts = np.zeros((sight.count, classes, len(COLUMNS)), dtype=np.int64)
    for index in np.union1d(truth, mapped).tolist():
        if index == UNLABELLED:
            continue
        masks = _masks(index, truth, mapped, edges, sight.window, ruler)
        for column, mask in enumerate(masks):
            groups = sight.groups[mask & (sight.groups >= 0)]
            counts[:, index, column] = np.bincount(groups, minlength=sight.count)
    return counts


def _masks(
    index: int,
    truth: NDArray[np.uint8],
    mapped: NDArray[np.uint8],
    edges: list[NDArray[np.bool_]],
    window: Window,
    ruler: Ruler,
) -> tuple[NDArray[np.bool_], ...]:
    """What is counted in each of `COLUMNS` for one class, each of shape (row, col)."""
    inner = _inner(ruler.halo, window)
    true, drawn = (edge & (part == index) for edge, part in zip(edges, (truth, mapped), strict=True))
    found = true[inner] & ruler.near(drawn, window)
    right = drawn[inner] & ruler.near(true, window)
    bands = [
        (part[inner] == index) & ruler.near((part != index) & (part != UNLABELLED), window) for part in (truth, mapped)
    ]
    return true[inner], found, drawn[inner], right, bands[0] & bands[1], bands[0] | bands[1]


def _inner(halo: tuple[int, int], window: Window) -> tuple[slice, slice]:
    return slice(halo[0], halo[0] + window.height), slice(halo[1], halo[1] + window.width)


def _edges(classes: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels with a class beside one of another class, without the outermost ones, shape (row - 2, col - 2)."""
    middle = classes[1:-1, 1:-1]
    beside = np.zeros(middle.shape, dtype=np.bool_)
    for other in (classes[:-2, 1:-1], classes[2:, 1:-1], classes[1:-1, :-2], classes[1:-1, 2:]):
        beside |= (other != middle) & (other != UNLABELLED)
    beside &= middle != UNLABELLED
    return beside


def _to_nearest(points: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Pixels from each place to the nearest point in its row, shape as given."""
    places = np.arange(points.shape[1], dtype=np.int32)
    left = np.maximum.accumulate(np.where(points, places, np.int32(-_FAR)), axis=1)
    right = np.minimum.accumulate(np.where(points, places, np.int32(_FAR))[:, ::-1], axis=1)[:, ::-1]
    nearest: NDArray[np.int32] = np.minimum(places - left, right - places)
    return nearest
