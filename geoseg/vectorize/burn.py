"""Polygons back to a class raster: what `polygonize` has made of one gives the same pixels again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from rasterio.features import rasterize

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import LandClass, Legend
from geoseg.core.placing import move, surroundings, to_pixels
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, OutputError
from geoseg.io.dataset import open_raster
from geoseg.io.fingerprint import fingerprints
from geoseg.io.legend import name_codes
from geoseg.io.output import check_writable, folder_beside
from geoseg.io.raster import RasterSpec, RasterWriter, read_grid, write_cog
from geoseg.io.shapes import POLYGON, simple_parts
from geoseg.io.vector import FeatureSource, files_of, find_features, read_features, read_table

_ROWS = 1024
_SUFFIXES = (".tif", ".tiff")
_NOTHING = -1
_WITH_PALETTE = ("uint8", "uint16")  # what GeoTIFF can hold
_BITS = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnOptions:
    """What to burn: the attribute with the class codes, and the layer (None = the one that has this attribute).

    `legend` says what codes mean; None = their attribute `class`, and the colours of the raster that is the model.
    """

    column: str = "code"
    layer: str | None = None
    legend: Legend | None = None
    overwrite: bool = False
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BurnSummary:
    """What was written: pixels by class name, pixels without a class, data type and nodata value."""

    out: str
    pixels: dict[str, int]
    nodata_pixels: int
    dtype: str
    nodata: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def burn_polygons(polygons: Path, like: Path, out: Path, options: BurnOptions = BurnOptions()) -> BurnSummary:
    """Write a class raster on the grid of another one, as a COG with palette and class names.

    A pixel gets the class of the polygon that its centre lies in, of several the last in the file. Data type and nodata
    value are those of `like`, where that is a single band of integers that can hold them; else the smallest that can.

    Memory follows the polygons that touch a strip of 1024 rows.

    Args:
        polygons: any vector file that GDAL reads, or GeoParquet, in any CRS.
        like: a raster.
        out: a path that ends in .tif.
        options: what to burn.

    Raises:
        MissingFileError: an input is not there.
        InputError: an input cannot be read, is in no CRS, or holds what are no polygons with codes.
        OutputError: the output exists, has another suffix or cannot be written.
    """
    polygons, like, out = Path(polygons), Path(like), Path(out)
    _check_output(out, (polygons, like), overwrite=options.overwrite)
    source = find_features(polygons, column=options.column, layer=options.layer)
    grid = read_grid(like)
    table = read_table(source, [options.column, "class"])
    codes = _codes(table, source)
    legend = options.legend or _legend(table, codes, like)
    dtype, nodata = _storage(codes, like)
    provenance = Provenance.now(inputs=fingerprints((*files_of(polygons), like)), command=options.command)
    spec = _spec(grid, legend, dtype, nodata, provenance)
    counts = np.zeros(len(codes) + 1, dtype=np.int64)
    with folder_beside(out) as folder:
        with RasterWriter(folder / "codes.tif", spec) as writer:
            for window, labels in _painted(source, grid, codes):
                counts += np.bincount(labels.ravel() + 1, minlength=len(counts))
                table_of_codes = np.concatenate([codes, [nodata]]).astype(dtype)
                writer.write(window, table_of_codes[labels])  # label -1 is the last entry
        write_cog(folder / "codes.tif", out, spec)
    by_code = dict(zip(codes.tolist(), counts[1:].tolist(), strict=True))
    return BurnSummary(
        out=str(out),
        pixels={c.name: by_code[c.code] for c in legend if c.code in by_code},
        nodata_pixels=int(counts[0]),
        dtype=dtype,
        nodata=nodata,
    )


def _check_output(out: Path, inputs: tuple[Path, ...], *, overwrite: bool) -> None:
    if out.suffix.lower() not in _SUFFIXES:
        raise OutputError(f"{out}: unknown suffix {out.suffix!r}; rasters can be written as {', '.join(_SUFFIXES)}")
    if out.resolve() in {path.resolve() for path in inputs}:
        raise OutputError(f"{out}: is an input of this run; choose another name")
    check_writable(out, overwrite=overwrite)


def _codes(table: pa.Table, source: FeatureSource) -> NDArray[np.int32]:
    """The codes that occur, rising."""
    if not table.num_rows:
        raise InputError(f"{source.path}: holds no polygons; give a file with at least one")
    values = table.column(0).unique().to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iuf" or not (np.isfinite(values) & (values % 1 == 0)).all():
        raise InputError(
            f"{source.path}: the attribute {source.column!r} holds other things than class codes, which are integers; "
            "name the one with the codes with --column"
        )
    if values.min() < _BITS.min or values.max() > _BITS.max:
        raise InputError(f"{source.path}: holds codes of more than 32 bits in {source.column!r}; recode them")
    return np.sort(values).astype(np.int32)


def _legend(table: pa.Table, codes: NDArray[np.int32], like: Path) -> Legend:
    """Names from the attribute `class`, where each code has one of its own; else, and colours, as the raster says."""
    told = {c.code: c for c in name_codes(like, 1, codes.tolist()).legend}
    names: dict[int, str] = {}
    if "class" in table.column_names:
        pairs = table.group_by(table.column_names).aggregate([])
        names = dict(zip(*(pairs.column(i).to_pylist() for i in range(2)), strict=True))
    if len(set(names.values())) < len(codes) or not all(isinstance(name, str) for name in names.values()):
        names = {}
    return Legend(
        tuple(
            LandClass(code=code, name=names.get(code, told[code].name), colour=told[code].colour)
            for code in codes.tolist()
        )
    )


def _storage(codes: NDArray[np.int32], like: Path) -> tuple[str, int]:
    """Data type and nodata value of the raster."""
    with open_raster(like) as dataset:
        dtype, nodata, bands = np.dtype(dataset.dtypes[0]), dataset.nodatavals[0], dataset.count
    choices: list[tuple[np.dtype[Any], int | None]] = [(np.dtype(name), None) for name in ("uint8", "uint16", "int32")]
    if bands == 1 and dtype.kind in "iu" and dtype.itemsize <= 4:
        told = int(nodata) if nodata is not None and float(nodata).is_integer() else None
        choices = [(dtype, told), (dtype, None), *choices]
    for kind, value in choices:
        limits = np.iinfo(kind)
        for candidate in (limits.max, limits.min) if value is None else (value,):
            fits = limits.min <= min(codes[0], candidate) and max(codes[-1], candidate) <= limits.max
            if fits and candidate not in codes:
                return str(kind), int(candidate)
    raise InputError(f"the codes from {codes[0]} to {codes[-1]} leave no nodata value in 32 bits; recode them")


def _spec(grid: Grid, legend: Legend, dtype: str, nodata: int, provenance: Provenance) -> RasterSpec:
    coloured = dtype in _WITH_PALETTE
    palette = {c.code: (*c.rgb, 255) for c in legend} | {nodata: (0, 0, 0, 0)}
    return RasterSpec(
        grid=grid,
        dtype=dtype,
        band_names=("class",),
        nodata=nodata,
        palette=palette if coloured else None,
        class_names={c.code: c.name for c in legend} if coloured else {},
        tags={"GEOSEG_PROVENANCE": json.dumps(provenance.to_dict(), sort_keys=True)},
        overviews="mode",
    )


def _painted(source: FeatureSource, grid: Grid, codes: NDArray[np.int32]) -> Iterator[tuple[Window, NDArray[np.int32]]]:
    """Strips of the grid from top to bottom with the position of each pixel's code, -1 where there is none."""
    for window in grid.windows(_ROWS):
        part = grid[window]
        around = surroundings(part, (0, 0), source.crs)
        frame = read_features(source, around) if around is not None else None
        labels = np.full(window.shape, _NOTHING, dtype=np.int32)
        if frame is not None and len(frame):
            shapes, owners = simple_parts(shapely.force_2d(frame.geometry.to_numpy()))
            if (shapely.get_type_id(shapes) != POLYGON).any():
                raise InputError(f"{source.path}: holds geometries that are no polygons; only polygons can be burnt")
            positions = np.searchsorted(codes, frame[source.column].to_numpy())[owners]
            placed = to_pixels(move(shapes, source.crs, part), part)
            pairs = zip(placed, positions.tolist(), strict=True)
            rasterize(pairs, out=labels)
        yield window, labels
