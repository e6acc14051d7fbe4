"""One legend in every form that other programs read: a file a form."""

from geoseg.io.style.geopackage import add_layer_style
from geoseg.io.style.mapbox import tile_style
from geoseg.io.style.qml import points_qml, raster_qml, vector_qml
from geoseg.io.style.sld import points_sld, vector_sld
from geoseg.io.style.stac import classification
from geoseg.io.style.tables import attribute_table, attribute_table_xml, palette

__all__ = [
    "add_layer_style",
    "attribute_table",
    "attribute_table_xml",
    "classification",
    "palette",
    "points_qml",
    "points_sld",
    "raster_qml",
    "tile_style",
    "vector_qml",
    "vector_sld",
]
