"""One legend in every form that other programs read: colour tables, QGIS styles, attribute tables, STAC classes."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from geoseg.core.legend import UNLABELLED, Legend

_QGIS_VERSION = "3.34.0"
_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2

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
        '', 1, 'Colours of the legend', '')
"""

# GDAL's codes (gdal_rat.h): field types and usages of a raster attribute table.
_INTEGER, _STRING = 0, 2
_RAT_FIELDS = (
    ("Value", _INTEGER, 5),
    ("Class", _STRING, 2),
    ("Red", _INTEGER, 6),
    ("Green", _INTEGER, 7),
    ("Blue", _INTEGER, 8),
    ("Alpha", _INTEGER, 9),
)


def palette(legend: Legend) -> dict[int, tuple[int, int, int, int]]:
    """The colour table of a mask: (red, green, blue, alpha) of 0 to 255 by code; 255, nodata, is transparent."""
    return {**{c.code: (*c.rgb, 255) for c in legend}, UNLABELLED: (0, 0, 0, 0)}


def raster_qml(legend: Legend) -> str:
    """A QGIS style (.qml) that paints a mask by its codes; codes without a class stay transparent."""
    qgis = _qgis("Symbology")
    pipe = ET.SubElement(qgis, "pipe")
    renderer = ET.SubElement(
        pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1", nodataColor=""
    )
    colours = ET.SubElement(renderer, "colorPalette")
    for c in legend:
        ET.SubElement(
            colours, "paletteEntry", value=str(c.code), color=c.colour.lower(), alpha="255", label=_xml_text(c.name)
        )
    ET.SubElement(qgis, "blendMode").text = "0"
    return _to_text(qgis)


def vector_qml(legend: Legend, attribute: str = "code") -> str:
    """A QGIS style (.qml) that fills polygons by the class whose code is in `attribute`, without outlines."""
    qgis = _qgis("Symbology|Labeling")
    renderer = ET.SubElement(
        qgis,
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": _xml_text(attribute), "symbollevels": "0", "forceraster": "0"},
    )
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for i, c in enumerate(legend):
        values = {"value": str(c.code), "type": "long", "symbol": str(i), "label": _xml_text(c.name), "render": "true"}
        ET.SubElement(categories, "category", values)
        _add_fill(symbols, str(i), c.rgb)
    ET.SubElement(qgis, "layerGeometryType").text = "2"
    return _to_text(qgis)


def points_qml(legend: Legend, attribute: str = "class") -> str:
    """A QGIS style (.qml) for points that are to be given a class: rings where it is missing, else the class's colour.

    The form offers the names of the classes in a list.
    """
    qgis = _qgis("Symbology|Fields|Forms")
    fields = ET.SubElement(qgis, "fieldConfiguration")
    widget = ET.SubElement(ET.SubElement(fields, "field", name=_xml_text(attribute)), "editWidget", type="ValueMap")
    choices = ET.SubElement(ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map"), "Option")
    choices.attrib |= {"name": "map", "type": "List"}
    values = {"type": "categorizedSymbol", "attr": _xml_text(attribute), "symbollevels": "0", "forceraster": "0"}
    renderer = ET.SubElement(qgis, "renderer-v2", values)
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for i, c in enumerate(legend):
        name = _xml_text(c.name)
        choice = ET.SubElement(choices, "Option", type="Map")
        ET.SubElement(choice, "Option", {"name": name, "type": "QString", "value": name})
        values = {"value": name, "type": "string", "symbol": str(i), "label": name, "render": "true"}
        ET.SubElement(categories, "category", values)
        _add_marker(symbols, str(i), ",".join(map(str, (*c.rgb, 255))))
    last = str(len(legend))
    missing = {"value": "", "type": "string", "symbol": last, "label": "to be interpreted", "render": "true"}
    ET.SubElement(categories, "category", missing)
    _add_marker(symbols, last, "255,255,255,0")
    ET.SubElement(qgis, "layerGeometryType").text = "0"
    return _to_text(qgis)


def attribute_table_xml(legend: Legend) -> str:
    """GDAL's side-car file (.aux.xml) with a raster attribute table: value, class name and colour."""
    dataset = ET.Element("PAMDataset")
    band = ET.SubElement(dataset, "PAMRasterBand", band="1")
    table = ET.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for i, (name, kind, usage) in enumerate(_RAT_FIELDS):
        field = ET.SubElement(table, "FieldDefn", index=str(i))
        ET.SubElement(field, "Name").text = name
        ET.SubElement(field, "Type").text = str(kind)
        ET.SubElement(field, "Usage").text = str(usage)
    for i, c in enumerate(legend):
        row = ET.SubElement(table, "Row", index=str(i))
        for value in (c.code, c.name, *c.rgb, 255):
            ET.SubElement(row, "F").text = _xml_text(str(value))
    return _to_text(dataset)


def classification(legend: Legend) -> list[dict[str, Any]]:
    """The `classification:classes` of STAC (classification extension v2.0): one dict a class, in the legend's order."""
    names = [re.sub(r"[^0-9a-z]+", "-", c.name.lower()).strip("-") for c in legend]
    return [
        {
            "value": c.code,
            "name": name if name and names.count(name) == 1 else f"{name or 'class'}-{c.code}",
            "title": c.name,
            "description": f"{c.name} (part of {c.parent})" if c.parent else c.name,
            "color_hint": c.colour[1:].upper(),
        }
        for c, name in zip(legend, names, strict=True)
    ]


def add_layer_style(geopackage: Path, layer: str, qml: str) -> None:
    """Store a QGIS style in a GeoPackage as the default style of a layer, replacing an earlier default.

    The style goes into the table `layer_styles`, which QGIS looks up when it opens the layer.

    Raises:
        sqlite3.Error: if the file is not a GeoPackage or cannot be written.
    """
    with closing(sqlite3.connect(geopackage)) as database, database:
        database.execute(_LAYER_STYLES)
        database.execute(_CONTENTS)
        database.execute("DELETE FROM layer_styles WHERE f_table_name = ? AND useAsDefault", (layer,))
        database.execute(_STYLE_ROW, {"layer": layer, "qml": qml})


def _qgis(categories: str) -> ET.Element:
    return ET.Element("qgis", version=_QGIS_VERSION, styleCategories=categories)


def _add_fill(symbols: ET.Element, name: str, rgb: tuple[int, int, int]) -> None:
    symbol = ET.SubElement(symbols, "symbol", {"type": "fill", "name": name, "alpha": "1", "clip_to_extent": "1"})
    values = {"class": "SimpleFill", "enabled": "1", "locked": "0", "pass": "0"}
    options = ET.SubElement(ET.SubElement(symbol, "layer", values), "Option", type="Map")
    fill = {"color": ",".join(map(str, (*rgb, 255))), "style": "solid", "outline_style": "no"}
    for option, value in fill.items():
        ET.SubElement(options, "Option", {"name": option, "type": "QString", "value": value})


def _add_marker(symbols: ET.Element, name: str, colour: str) -> None:
    symbol = ET.SubElement(symbols, "symbol", {"type": "marker", "name": name, "alpha": "1", "clip_to_extent": "1"})
    values = {"class": "SimpleMarker", "enabled": "1", "locked": "0", "pass": "0"}
    options = ET.SubElement(ET.SubElement(symbol, "layer", values), "Option", type="Map")
    marker = {"name": "circle", "color": colour, "outline_color": "220,0,120,255", "outline_width": "0.5", "size": "3"}
    for option, value in marker.items():
        ET.SubElement(options, "Option", {"name": option, "type": "QString", "value": value})


def _xml_text(text: str) -> str:
    """Text without the characters that XML cannot hold even when escaped."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _to_text(root: ET.Element) -> str:
    """Indented XML; QGIS styles carry the document type that QGIS writes."""
    ET.indent(root)
    doctype = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" if root.tag == "qgis" else ""
    return doctype + ET.tostring(root, encoding="unicode") + "\n"
