"""GeoPackage: a spatial index, styles as QML and SLD, provenance in its metadata tables."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa
import pyogrio

from geoseg.errors import OutputError
from geoseg.io.style import add_layer_style, points_qml, points_sld, vector_qml, vector_sld
from geoseg.io.vector.layer import PROVENANCE_KEY, VectorLayer
from geoseg.io.vector.ogr import Driver, require_features, write_ogr
from geoseg.io.vector.place import Place


def write_geopackage(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write a GeoPackage; see `geoseg.io.vector.writing.write_features`."""
    metadata = {} if layer.provenance_json is None else {PROVENANCE_KEY: layer.provenance_json}
    rows = write_ogr(batches, place, layer, Driver(name="GPKG", layer_metadata=metadata))
    require_features(place, layer, rows)
    if not pyogrio.read_info(place.path, layer=layer.name)["capabilities"]["fast_spatial_filter"]:
        raise OutputError(f"{place.name}: no spatial index could be written; free some disk space")
    if layer.legend is not None:
        points = layer.geometry_type == "Point"
        qml = points_qml(layer.legend) if points else vector_qml(layer.legend)
        sld = points_sld(layer.legend, layer.name) if points else vector_sld(layer.legend, layer.name)
        add_layer_style(place.path, layer.name, qml, sld)
    return ()
