"""Features out of vector files: labels, areas of interest, regions, points."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from pyarrow import parquet
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from geoseg.errors import InputError, MissingFileError
from geoseg.io.dataset import first_line
from geoseg.io.vector.ogr import OGR_ERRORS

_SIDE_CARS = (".shx", ".dbf", ".prj", ".cpg")  # of a Shapefile


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSource:
    """A layer of features to read: its file, its name there (None for GeoParquet), its CRS, and the column wanted."""

    path: Path
    layer: str | None
    crs: CRS
    column: str | None = None


def find_features(path: Path, *, column: str | None = None, layer: str | None = None) -> FeatureSource:
    """Find a layer of features with a CRS in a file, without reading any.

    Args:
        path: any vector file that GDAL reads, or GeoParquet.
        column: an attribute that the layer must have; where a file has several layers, the one with it is taken.
        layer: the name of the layer, where the column does not tell it.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no vector file, or has no such layer or column, or no CRS.
    """
    if not path.exists():
        raise MissingFileError(f"{path}: there is no such file; check the path")
    with _reading(path):
        if path.suffix.lower() == ".parquet":
            name, crs = None, _parquet_crs(path, column, layer)
        else:
            name, crs = _find_layer(path, column, layer)
    if crs is None:
        raise InputError(f"{path}: has no CRS; assign the one in which its coordinates are, e.g. with ogr2ogr -a_srs")
    return FeatureSource(path=path, layer=name, crs=CRS.from_user_input(crs), column=column)


def read_features(source: FeatureSource, within: BaseGeometry | None = None) -> geopandas.GeoDataFrame:
    """Read the features of a layer in file order, geometry and wanted column; those without a geometry are left out.

    Args:
        source: see `find_features`.
        within: a polygon in the layer's CRS; only features whose bounding box meets its own are read (GeoParquet
            without a bbox column is read whole first).

    Raises:
        InputError: if the file is damaged.
    """
    columns = [] if source.column is None else [source.column]
    with _reading(source.path):
        if source.layer is None:
            frame = _read_parquet(source.path, columns, within)
        else:
            options = {"columns": columns, "mask": within, "fid_as_index": True}
            frame = pyogrio.read_dataframe(source.path, layer=source.layer, **options).sort_index()
    there = ~(frame.geometry.isna() | frame.geometry.is_empty)
    if within is not None:
        there &= shapely.intersects(shapely.box(*frame.geometry.bounds.to_numpy().T), within)
    return frame[there].reset_index(drop=True)


def holds_features(source: FeatureSource) -> bool:
    """True where a layer holds anything at all."""
    with _reading(source.path):
        if source.layer is None:
            rows: int = parquet.read_metadata(source.path).num_rows
            return rows > 0
        count: int = pyogrio.read_info(source.path, layer=source.layer, force_feature_count=True)["features"]
        return count > 0


def files_of(path: Path) -> list[Path]:
    """The files that a vector file is stored in: one, a Shapefile's side-cars too, or all in a folder, sorted."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    others = [path.with_suffix(suffix) for suffix in _SIDE_CARS] if path.suffix.lower() == ".shp" else []
    return [path, *(other for other in others if other.is_file())]


def read_polygons(path: Path, *, column: str, crs: CRS) -> geopandas.GeoDataFrame:
    """Read all polygons of a file and bring them to `crs`; rows without a geometry are left out.

    Where a file has several layers of polygons, the one that has the column is read.

    Args:
        path: any vector file that GDAL reads, or GeoParquet.
        column: the attribute that holds the class.
        crs: CRS wanted.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no vector file, or has no such column, no polygons or no CRS, or does not fit `crs`.
    """
    frame = read_features(find_features(path, column=column))
    if frame.empty:
        raise InputError(f"{path}: holds no polygons; give a file with at least one")
    others = sorted(set(frame.geometry.geom_type) - {"Polygon", "MultiPolygon"})
    if others:
        raise InputError(f"{path}: holds geometries of type {', '.join(others)}; labels must be polygons")
    frame = frame.to_crs(crs)
    if not np.isfinite(frame.total_bounds).all():
        msg = f"{path}: some polygons do not exist in the CRS {crs.name!r}; check that they cover the scene"
        raise InputError(msg)
    return frame


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (*OGR_ERRORS, pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        msg = f"{path}: cannot be read as a vector file ({first_line(error)}); give one, such as a GeoPackage"
        raise InputError(msg) from error


def _find_layer(path: Path, column: str | None, wanted: str | None) -> tuple[str, str | None]:
    """Name and CRS of the layer with the column."""
    layers = [name for name, geometry in pyogrio.list_layers(path) if geometry is not None]
    if not layers:
        raise InputError(f"{path}: has no layer with geometries; give a file that has one")
    if wanted is not None and wanted not in layers:
        raise InputError(f"{path}: has no layer {wanted!r}; it has {', '.join(layers)}")
    infos = {name: pyogrio.read_info(path, layer=name) for name in ([wanted] if wanted is not None else layers)}
    fitting = [name for name, info in infos.items() if column is None or column in info["fields"]]
    if len(fitting) > 1:
        why = "can be meant" if column is None else f"all have a column {column!r}"
        raise InputError(
            f"{path}: the layers {', '.join(fitting)} {why}; name one of them as `layer`, or give a file with one"
        )
    if not fitting:
        raise InputError(_no_column(path, column, [str(field) for info in infos.values() for field in info["fields"]]))
    return fitting[0], infos[fitting[0]]["crs"]


def _no_column(path: Path, column: str | None, columns: list[str]) -> str:
    return f"{path}: has no column {column!r}; it has {', '.join(columns) or 'none'}; name the one with the classes"


def _parquet_crs(path: Path, column: str | None, layer: str | None) -> Any:  # noqa: ANN401
    """The CRS as GeoParquet 1.1 stores it: PROJJSON, null = unknown, absent = OGC:CRS84."""
    if layer is not None:
        raise InputError(f"{path}: has no layer {layer!r}, as GeoParquet has no layers; leave out `layer`")
    geo, schema = _geo_metadata(path), parquet.read_schema(path)
    if geo is None:
        raise InputError(f"{path}: cannot be read as a vector file (no GeoParquet metadata); give GeoParquet")
    main = geo["primary_column"]
    if column is not None and column not in schema.names:
        raise InputError(_no_column(path, column, [name for name in schema.names if name != main]))
    return geo["columns"][main].get("crs", "OGC:CRS84")


def _geo_metadata(path: Path) -> Any:  # noqa: ANN401
    """Of the file: what is added when a file is closed, as by streaming writers, is not in the schema."""
    return json.loads((parquet.read_metadata(path).metadata or {}).get(b"geo", b"null"))


def _read_parquet(path: Path, columns: list[str], within: BaseGeometry | None) -> geopandas.GeoDataFrame:
    geo = _geo_metadata(path)
    main = geo["primary_column"]
    covered = "covering" in geo["columns"][main]
    bbox = within.bounds if within is not None and covered else None
    return geopandas.read_parquet(path, columns=[main, *columns], bbox=bbox)


def read_table(source: FeatureSource, columns: Sequence[str]) -> pa.Table:
    """Some attributes of all features in file order, without geometries; columns that are not there are left out.

    Raises:
        InputError: if the file is damaged.
    """
    with _reading(source.path):
        if source.layer is None:
            there = parquet.read_schema(source.path).names
            return parquet.read_table(source.path, columns=[name for name in columns if name in there])
        there = pyogrio.read_info(source.path, layer=source.layer)["fields"]
        wanted = [name for name in columns if name in there]
        _, table = pyogrio.read_arrow(source.path, layer=source.layer, columns=wanted, read_geometry=False)
        return table.select(wanted)
