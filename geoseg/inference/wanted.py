"""Where a map is wanted: everywhere, or in an area of interest; and which tiles that takes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoseg.core.grid import Window
from geoseg.core.raster import Raster
from geoseg.core.tiling import Tile, TilePlan
from geoseg.errors import InputError
from geoseg.inference.contract import Fit
from geoseg.io.area import Area, open_area
from geoseg.io.reader import size_ratios
from geoseg.io.vector import files_of

_MARGIN = 2.0  # pixels, of the larger grid: no resampling takes from farther away
_BLOCK = 1024


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wanted:
    """An area of interest: where to infer, on the working grid, and where the results are to be; None = everywhere.

    Where results come back to the scene's grid, inference goes a little farther than they do, so that their pixels are
    those of a map of everything.
    """

    inferred: Area | None = None
    results: Area | None = None


def open_wanted(aoi: Path | None, fit: Fit, *, to_scene: bool) -> Wanted:
    """Place an area of interest on the grids of a fitted scene.

    Args:
        aoi: a vector file; None = everything is wanted.
        fit: the scene.
        to_scene: results come back from the working grid to the scene's own.

    Raises:
        MissingFileError: the file is not there.
        InputError: see `open_area`; or no pixel has its centre in the area.
    """
    if aoi is None:
        return Wanted()
    path, grid = Path(aoi), fit.source.grid if to_scene else fit.scene.grid
    results = open_area(path, grid)
    if not any(results.inside(window).any() for window in grid.windows(_BLOCK, _BLOCK)):
        raise InputError(f"{path}: no pixel of the map has its centre in the area of interest; draw it on the scene")
    if not to_scene:
        return Wanted(inferred=results, results=results)
    margin = _MARGIN * max(1.0, *size_ratios(fit.scene.grid, grid))
    return Wanted(inferred=open_area(path, fit.scene.grid, margin_px=margin), results=results)


def area_files(aoi: Path | None) -> tuple[Path, ...]:
    """The files of an area of interest, if there is one."""
    return () if aoi is None else tuple(files_of(Path(aoi)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """The tiles of a plan that meet an area, and how many pixels of the grid lie in it."""

    plan: TilePlan
    tiles: tuple[Tile, ...]
    pixels: int

    @property
    def redundancy(self) -> float:
        """Pixels in these tiles over pixels in the area."""
        return self.pixels_read / self.pixels

    @property
    def pixels_read(self) -> int:
        """Pixels in these tiles, twice where two overlap."""
        return len(self.tiles) * self.plan.tile_pixels

    def valid_tiles(self, preview: Raster | None) -> int:
        """How many of the tiles hold valid pixels, as far as a decimated read of the whole grid shows."""
        if preview is None:
            return len(self.tiles)
        grid = self.plan.rows.length, self.plan.cols.length
        return sum(bool(preview.valid[_decimated(tile.read, grid, preview.valid.shape)].any()) for tile in self.tiles)


def reach_of(plan: TilePlan, area: Area | None) -> Reach:
    """Look where the tiles of a plan meet an area; None = everywhere."""
    if area is None:
        return Reach(plan=plan, tiles=tuple(plan), pixels=plan.rows.length * plan.cols.length)
    tiles, pixels = [], 0
    for tile in plan:
        inside = area.inside(tile.read)
        if inside.any():
            tiles.append(tile)
            pixels += int(inside[tile.keep.within(tile.read).slices].sum())
    return Reach(plan=plan, tiles=tuple(tiles), pixels=pixels)


def _decimated(window: Window, shape: tuple[int, int], smaller: tuple[int, ...]) -> tuple[slice, slice]:
    """A window of a grid in an array of fewer rows and columns of the same ground; of each, one at least."""
    rows, cols = (length / of for length, of in zip(smaller, shape, strict=True))
    return (
        slice(int(window.row * rows), int(np.ceil(window.row_end * rows))),
        slice(int(window.col * cols), int(np.ceil(window.col_end * cols))),
    )
