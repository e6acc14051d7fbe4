"""Some polygons of a map as they go into a file, and what is known of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.core.grid import Grid
from geoseg.vectorize.sweep import HIGHEST, LOWEST, Labels
from geoseg.vectorize.trace import Polygons

Steps = tuple[NDArray[np.float64], NDArray[np.float64]]
"""As `Grid.pixel_steps_m`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Figures:
    """What is known of some areas, one entry each.

    `first_pixels` is (row, col) of the first pixel in row-major order, shape (area, 2); `polygons` how many polygons an
    area has, `perimeter_m` the length of all their rings; `stats` as in `Polygons`.
    """

    labels: Labels
    first_pixels: NDArray[np.int64]
    polygons: NDArray[np.int64]
    area_m2: NDArray[np.float64]
    perimeter_m: NDArray[np.float64]
    stats: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Part:
    """Some areas: geometries (WKB, in CRS units) and figures."""

    geometries: pa.BinaryArray
    figures: Figures


def to_part(polygons: Polygons, grid: Grid, steps: Steps) -> Part:
    """Traced polygons of a grid; `steps` are the grid's `pixel_steps_m`."""
    figures = Figures(
        labels=polygons.codes,
        first_pixels=polygons.first_pixels,
        polygons=np.ones(len(polygons), dtype=np.int64),
        area_m2=polygons.area_m2,
        perimeter_m=lengths_m(polygons.coords, polygons.ring_offsets, polygons.polygon_offsets, *steps),
        stats=polygons.stats,
    )
    return Part(geometries=polygons.wkb(grid.transform), figures=figures)


def gathered(figures: Figures, groups: NDArray[np.int64]) -> Figures:
    """The figures of areas that are put together.

    Args:
        figures: of which each group has one label.
        groups: the group of each area, 0, 1, 2, ..., shape (area,).
    """
    order = np.lexsort((figures.first_pixels[:, 1], figures.first_pixels[:, 0], groups))
    starts = np.flatnonzero(np.diff(groups[order], prepend=-1))
    stats = np.add.reduceat(figures.stats[order], starts)
    stats[:, :, LOWEST] = np.minimum.reduceat(figures.stats[order, :, LOWEST], starts)
    stats[:, :, HIGHEST] = np.maximum.reduceat(figures.stats[order, :, HIGHEST], starts)
    return Figures(
        labels=figures.labels[order][starts],
        first_pixels=figures.first_pixels[order][starts],
        polygons=np.add.reduceat(figures.polygons[order], starts),
        area_m2=np.add.reduceat(figures.area_m2[order], starts),
        perimeter_m=np.add.reduceat(figures.perimeter_m[order], starts),
        stats=stats,
    )


def joined(every: list[Figures]) -> Figures:
    """Figures one after the other."""
    return Figures(**{name: np.concatenate([getattr(f, name) for f in every]) for name in Figures.__slots__})


@compiled
def lengths_m(
    coords: NDArray[np.int32] | NDArray[np.float64],
    ring_offsets: NDArray[np.int64],
    polygon_offsets: NDArray[np.int64],
    along: NDArray[np.float64],
    down: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Length of the rings (or lines) of each polygon in m: of every edge at the row of its middle."""
    lengths = np.zeros(len(polygon_offsets) - 1)
    last = len(down) - 1
    for polygon in range(len(lengths)):
        for ring in range(polygon_offsets[polygon], polygon_offsets[polygon + 1]):
            for i in range(ring_offsets[ring], ring_offsets[ring + 1] - 1):
                cols, rows = coords[i + 1, 0] - coords[i, 0], coords[i + 1, 1] - coords[i, 1]
                middle = (coords[i + 1, 1] + coords[i, 1]) / 2
                a, d = along[int(np.rint(middle))], down[min(int(middle), last)]
                lengths[polygon] += np.hypot(cols * a[0] + rows * d[0], cols * a[1] + rows * d[1])
    return lengths
