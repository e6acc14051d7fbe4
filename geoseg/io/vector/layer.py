"""A layer of features to write, as every format takes it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance

GEOMETRY = "geometry"
PROVENANCE_KEY = "geoseg_provenance"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorLayer:
    """A layer to write: its name, CRS, attribute fields and geometry type, and what is stored with it.

    `legend` gives the layer a style, where the format can hold one: polygons are coloured by their field `code`, points
    by their field `class`, which is to be filled in. `pixel_m` is the side of the pixels that the features were made
    of, in m; it tells how far it makes sense to zoom in. None = not known.
    """

    name: str
    crs: CRS
    fields: pa.Schema
    legend: Legend | None = None
    provenance: Provenance | None = None
    geometry_type: Literal["Polygon", "MultiPolygon", "Point", "LineString"] = "Polygon"
    pixel_m: float | None = None

    @property
    def schema(self) -> pa.Schema:
        """The fields, then the geometry as WKB."""
        return self.fields.append(pa.field(GEOMETRY, pa.binary(), nullable=False))

    @property
    def provenance_json(self) -> str | None:
        """The provenance as every format stores it."""
        return None if self.provenance is None else json.dumps(self.provenance.to_dict(), sort_keys=True)

    def batch(self, geometries: NDArray[np.object_] | pa.BinaryArray, columns: Mapping[str, Any]) -> pa.RecordBatch:
        """Geometries (shapely or WKB, in the layer's CRS) and their attributes, by field name, as a batch to write."""
        arrays = [pa.array(columns[field.name], type=field.type) for field in self.fields]
        made = isinstance(geometries, pa.BinaryArray)
        arrays.append(geometries if made else pa.array(shapely.to_wkb(geometries), type=pa.binary()))
        return pa.RecordBatch.from_arrays(arrays, schema=self.schema)
