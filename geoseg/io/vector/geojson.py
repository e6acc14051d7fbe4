"""GeoJSON (RFC 7946), and sequences of its features: a line each, or as RFC 8142 separates them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyproj import CRS

from geoseg.io.vector.layer import VectorLayer
from geoseg.io.vector.ogr import Driver, description, require_features, write_ogr
from geoseg.io.vector.place import Place

_DIGITS = 8  # about a millimetre
_OPTIONS = {"RFC7946": "YES", "COORDINATE_PRECISION": str(_DIGITS), "AUTODETECT_JSON_STRINGS": "NO"}  # "[1]" is text
_FEATURE = b'{ "type": "Feature",'  # what GDAL begins a feature's line with
_SEPARATOR = b"\x1e"


def write_geojson(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write GeoJSON in WGS 84; see `geoseg.io.vector.writing.write_features`."""
    options = {**_OPTIONS, **description(layer)}
    rows = write_ogr(batches, place, layer, Driver(name="GeoJSON", layer_options=options))
    require_features(place, layer, rows)
    if layer.crs == CRS.from_epsg(4326):
        return ()
    return (f"{place.name}: coordinates are in WGS 84 (EPSG:4326), as GeoJSON demands, not in {layer.crs.name}",)


def write_geojson_lines(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write a feature a line, in WGS 84; see `geoseg.io.vector.writing.write_features`."""
    return _write_sequence(batches, place, layer, b"")


def write_geojson_sequence(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write features with RFC 8142's record separators, in WGS 84; see `geoseg.io.vector.writing.write_features`."""
    return _write_sequence(batches, place, layer, _SEPARATOR)


def _write_sequence(
    batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer, separator: bytes
) -> tuple[str, ...]:
    """Take the features out of a collection; GDAL's own driver for sequences takes texts such as "[1]" for JSON."""
    collection = Place(path=place.path.with_name("collection.geojson"), name=place.name)
    notes = write_geojson(batches, collection, layer)
    with collection.path.open("rb") as source, place.path.open("wb") as out:
        for line in source:
            if line.startswith(_FEATURE):
                out.write(separator + line.rstrip(b",\r\n") + b"\n")
    return (*notes, f"{place.name}: holds no provenance, for which a sequence of features has no place")
