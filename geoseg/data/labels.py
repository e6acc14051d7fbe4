"""Ground truth on a scene's grid: label rasters and label polygons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rasterio.features import rasterize

from geoseg.core.grid import Grid
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.errors import InputError
from geoseg.io.raster import read_labels_on
from geoseg.io.vector import VECTOR_SUFFIXES, read_polygons


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSource:
    """Where labels come from: a label raster of class codes, or polygons whose `column` holds class names or codes."""

    path: Path
    column: str | None = None


def read_labels(source: LabelSource, grid: Grid, legend: Legend) -> NDArray[np.uint8]:
    """Class indices of `legend` on `grid`, shape (row, col), 255 = unlabelled; from any CRS, rasters by nearest pixel.

    Raises:
        InputError: no labelled pixel on the grid, or codes or names that the legend does not have.
    """
    is_vector = source.column is not None or source.path.suffix.lower() in VECTOR_SUFFIXES
    codes = _burn(source, grid, legend) if is_vector else read_labels_on(source.path, grid)
    unknown = legend.unknown_codes(codes)
    if unknown:
        raise InputError(
            f"{source.path}: found the codes {', '.join(map(str, unknown))}, the legend has "
            f"{', '.join(map(str, legend.codes))}; add the missing classes or recode the labels"
        )
    if (codes == UNLABELLED).all():
        raise InputError(
            f"{source.path}: no labelled pixel lies on its scene; labels and scene must cover common ground"
        )
    return legend.to_indices(codes)


def _burn(source: LabelSource, grid: Grid, legend: Legend) -> NDArray[np.uint8]:
    if source.column is None:
        raise InputError(f"{source.path}: label polygons need the column that holds the class; name it as `column`")
    polygons = read_polygons(source.path, column=source.column, crs=grid.crs)
    code_of = {c.name: c.code for c in legend} | {str(c.code): c.code for c in legend}
    values = [_as_text(value) for value in polygons[source.column]]
    unknown = sorted(set(values) - set(code_of))
    if unknown:
        raise InputError(
            f"{source.path}: column {source.column!r} holds {', '.join(unknown)}, the legend has "
            f"{', '.join(f'{c.code} {c.name}' for c in legend)}; add the missing classes or rename"
        )
    shapes = [(geometry, code_of[value]) for geometry, value in zip(polygons.geometry, values, strict=True)]
    burnt: NDArray[np.uint8] = rasterize(
        shapes, out_shape=grid.shape, transform=grid.transform, fill=UNLABELLED, dtype=np.uint8
    )
    return burnt


def _as_text(value: object) -> str:
    """A class as text; whole floats are codes (integers become floats beside a missing value), NaN is "missing"."""
    if isinstance(value, float):
        return "missing" if np.isnan(value) else str(int(value)) if value.is_integer() else str(value)
    return "missing" if value is None else str(value)
