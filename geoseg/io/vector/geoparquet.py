"""GeoParquet 1.1 (https://geoparquet.org/releases/v1.1.0): sorted by place, with the bounds of every feature."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from geoseg.io.vector.layer import GEOMETRY, PROVENANCE_KEY, VectorLayer
from geoseg.io.vector.place import Place
from geoseg.io.vector.sorting import BBOX, CORNERS, NOWHERE, boxes_of, enlarged, sorted_by_place
from geoseg.io.vector.wkb import bounds_of

_GROUP_ROWS = 2**14
_BOX = pa.struct([pa.field(corner, pa.float64(), nullable=False) for corner in CORNERS])


def write_geoparquet(batches: Iterable[pa.RecordBatch], place: Place, layer: VectorLayer) -> tuple[str, ...]:
    """Write GeoParquet; see `geoseg.io.vector.writing.write_features`.

    Readers that want a part of the map skip row groups by the column `bbox`, whose minima and maxima are in the file's
    metadata; so that they can skip many, features that lie together share a group.
    """
    schema = layer.schema.append(pa.field(BBOX, _BOX, nullable=False))
    extent = NOWHERE
    with parquet.ParquetWriter(place.path, schema, compression="zstd") as writer:
        for table in sorted_by_place(_with_boxes(batches, schema), schema, place.path.parent):
            extent = enlarged(extent, boxes_of(table))
            writer.write_table(table, row_group_size=_GROUP_ROWS)
        metadata = {"geo": json.dumps(_geo(layer, extent))}
        if layer.provenance_json is not None:
            metadata[PROVENANCE_KEY] = layer.provenance_json
        writer.add_key_value_metadata(metadata)
    return ()


def _with_boxes(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        corners = bounds_of(batch.column(GEOMETRY)).T
        boxes = pa.StructArray.from_arrays([pa.array(corner) for corner in corners], fields=list(_BOX))
        yield pa.RecordBatch.from_arrays([*batch.columns, boxes], schema=schema)


def _geo(layer: VectorLayer, extent: NDArray[np.float64]) -> dict[str, Any]:
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": [layer.geometry_type],
        "crs": layer.crs.to_json_dict(),
        "edges": "planar",
        "orientation": "counterclockwise",
        "covering": {BBOX: {corner: [BBOX, corner] for corner in CORNERS}},
    }
    if np.isfinite(extent).all():
        column["bbox"] = extent.tolist()
    return {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
