"""Pixels close to a change of class: where labels are least to be trusted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS, Geod, Transformer

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import LabelReader, LabelWindow

_FAR = 2**20  # half pixels


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PixelSizes:
    """Height and width in m of the pixels of every row of a grid, each of shape (row,), measured at the middle column.

    One size for a row is right for degrees and for all projections of small scenes.
    """

    heights: NDArray[np.float64]
    widths: NDArray[np.float64]

    @classmethod
    def of(cls, grid: Grid) -> PixelSizes:
        """Measured on the ellipsoid. Rows of which no place exists get the size of the grid's centre."""
        geod = grid.crs.get_geod() or Geod(ellps="WGS84")
        degrees = CRS.from_dict({"proj": "longlat", "a": geod.a, "b": geod.b, "no_defs": True})
        to_degrees = Transformer.from_crs(grid.crs, degrees, always_xy=True)
        rows = np.arange(grid.height) + 0.5
        places = []
        for d_row, d_col in ((0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)):
            t = grid.transform
            row, col = rows + d_row, grid.width / 2 + d_col
            places.append(to_degrees.transform(t.a * col + t.b * row + t.c, t.d * col + t.e * row + t.f))
        _, down, up, right, left = places
        sizes = [geod.inv(*one, *other)[2] for one, other in ((down, up), (right, left))]
        height, width = (np.where(np.isfinite(s) & (s > 0), s, mean) for s, mean in zip(sizes, grid.gsd_m, strict=True))
        return cls(heights=height, widths=width)

    def halo(self, grid: Grid, distance_m: float) -> tuple[int, int]:
        """Rows and columns that a distance reaches over; near the poles, where meridians meet, at most a whole row."""
        rows = math.ceil(distance_m / float(self.heights.min()))
        cols = math.ceil(distance_m / float(self.widths.min()))
        return rows, min(cols, max(grid.width, math.ceil(distance_m / float(np.median(self.widths)))))

    def rows(self, window: Window) -> PixelSizes:
        """Sizes of a window's rows; rows beyond the grid have those of the nearest row."""
        rows = np.clip(np.arange(window.row, window.row_end), 0, len(self.heights) - 1)
        return PixelSizes(heights=self.heights[rows], widths=self.widths[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoundaryReader:
    """Labels without the pixels whose centre is closer than `distance_m` to an edge between pixels of two classes.

    `inner` must be able to read `halo` rows and columns around any window, so that what is taken away does not depend
    on the window. With `outline`, edges to unlabelled pixels count.
    """

    inner: LabelReader
    sizes: PixelSizes
    halo: tuple[int, int]
    distance_m: float
    outline: bool

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window."""
        rows, cols = self.halo
        outer = Window(
            row=window.row - rows, col=window.col - cols, height=window.height + 2 * rows, width=window.width + 2 * cols
        )
        labels = self.inner.read(outer)
        near = near_change(
            labels.classes, self.sizes.rows(window), self.halo, distance_m=self.distance_m, outline=self.outline
        )
        part = window.within(outer).slices
        classes = np.where(near, UNLABELLED, labels.classes[part]).astype(np.uint8)
        shares = None if labels.shares is None else labels.shares[:, *part] * ~near
        ignored = near if labels.ignored is None else near | labels.ignored[part]
        return LabelWindow(classes=classes, shares=shares, ignored=ignored)


def near_change(
    classes: NDArray[np.uint8], sizes: PixelSizes, halo: tuple[int, int], *, distance_m: float, outline: bool
) -> NDArray[np.bool_]:
    """Pixels whose centre is closer than a distance to an edge between pixels of two classes.

    The nearest point of an edge lies at its middle or at an end, so distances are exact on a lattice of half pixels:
    first along its rows, then over its rows (Saito and Toriwaki 1994, doi:10.1016/0031-3203(94)90133-3).

    Args:
        classes: class indices, shape (row + 2 halo, col + 2 halo), 255 = unlabelled.
        sizes: of the pixels of the inner rows.
        halo: rows and columns around them, as many as the distance reaches over.
        distance_m: in m.
        outline: edges to unlabelled pixels count, too.

    Returns:
        True = near, shape (row, col).
    """
    rows, cols = halo
    height, width = classes.shape[0] - 2 * rows, classes.shape[1] - 2 * cols
    near = np.zeros((height, width), dtype=np.bool_)
    changes = _changes(classes, outline=outline)
    if not changes.any():
        return near
    along = _to_nearest(changes)[:, cols : cols + width]
    for step in range(-2 * rows, 2 * rows + 1):
        rest = distance_m**2 - (step * sizes.heights / 2) ** 2
        reach = np.sqrt(np.maximum(rest, 0)) / (sizes.widths / 2)  # half pixels
        first = 2 * rows + 1 + step
        near |= along[first : first + 2 * height : 2] < reach[:, None]
    return near


def _changes(classes: NDArray[np.uint8], *, outline: bool) -> NDArray[np.bool_]:
    """Points of the half-pixel lattice on an edge between two classes, shape (2 row + 1, 2 col + 1)."""
    height, width = classes.shape
    points = np.zeros((2 * height + 1, 2 * width + 1), dtype=np.bool_)
    labelled = classes != UNLABELLED
    across = classes[:, 1:] != classes[:, :-1]
    down = classes[1:] != classes[:-1]
    if not outline:
        across &= labelled[:, 1:] & labelled[:, :-1]
        down &= labelled[1:] & labelled[:-1]
    for i in range(3):  # the two ends of an edge, and its middle
        points[i : i + 2 * height : 2, 2:-1:2] |= across
        points[2:-1:2, i : i + 2 * width : 2] |= down
    return points


def _to_nearest(points: NDArray[np.bool_]) -> NDArray[np.int32]:
    """Half pixels from the pixels' centres to the nearest point in their lattice row, shape (2 row + 1, col)."""
    places = np.arange(points.shape[1], dtype=np.int32)
    left = np.maximum.accumulate(np.where(points, places, -_FAR), axis=1)
    right = np.minimum.accumulate(np.where(points, places, _FAR)[:, ::-1], axis=1)[:, ::-1]
    nearest: NDArray[np.int32] = np.minimum(places - left, right - places)[:, 1::2]
    return nearest
