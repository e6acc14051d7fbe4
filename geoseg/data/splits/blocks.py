"""Blocks: the pieces of ground that a split deals out, and which labelled pixels lie in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray
from pyogrio.errors import DataLayerError, DataSourceError

from geoseg.core.grid import Grid, Window
from geoseg.data.ground import ClassMap
from geoseg.data.splits.plane import SEGMENT_M, Plane
from geoseg.data.splits.regions import prepare
from geoseg.errors import InputError, MissingFileError
from geoseg.io.dataset import first_line

MAX_BLOCKS = 200_000
"""More cells than this are refused: each costs about a kilobyte, and dealing them a tenth of a millisecond."""

_STRIP_PIXELS = 2**21
_OVERLAP_SHARE = 1e-3  # of the smaller polygon: borders drawn twice by hand overlap by slivers, which do no harm
_DEGREE_M = 111_320.0  # of a meridian, about
_NO_BLOCK = -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A piece of ground that is dealt out as a whole: a (multi)polygon in the split's plane, and a unique name."""

    name: str
    polygon: shapely.Polygon | shapely.MultiPolygon

    def __post_init__(self) -> None:
        if isinstance(self.polygon, shapely.MultiPolygon) and len(self.polygon.geoms) == 1:
            object.__setattr__(self, "polygon", self.polygon.geoms[0])


def polygons_of(blocks: Sequence[Block]) -> NDArray[np.object_]:
    """The polygons of blocks, shape (block,)."""
    polygons = np.empty(len(blocks), dtype=np.object_)
    polygons[:] = [block.polygon for block in blocks]
    return polygons


def cells(plane: Plane, grids: Sequence[Grid], block_m: float) -> tuple[Block, ...]:
    """Square blocks that cover all grids: cells of the ground, so that every scene of it gets the same ones.

    The plane's centre is the middle of a cell. A cell's name is its place counted in cells northward and eastward
    from there, such as "+3-2".

    Args:
        plane: where blocks are.
        grids: the ground to cover.
        block_m: side of a cell in m.

    Raises:
        InputError: more than `MAX_BLOCKS` cells.
    """
    places: set[tuple[int, int]] = set()
    for grid in grids:
        footprint = plane.footprint(grid)
        number = footprint.area / block_m**2
        if number > MAX_BLOCKS:
            raise _too_many(number, block_m)
        places.update(_cells_of(footprint, block_m))
    if len(places) > MAX_BLOCKS:
        raise _too_many(len(places), block_m)
    return tuple(_cell(north, east, block_m) for north, east in sorted(places))


def _too_many(number: float, block_m: float) -> InputError:
    least = block_m * math.sqrt(number / MAX_BLOCKS)
    return InputError(
        f"block_m {block_m:g} makes {number:.0f} blocks, at most {MAX_BLOCKS} can be dealt; "
        f"choose one above {least:.0f}"
    )


def _cells_of(footprint: shapely.Polygon, block_m: float) -> list[tuple[int, int]]:
    left, bottom, right, top = (round(edge / block_m) for edge in footprint.bounds)
    norths, easts = (part.ravel() for part in np.mgrid[bottom : top + 1, left : right + 1])
    half = block_m / 2
    x, y = easts * block_m, norths * block_m
    shapely.prepare(footprint)
    touched = footprint.intersects(shapely.box(x - half, y - half, x + half, y + half))
    return list(zip(norths[touched].tolist(), easts[touched].tolist(), strict=True))


def _cell(north: int, east: int, block_m: float) -> Block:
    # corners of neighbours are the same number by the same sum
    left, right = ((east + side) * block_m for side in (-0.5, 0.5))
    bottom, top = ((north + side) * block_m for side in (-0.5, 0.5))
    return Block(name=f"{north:+d}{east:+d}", polygon=shapely.box(left, bottom, right, top))


def blocks_by_attribute(plane: Plane, grids: Sequence[Grid], values: Sequence[str]) -> tuple[Block, ...]:
    """One block for each value of an attribute of the scenes: the ground of all scenes with that value.

    Ground that scenes of different values share belongs to no block: it can be neither the one's nor the other's
    without leaking. Where that would waste much, give polygons instead.

    Args:
        plane: where blocks are.
        grids: of the scenes.
        values: of the attribute, one a scene.

    Raises:
        InputError: a scene without a value, or a value whose ground is wholly shared with others.
    """
    if len(values) != len(grids) or not all(values):
        without = [str(i) for i, value in enumerate(values, start=1) if not value] or ["all"]
        raise InputError(
            f"{len(grids)} scenes need a value of the split's attribute each; missing for scene "
            f"{', '.join(without)}: give every scene one"
        )
    footprints = np.array([plane.footprint(grid) for grid in grids], dtype=np.object_)
    names = np.array(values, dtype=np.object_)
    ground = {name: shapely.union_all(footprints[names == name]) for name in sorted(set(values))}
    blocks = []
    for name, own in ground.items():
        others = [other for value, other in ground.items() if value != name]
        rest = polygonal(own.difference(shapely.union_all(others)))
        if rest.is_empty:
            raise InputError(f"all ground of {name!r} is also covered by other scenes: give polygons, or use block_m")
        blocks.append(Block(name=name, polygon=rest))
    return tuple(blocks)


def blocks_from_file(plane: Plane, path: Path, name_column: str | None = None) -> tuple[Block, ...]:
    """The polygons of a vector file as blocks; rows of one name are one block.

    Args:
        plane: where blocks are.
        path: any vector file that GDAL reads, or GeoParquet, in any CRS.
        name_column: the attribute with the names; without one, blocks are named by their row, from 1.

    Raises:
        MissingFileError: no such file.
        InputError: no readable polygons, no such column, a row without a name, or polygons that overlap by more
            than a thousandth of the smaller one.
    """
    frame = _read(path, name_column)
    longest = SEGMENT_M / (_DEGREE_M if frame.crs.is_geographic else 1)  # edges are straight in the file's own CRS
    frame = frame.set_geometry(shapely.make_valid(shapely.segmentize(frame.geometry.to_numpy(), longest)))
    frame = frame.to_crs(plane.crs)
    if not np.isfinite(frame.total_bounds).all():
        raise InputError(f"{path}: some polygons do not exist around the scenes; check the file's CRS")
    rows: dict[str, list[shapely.Geometry]] = {}
    for name, geometry in zip(_names(path, frame, name_column), frame.geometry, strict=True):
        rows.setdefault(name, []).append(geometry)
    blocks = tuple(
        Block(name=name, polygon=polygonal(parts[0] if len(parts) == 1 else shapely.union_all(parts)))
        for name, parts in rows.items()
    )
    check_apart(blocks, str(path))
    return blocks


def check_apart(blocks: Sequence[Block], source: str) -> None:
    """Refuse blocks that overlap by more than a thousandth of the smaller one.

    Raises:
        InputError: naming two that do.
    """
    polygons = polygons_of(blocks)
    shapely.prepare(polygons)
    first, second = shapely.STRtree(polygons).query(polygons, predicate="intersects")
    first, second = first[first < second], second[first < second]
    shared = shapely.area(shapely.intersection(polygons[first], polygons[second]))
    smaller = np.minimum(shapely.area(polygons[first]), shapely.area(polygons[second]))
    overlapping = np.flatnonzero(shared > _OVERLAP_SHARE * smaller)
    if len(overlapping):
        i = overlapping[0]
        more = f", and {len(overlapping) - 1} other pairs" if len(overlapping) > 1 else ""
        raise InputError(
            f"{source}: the blocks {blocks[first[i]].name!r} and {blocks[second[i]].name!r} overlap by "
            f"{shared[i] / 1e6:.3g} km²{more}; blocks must lie apart: mend the polygons"
        )


def _read(path: Path, column: str | None) -> geopandas.GeoDataFrame:
    """The polygons of a file in its own CRS, and the column wanted."""
    if not path.exists():
        raise MissingFileError(f"{path}: there is no such file; check the path")
    try:
        frame = geopandas.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_layer(path, column)
    except (DataLayerError, DataSourceError, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as a vector file ({first_line(error)}); give polygons") from error
    if column is not None and column not in frame.columns:
        raise InputError(f"{path}: has no column {column!r}; name the one with the blocks' names, or none")
    frame = frame[~(frame.geometry.isna() | frame.geometry.is_empty)].reset_index(drop=True)
    if frame.empty or not set(frame.geometry.geom_type) <= {"Polygon", "MultiPolygon"} or frame.crs is None:
        raise InputError(f"{path}: blocks must be polygons with a CRS, at least one; give such a file")
    return frame


def _read_layer(path: Path, column: str | None) -> geopandas.GeoDataFrame:
    layers = [name for name, geometry in pyogrio.list_layers(path) if geometry is not None]
    if column is not None and len(layers) > 1:
        layers = [name for name in layers if column in pyogrio.read_info(path, layer=name)["fields"]]
    if len(layers) != 1:
        which = "with geometries" if column is None else f"with a column {column!r}"
        raise InputError(f"{path}: has {len(layers)} layers {which}; give a file with one")
    return pyogrio.read_dataframe(path, layer=layers[0])


def _names(path: Path, frame: geopandas.GeoDataFrame, column: str | None) -> list[str]:
    if column is None:
        return [str(row) for row in range(1, len(frame) + 1)]
    missing = frame[column].isna() | (frame[column].astype(str).str.strip() == "")
    if missing.any():
        raise InputError(f"{path}: {missing.sum()} polygons have nothing in {column!r}; give each block a name")
    return [str(name) for name in frame[column]]


def polygonal(geometry: Any) -> shapely.Polygon | shapely.MultiPolygon:  # noqa: ANN401
    """The areas of a geometry, without the lines and points that overlays and repairs leave."""
    parts = [part for part in shapely.get_parts(shapely.get_parts(geometry)) if isinstance(part, shapely.Polygon)]
    return shapely.MultiPolygon(parts) if len(parts) != 1 else parts[0]


def count_blocks(plane: Plane, blocks: Sequence[Block], maps: Sequence[ClassMap], classes: int) -> NDArray[np.int64]:
    """Labelled pixels of each class in every block, shape (block, class), read strip by strip."""
    regions = prepare(plane, polygons_of(blocks), np.arange(len(blocks)))
    counts = np.zeros((len(blocks), classes), dtype=np.int64)
    for grid, labels in strips(maps):
        owners = regions.paint(grid, fill=_NO_BLOCK, dtype=np.int32)
        known = (labels < classes) & (owners != _NO_BLOCK)
        keys = owners[known].astype(np.int64) * classes + labels[known]
        counts += np.bincount(keys, minlength=counts.size).reshape(counts.shape)
    return counts


def strips(maps: Sequence[ClassMap]) -> Iterator[tuple[Grid, NDArray[np.uint8]]]:
    """Every map in strips of about two million pixels: their grids, and their class indices (row, col)."""
    for classes in maps:
        with classes.reader() as reader:
            for window in strip_windows(classes.grid):
                yield classes.grid[window], reader.read(window)


def strip_windows(grid: Grid) -> Iterator[Window]:
    """Windows of full width and about two million pixels."""
    return grid.windows(max(16, _STRIP_PIXELS // grid.width))
