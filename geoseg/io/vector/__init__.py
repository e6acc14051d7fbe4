"""Vector files: features of labels in, map polygons and sample points out; a file a format.

pyogrio and rasterio each carry a GDAL of their own; no object passes between them.
"""

from geoseg.io.vector.layer import GEOMETRY, PROVENANCE_KEY, VectorLayer
from geoseg.io.vector.reading import (
    FeatureSource,
    files_of,
    find_features,
    holds_features,
    read_features,
    read_polygons,
    read_table,
)
from geoseg.io.vector.wkb import encode_polygons
from geoseg.io.vector.writing import (
    VECTOR_SUFFIXES,
    check_vector_name,
    check_vector_output,
    outdated_files,
    vector_files,
    write_features,
)

__all__ = [
    "GEOMETRY",
    "PROVENANCE_KEY",
    "VECTOR_SUFFIXES",
    "FeatureSource",
    "VectorLayer",
    "check_vector_name",
    "check_vector_output",
    "encode_polygons",
    "files_of",
    "find_features",
    "holds_features",
    "outdated_files",
    "read_features",
    "read_polygons",
    "read_table",
    "vector_files",
    "write_features",
]
