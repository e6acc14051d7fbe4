"""Styles inside of a GeoPackage."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

# The table as QGIS (src/core/providers/ogr) and GDAL make it.
_LAYER_STYLES = """
CREATE TABLE IF NOT EXISTS layer_styles (
  id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,
  f_table_catalog TEXT(256), f_table_schema TEXT(256), f_table_name TEXT(256), f_geometry_column TEXT(256),
  styleName TEXT(30), styleQML TEXT, styleSLD TEXT, useAsDefault BOOLEAN, description TEXT, owner TEXT(30), ui TEXT(30),
  update_time DATETIME DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ','now'))
)
"""
_CONTENTS = """
INSERT OR IGNORE INTO gpkg_contents (table_name, data_type, identifier, srs_id)
VALUES ('layer_styles', 'attributes', 'layer_styles', 0)
"""
_STYLE_ROW = """
INSERT INTO layer_styles (f_table_catalog, f_table_schema, f_table_name, f_geometry_column, styleName, styleQML,
                          styleSLD, useAsDefault, description, owner)
VALUES ('', '', :layer, (SELECT column_name FROM gpkg_geometry_columns WHERE table_name = :layer), :layer, :qml,
        :sld, 1, 'Colours of the legend', '')
"""


def add_layer_style(geopackage: Path, layer: str, qml: str, sld: str = "") -> None:
    """Store a style in a GeoPackage as the default style of a layer, replacing an earlier default.

    It goes into the table `layer_styles`: as a QGIS style, which QGIS looks up when it opens the layer, and as a Styled
    Layer Descriptor for others.

    Raises:
        sqlite3.Error: if the file is not a GeoPackage or cannot be written.
    """
    with closing(sqlite3.connect(geopackage)) as database, database:
        database.execute(_LAYER_STYLES)
        database.execute(_CONTENTS)
        database.execute("DELETE FROM layer_styles WHERE f_table_name = ? AND useAsDefault", (layer,))
        database.execute(_STYLE_ROW, {"layer": layer, "qml": qml, "sld": sld})
