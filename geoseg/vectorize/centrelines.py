"""Centre lines of roads, rivers and other long areas of a class raster, to a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.core.grid import Grid
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, OutputError
from geoseg.io.classmap import open_class_map
from geoseg.io.fingerprint import fingerprints
from geoseg.io.vector import VectorLayer, check_vector_output, write_features
from geoseg.vectorize.part import lengths_m
from geoseg.vectorize.skeleton import Paths, follow, thin

_MOST_PIXELS = 1 << 27  # all are in memory
_FIELDS = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("code", pa.int32(), nullable=False),
        pa.field("class", pa.string(), nullable=False),
        pa.field("length_m", pa.float64(), nullable=False),
        pa.field("width_m", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LineOptions:
    """Of which classes, by name, to draw lines, in which band, with which code as nodata (None = as the raster says).

    Spurs shorter than `spur_m` are left out; lines are simplified so that they move by at most `simplify_m`.
    """

    classes: tuple[str, ...]
    band: int = 1
    nodata: int | None = None
    spur_m: float = 0.0
    simplify_m: float = 0.0
    overwrite: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSummary:
    """What was written: number of lines, length in m by class name, and notes for the user, a sentence each."""

    out: str
    lines: int
    length_m: dict[str, float]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def draw_centrelines(raster: Path, out: Path, options: LineOptions) -> LineSummary:
    """Write the centre lines of some classes: their areas thinned to a pixel, followed between ends and junctions.

    Each class is thinned for itself. An area that is thinned to one pixel has no line. The whole raster is in memory.

    Args:
        raster: class codes of any integer type, with a CRS.
        out: the file, see `geoseg.io.vector.write_features`; not PMTiles.
        options: of what to draw lines, and how.

    Raises:
        MissingFileError: the raster is not there.
        InputError: see `open_class_map` and `ClassMap.labels_of`; or it has more than 134 million pixels.
        OutputError: the output exists, has an unknown suffix or cannot be written.
    """
    raster, out = Path(raster), Path(out)
    _check_output(out, raster, overwrite=options.overwrite)
    source = open_class_map(raster, band=options.band, nodata=options.nodata)
    pixels = source.grid.height * source.grid.width
    if pixels > _MOST_PIXELS:
        raise InputError(
            f"{raster}: has {pixels:,} pixels; centre lines take at most {_MOST_PIXELS:,}: cut it into parts"
        )
    layer = VectorLayer(
        name="centrelines",
        crs=source.grid.crs,
        fields=_FIELDS,
        provenance=Provenance.now(inputs=fingerprints((raster,)), command=options.command),
        geometry_type="LineString",
        pixel_m=min(source.grid.gsd_m),
    )
    labels = np.concatenate(list(source.strips()))
    names = {c.code: c.name for c in source.legend}
    length_m: dict[str, float] = {}
    batches, count = [], 0
    for label in source.labels_of(options.classes).tolist():
        code = int(source.codes[label])
        lines, length, area = _centrelines(labels == label, source.grid, options)
        ids = np.arange(count + 1, count + len(lines) + 1)
        columns = {"id": ids, "code": [code] * len(lines), "class": [names[code]] * len(lines)}
        batches.append(layer.batch(lines, {**columns, "length_m": length, "width_m": area / length}))
        length_m[names[code]] = length_m.get(names[code], 0.0) + float(length.sum())
        count += len(lines)
    notes = write_features(iter(batches), out, layer=layer)
    return LineSummary(out=str(out), lines=count, length_m=length_m, notes=(*source.notes, *notes))


def _check_output(out: Path, raster: Path, *, overwrite: bool) -> None:
    if out.resolve() == raster.resolve():
        raise OutputError(f"{out}: is the input of this run; choose another name")
    if out.suffix.lower() == ".pmtiles":
        raise OutputError(f"{out}: centre lines cannot be written as PMTiles; choose another suffix, such as .gpkg")
    check_vector_output(out, overwrite=overwrite)


def _centrelines(
    mask: NDArray[np.bool_], grid: Grid, options: LineOptions
) -> tuple[NDArray[np.object_], NDArray[np.float64], NDArray[np.float64]]:
    """Lines in CRS units, their lengths in m, and the areas in m² of the pixels that are nearest to each by steps."""
    steps = grid.pixel_steps_m()
    paths = _pruned(mask, steps, options.spur_m)
    area = np.zeros(len(paths))
    _spread(np.pad(mask, 1), paths.pixels + 1, paths.offsets, grid.pixel_areas_m2(), area)
    lines = shapely.from_ragged_array(shapely.GeometryType.LINESTRING, _middles(paths), (paths.offsets,))
    lines = shapely.simplify(lines, options.simplify_m / max(grid.gsd_m))
    coords = np.asarray(shapely.get_coordinates(lines), dtype=np.float64)
    offsets = np.concatenate([[0], np.cumsum(shapely.get_num_coordinates(lines))]).astype(np.int64)
    length = lengths_m(coords, offsets, np.arange(len(offsets)), *steps)
    a, b, c, d, e, f = grid.transform[:6]
    xy = np.column_stack([a * coords[:, 0] + b * coords[:, 1] + c, d * coords[:, 0] + e * coords[:, 1] + f])
    placed = shapely.from_ragged_array(shapely.GeometryType.LINESTRING, xy, (offsets,))
    return np.asarray(placed, dtype=np.object_), length, area


def _pruned(mask: NDArray[np.bool_], steps: tuple[NDArray[np.float64], NDArray[np.float64]], spur_m: float) -> Paths:
    """The lines of an area without short ones that hang on a junction, as long as there are any."""
    skeleton = thin(mask)
    while True:
        paths = follow(skeleton)
        length = lengths_m(_middles(paths), paths.offsets, np.arange(len(paths) + 1), *steps)
        spurs = np.flatnonzero((length < spur_m) & (paths.free.sum(axis=1) == 1))
        if not len(spurs):
            return paths
        for spur in spurs.tolist():
            line = paths.pixels[paths.offsets[spur] : paths.offsets[spur + 1]]
            skeleton[tuple((line[:-1] if paths.free[spur, 0] else line[1:]).T)] = False
        skeleton = thin(skeleton)


def _middles(paths: Paths) -> NDArray[np.float64]:
    """(x, y) of the middle of every pixel, in pixels."""
    return paths.pixels[:, ::-1].astype(np.float64) + 0.5


@compiled
def _spread(
    left: NDArray[np.bool_],
    pixels: NDArray[np.int64],
    offsets: NDArray[np.int64],
    row_area: NDArray[np.float64],
    area: NDArray[np.float64],
) -> None:
    """Add up the areas of the pixels of a padded mask by the line that they are reached from first; clears the mask."""
    row = np.empty(left.sum(), dtype=np.int64)
    col, owner = np.empty_like(row), np.empty_like(row)
    size = 0
    for line in range(len(offsets) - 1):
        for i in range(offsets[line], offsets[line + 1]):
            r, c = pixels[i]
            if left[r, c]:
                left[r, c] = False
                row[size], col[size], owner[size] = r, c, line
                size += 1
    at = 0
    while at < size:
        area[owner[at]] += row_area[row[at] - 1]
        for dr, dc in ((-1, 0), (0, 1), (1, 0), (0, -1), (-1, 1), (1, 1), (1, -1), (-1, -1)):
            r, c = row[at] + dr, col[at] + dc
            if left[r, c]:
                left[r, c] = False
                row[size], col[size], owner[size] = r, c, owner[at]
                size += 1
        at += 1
