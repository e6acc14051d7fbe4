"""Reference points: places whose true class somebody has interpreted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import geopandas
import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid
from geoseg.core.legend import Legend
from geoseg.data.labels.options import value_text
from geoseg.errors import InputError
from geoseg.evaluation.areas.survey import NOWHERE, Places
from geoseg.io.vector import find_features, read_features

_MANY = 12  # values are named in an error, not more


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReferencePoints:
    """Interpreted points on a map's grid: pixels, class indices of shape (point,), and strata by name if told.

    `found` counts all points of the file; `notes` tell which of them were left out.
    """

    places: Places
    classes: NDArray[np.int64]
    strata: tuple[str, ...] | None
    found: int
    notes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.places)


def read_points(
    path: Path, column: str, legend: Legend, grid: Grid, strata_column: str | None = None
) -> ReferencePoints:
    """Read the points of a layer in any CRS; those outside of the grid, or without a class, are left out and counted.

    Args:
        path: any vector file that GDAL reads, or GeoParquet.
        column: the attribute with the class: its name, or its code.
        legend: the classes of the map.
        grid: the map's.
        strata_column: the attribute with the stratum.

    Raises:
        MissingFileError: no such file.
        InputError: no vector file, no such column, no CRS, no points, other geometries, classes that the legend lacks,
            or no point on the grid.
    """
    layer = find_features(path, column=column)
    frame = read_features(layer)
    others = sorted(set(frame.geometry.geom_type) - {"Point"})
    if frame.empty or others:
        found = f"holds geometries of type {', '.join(others)}" if others else "holds no points"
        raise InputError(f"{path}: {found}; needed interpreted points, one place each, as geoseg points draws them")
    strata = None
    if strata_column is not None:
        named = read_features(find_features(path, column=strata_column, layer=layer.layer))
        strata = [value_text(value) for value in named[strata_column]]
    classes = _class_indices(frame[column].tolist(), path, column, legend)
    rows, cols = _pixels(frame, grid)
    inside = (rows >= 0) & (rows < grid.height) & (cols >= 0) & (cols < grid.width)
    kept = np.flatnonzero(inside & (classes != NOWHERE))
    notes = _notes(path, len(frame), int((~inside).sum()), int((inside & (classes == NOWHERE)).sum()))
    if not kept.size:
        raise InputError(f"{notes[0] if notes else path}; none remains, needed points on the map with a class")
    return ReferencePoints(
        places=Places(rows=rows[kept], cols=cols[kept]),
        classes=classes[kept],
        strata=None if strata is None else tuple(strata[i] for i in kept.tolist()),
        found=len(frame),
        notes=(*notes, *_repeated(path, rows[kept], cols[kept])),
    )


def _notes(path: Path, count: int, outside: int, unlabelled: int) -> tuple[str, ...]:
    notes = []
    if outside:
        notes.append(f"{path.name}: {outside} of {count} points lie outside of the map and are left out")
    if unlabelled:
        notes.append(
            f"{path.name}: {unlabelled} of {count} points have no class and are left out, which is harmless only if "
            "they are missing by chance"
        )
    return tuple(notes)


def _repeated(path: Path, rows: NDArray[np.int64], cols: NDArray[np.int64]) -> tuple[str, ...]:
    several = len(rows) - len(np.unique(np.column_stack([rows, cols]), axis=0))
    if not several:
        return ()
    return (f"{path.name}: {several} points share a pixel with another one; if they were entered twice, remove them",)


def _class_indices(values: Sequence[object], path: Path, column: str, legend: Legend) -> NDArray[np.int64]:
    """Class index of each value, `NOWHERE` for missing ones.

    Raises:
        InputError: for values that are neither a name nor a code of the legend.
    """
    indices = {str(c.code): i for i, c in enumerate(legend)} | {c.name: i for i, c in enumerate(legend)}
    missing = dict.fromkeys(("missing", ""), NOWHERE)
    texts = [value_text(value).strip() for value in values]
    unknown = sorted(set(texts) - set(indices) - set(missing))
    if unknown:
        more = "" if len(unknown) <= _MANY else f" and {len(unknown) - _MANY} more"
        known = ", ".join(f"{c.code} {c.name}" for c in legend)
        raise InputError(
            f"{path}: the column {column!r} holds {', '.join(unknown[:_MANY])}{more}, which the map's legend does not "
            f"have ({known}); correct the points, or give --legend"
        )
    return np.array([(missing | indices)[text] for text in texts], dtype=np.int64)


def _pixels(frame: geopandas.GeoDataFrame, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column of every point, -1 for places that the grid's CRS does not have."""
    geometry = frame.to_crs(grid.crs.to_wkt()).geometry
    x, y = geometry.x.to_numpy(), geometry.y.to_numpy()
    a, b, c, d, e, f = tuple(~grid.transform)[:6]
    cols, rows = a * x + b * y + c, d * x + e * y + f
    there = np.isfinite(cols) & np.isfinite(rows) & (np.abs(cols) < 2**53) & (np.abs(rows) < 2**53)
    return tuple(np.where(there, np.floor(np.where(there, v, 0)), -1).astype(np.int64) for v in (rows, cols))  # type: ignore[return-value]
