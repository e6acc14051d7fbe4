"""FlatGeobuf: streamed and sorted by place; its index of about 200 bytes a polygon is made in memory."""

from __future__ import annotations

from collections.abc import Iterable

import pyarrow as pa

from geoseg.io.vector.layer import VectorLayer
from geoseg.io.vector.ogr import Driver, description, require_features, write_ogr
from geoseg.io.vector.place import Place


def write_flatgeobuf(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write a FlatGeobuf file; see `geoseg.io.vector.writing.write_features`."""
    rows = write_ogr(batches, place, layer, Driver(name="FlatGeobuf", layer_options=description(layer)))
    require_features(place, layer, rows)
    return ()
