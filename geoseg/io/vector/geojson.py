"""GeoJSON (RFC 7946), and sequences of its features: a line each, or as RFC 8142 separates them."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
from pyproj import CRS

from geoseg.io.vector.layer import VectorLayer
from geoseg.io.vector.ogr import Driver, description, require_features, write_ogr
from geoseg.io.vector.place import Place

_DIGITS = 8  # about a millimetre
_OPTIONS = {"COORDINATE_PRECISION": str(_DIGITS), "AUTODETECT_JSON_STRINGS": "NO"}  # a name is text, even "[1]"


def write_geojson(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write GeoJSON in WGS 84; see `geoseg.io.vector.writing.write_features`."""
    options = {"RFC7946": "YES", **_OPTIONS, **description(layer)}
    rows = write_ogr(batches, place, layer, Driver(name="GeoJSON", layer_options=options))
    require_features(place, layer, rows)
    return _notes(place, layer)


def _notes(place: Place, layer: VectorLayer) -> tuple[str, ...]:
    if layer.crs == CRS.from_epsg(4326):
        return ()
    return (f"{place.name}: coordinates are in WGS 84 (EPSG:4326), as GeoJSON demands, not in {layer.crs.name}",)
