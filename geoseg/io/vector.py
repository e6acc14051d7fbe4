"""Vector files: features of labels in, map polygons and sample points out: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON.

Features are written batch by batch, so that memory follows a batch and not the map; FlatGeobuf alone keeps its spatial
index in memory, about 200 bytes a polygon. pyogrio and rasterio each carry a GDAL of their own; no object passes
between them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import geopandas
import numpy as np
import pyarrow as pa
import pyogrio
import shapely
from numpy.typing import NDArray
from pyarrow import parquet
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError
from pyproj import CRS
from shapely.geometry.base import BaseGeometry

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, MissingFileError, OutputError
from geoseg.io.dataset import first_line
from geoseg.io.output import folder_beside
from geoseg.io.style import add_layer_style, points_qml, vector_qml

GEOMETRY = "geometry"
PROVENANCE_KEY = "geoseg_provenance"

_OGR_ERRORS = (DataLayerError, DataSourceError, FeatureError, FieldError, GeometryError)
_SIDE_CARS = (".shx", ".dbf", ".prj", ".cpg")  # of a Shapefile
_GEOJSON_DIGITS = 8  # about a millimetre


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorLayer:
    """A layer to write: its name, CRS, attribute fields and geometry type, and what is stored with it.

    `legend` gives the layer a style, where the format can hold one: polygons are coloured by their field `code`, points
    by their field `class`, which is to be filled in.
    """

    name: str
    crs: CRS
    fields: pa.Schema
    legend: Legend | None = None
    provenance: Provenance | None = None
    geometry_type: Literal["Polygon", "Point"] = "Polygon"

    @property
    def schema(self) -> pa.Schema:
        """The fields, then the geometry as WKB."""
        return self.fields.append(pa.field(GEOMETRY, pa.binary(), nullable=False))

    @property
    def provenance_json(self) -> str | None:
        """The provenance as every format stores it."""
        return None if self.provenance is None else json.dumps(self.provenance.to_dict(), sort_keys=True)

    def batch(self, geometries: NDArray[np.object_], columns: Mapping[str, Any]) -> pa.RecordBatch:
        """Geometries (shapely, in the layer's CRS) and their attributes, by field name, as a batch to write."""
        arrays = [pa.array(columns[field.name], type=field.type) for field in self.fields]
        arrays.append(pa.array(shapely.to_wkb(geometries), type=pa.binary()))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)


def check_vector_name(out: Path) -> None:
    """Refuse a name that no writer here can write.

    Raises:
        OutputError: for an unknown suffix, or marks in a folder's name that mean something else to pyogrio.
    """
    if out.suffix.lower() not in _WRITERS:
        known = ", ".join(VECTOR_SUFFIXES)
        raise OutputError(f"{out}: the suffix {out.suffix!r} is unknown; features can be written as {known}")
    if set("!;") & set(str(out.parent.absolute())):
        raise OutputError(f"{out}: '!' or ';' in a folder's name means something else to pyogrio; rename the folder")


def write_features(batches: Iterable[pa.RecordBatch], out: Path, *, layer: VectorLayer) -> tuple[str, ...]:
    """Write batches of features to a file whose suffix tells the format; it appears when it is complete.

    GeoPackage gets a default QGIS style from the legend. The provenance is stored as JSON: as layer metadata
    (`geoseg_provenance`) in GeoPackage, as file metadata of that name in GeoParquet, as the layer's description in
    FlatGeobuf and GeoJSON, which have no other place for it. GeoJSON is in WGS 84 (RFC 7946). No features at all make
    a valid file, too. A file that is there already is replaced.

    Args:
        batches: made by `layer.batch`; taken one after the other.
        out: a path that ends in one of `VECTOR_SUFFIXES`.
        layer: what the batches hold.

    Returns:
        What a user should know about the file, a sentence each.

    Raises:
        OutputError: see `check_vector_name`; or for a missing folder, or where writing fails.
    """
    check_vector_name(out)
    write = _WRITERS[out.suffix.lower()]
    try:
        with folder_beside(out) as folder:
            unfinished = folder / f"features{out.suffix.lower()}"  # a plain name: "!" and ";" mean something to pyogrio
            notes = write(batches, unfinished, layer)
            unfinished.replace(out)
    except (*_OGR_ERRORS, pa.ArrowException, sqlite3.Error, OSError) as error:
        if isinstance(error, (InputError, OutputError)):
            raise
        msg = f"{out}: cannot write features ({first_line(error)}); check the folder, the free space and the rights"
        raise OutputError(msg) from error
    return notes


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
    except (*_OGR_ERRORS, pa.ArrowException, OSError, ValueError) as error:
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
    schema = parquet.read_schema(path)
    geo = json.loads((schema.metadata or {}).get(b"geo", b"null"))
    if geo is None:
        raise InputError(f"{path}: cannot be read as a vector file (no GeoParquet metadata); give GeoParquet")
    main = geo["primary_column"]
    if column is not None and column not in schema.names:
        raise InputError(_no_column(path, column, [name for name in schema.names if name != main]))
    return geo["columns"][main].get("crs", "OGC:CRS84")


def _read_parquet(path: Path, columns: list[str], within: BaseGeometry | None) -> geopandas.GeoDataFrame:
    geo = json.loads(parquet.read_schema(path).metadata[b"geo"])
    main = geo["primary_column"]
    covered = "covering" in geo["columns"][main]
    bbox = within.bounds if within is not None and covered else None
    return geopandas.read_parquet(path, columns=[main, *columns], bbox=bbox)


def _write_geopackage(batches: Iterable[pa.RecordBatch], path: Path, layer: VectorLayer) -> tuple[str, ...]:
    metadata = None if layer.provenance_json is None else {PROVENANCE_KEY: layer.provenance_json}
    _write_ogr(batches, path, layer, driver="GPKG", layer_metadata=metadata)
    if layer.legend is not None:
        qml = vector_qml(layer.legend) if layer.geometry_type == "Polygon" else points_qml(layer.legend)
        add_layer_style(path, layer.name, qml)
    return ()


def _write_flatgeobuf(batches: Iterable[pa.RecordBatch], path: Path, layer: VectorLayer) -> tuple[str, ...]:
    _write_ogr(batches, path, layer, driver="FlatGeobuf", layer_options=_description(layer))
    return ()


def _write_geojson(batches: Iterable[pa.RecordBatch], path: Path, layer: VectorLayer) -> tuple[str, ...]:
    options = {"RFC7946": "YES", "COORDINATE_PRECISION": str(_GEOJSON_DIGITS), **_description(layer)}
    _write_ogr(batches, path, layer, driver="GeoJSON", layer_options=options)
    if layer.crs == CRS.from_epsg(4326):
        return ()
    return (f"{path.name}: coordinates are in WGS 84 (EPSG:4326), as GeoJSON demands, not in {layer.crs.name}",)


def _description(layer: VectorLayer) -> dict[str, str]:
    return {} if layer.provenance_json is None else {"DESCRIPTION": layer.provenance_json}


def _write_ogr(
    batches: Iterable[pa.RecordBatch],
    path: Path,
    layer: VectorLayer,
    *,
    driver: str,
    layer_metadata: dict[str, str] | None = None,
    layer_options: dict[str, str] | None = None,
) -> None:
    relay = _Relay(batches)
    try:
        pyogrio.write_arrow(
            pa.RecordBatchReader.from_batches(layer.schema, relay),
            path,
            layer=layer.name,
            driver=driver,
            geometry_name=GEOMETRY,
            geometry_type=layer.geometry_type,
            crs=layer.crs.to_wkt(),
            layer_metadata=layer_metadata,
            layer_options=layer_options or {},
        )
    finally:
        relay.check()
    _verify(path, layer, relay.rows)


def _verify(path: Path, layer: VectorLayer, rows: int) -> None:
    """Read the file again: GDAL writes much of it on closing, where pyogrio overlooks a full disk."""
    anything = {"layer": layer.name, "columns": layer.fields.names[:1], "read_geometry": False, "use_pyarrow": True}
    with pyogrio.open_arrow(path, **anything) as (_, reader):
        found = sum(batch.num_rows for batch in reader)
    has_index = pyogrio.read_info(path, layer=layer.name)["capabilities"]["fast_spatial_filter"]
    if found != rows or (path.suffix.lower() == ".gpkg" and not has_index):
        msg = f"{path.name}: only {found} of {rows} features or no spatial index could be written; free some disk space"
        raise OutputError(msg)


class _Relay:
    """Batches for a reader in C, which would swallow the type of an error; `check` raises it again."""

    def __init__(self, batches: Iterable[pa.RecordBatch]) -> None:
        self.rows = 0
        self._batches = batches
        self._error: BaseException | None = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        try:
            for batch in self._batches:
                self.rows += batch.num_rows
                yield batch
        except (Exception, KeyboardInterrupt) as error:
            self._error = error
            raise

    def check(self) -> None:
        if self._error is not None:
            raise self._error


def _write_parquet(batches: Iterable[pa.RecordBatch], path: Path, layer: VectorLayer) -> tuple[str, ...]:
    """GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0), a row group a batch; the bounds are known at the end."""
    bounds: list[NDArray[np.float64]] = []
    with parquet.ParquetWriter(path, layer.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            bounds.append(shapely.total_bounds(shapely.from_wkb(batch.column(GEOMETRY).to_numpy(zero_copy_only=False))))
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": [layer.geometry_type],
            "crs": layer.crs.to_json_dict(),
            "edges": "planar",
            "orientation": "counterclockwise",
        }
        if bounds:
            corners = np.array(bounds)
            column["bbox"] = [*corners[:, :2].min(axis=0).tolist(), *corners[:, 2:].max(axis=0).tolist()]
        geo = {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
        metadata = {"geo": json.dumps(geo)}
        if layer.provenance_json is not None:
            metadata[PROVENANCE_KEY] = layer.provenance_json
        writer.add_key_value_metadata(metadata)
    return ()


_WRITERS: dict[str, Callable[[Iterable[pa.RecordBatch], Path, VectorLayer], tuple[str, ...]]] = {
    ".gpkg": _write_geopackage,
    ".fgb": _write_flatgeobuf,
    ".parquet": _write_parquet,
    ".geojson": _write_geojson,
}
VECTOR_SUFFIXES = tuple(_WRITERS)
