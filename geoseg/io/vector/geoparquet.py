"""GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from geoseg.io.vector.layer import GEOMETRY, PROVENANCE_KEY, VectorLayer
from geoseg.io.vector.place import Place
from geoseg.io.vector.wkb import bounds_of


def write_geoparquet(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write GeoParquet, a row group a batch; see `geoseg.io.vector.writing.write_features`."""
    bounds: list[NDArray[np.float64]] = []
    with parquet.ParquetWriter(place.path, layer.schema, compression="zstd") as writer:
        for batch in batches:
            writer.write_batch(batch)
            boxes = bounds_of(batch.column(GEOMETRY))
            bounds.append(np.concatenate([np.nanmin(boxes[:, :2], axis=0), np.nanmax(boxes[:, 2:], axis=0)]))
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
