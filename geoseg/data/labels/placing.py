"""Label rasters beside the scene that they are read for: where their pixels lie, and whether they meet."""

from __future__ import annotations

import math
from pathlib import Path

from geoseg.core.grid import Grid, Window
from geoseg.core.placing import bounds_in, same_crs
from geoseg.errors import InputError


def shifted(window: Window, halo: tuple[int, int]) -> Window:
    """A window of a grid, counted on the same grid outgrown by a halo."""
    return Window(row=window.row + halo[0], col=window.col + halo[1], height=window.height, width=window.width)


def require_common_ground(path: Path, own: Grid, grid: Grid) -> None:
    """Refuse a raster whose bounds do not meet those of a grid, in the CRS of either.

    Raises:
        InputError: see above.
    """
    if _apart(own, grid) or _apart(grid, own):
        raise InputError(f"{path}: no labelled pixel lies on its scene; labels and scene must cover common ground")


def _apart(one: Grid, other: Grid) -> bool:
    left, bottom, right, top = one.bounds if same_crs(one.crs, other.crs) else bounds_in(one, other.crs)
    if not all(map(math.isfinite, (left, bottom, right, top))) or left > right:
        return False  # nothing can be said
    west, south, east, north = other.bounds
    return right <= west or left >= east or top <= south or bottom >= north
