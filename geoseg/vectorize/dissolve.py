"""Polygons of one class put together: one multipolygon for each class, or for each class and tile."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoseg.vectorize.part import Figures, Part, gathered, joined

_MULTIPOLYGON = 6  # type number of well-known binary


def dissolve_parts(
    parts: Iterable[Part], codes: NDArray[np.int32], tile: tuple[int, int] | None = None
) -> Iterator[Part]:
    """Put together the polygons of each class, in the order of codes; all are in memory at once.

    The polygons of a class must touch in points only, as 4-connected areas do: nothing is united.

    Args:
        parts: polygons.
        codes: the code of every label.
        tile: rows and columns of the tiles that the map is cut into: classes are put together tile by tile.
    """
    every = list(parts)
    if not every:
        return
    figures = joined([part.figures for part in every])
    keys = np.column_stack([codes[figures.labels], *(_tiles(figures, tile) if tile is not None else ())])
    _, groups = np.unique(keys, axis=0, return_inverse=True)
    members: list[list[bytes]] = [[] for _ in range(int(groups.max()) + 1)]
    shapes = (shape for part in every for shape in part.geometries.to_pylist())
    for group, shape in zip(groups.tolist(), shapes, strict=True):
        members[group].append(shape)
    geometries = pa.array([_multipolygon(group) for group in members], type=pa.binary())
    yield Part(geometries=geometries, figures=gathered(figures, groups))


def _tiles(figures: Figures, tile: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    row, col = figures.first_pixels.T
    return row // tile[0], col // tile[1]


def _multipolygon(polygons: list[bytes]) -> bytes:
    return struct.pack("<BII", 1, _MULTIPOLYGON, len(polygons)) + b"".join(polygons)
