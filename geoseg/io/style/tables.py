"""Colour tables and attribute tables of class rasters."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree as ET

from geoseg.core.legend import UNLABELLED, Legend
from geoseg.io.style.markup import to_text, xml_text

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


def attribute_table_xml(legend: Legend) -> str:
    """GDAL's side-car file (.aux.xml) with a raster attribute table: value, class name and colour."""
    dataset = ET.Element("PAMDataset")
    band = ET.SubElement(dataset, "PAMRasterBand", band="1")
    band.append(attribute_table({c.code: c.name for c in legend}, {c.code: (*c.rgb, 255) for c in legend}))
    return to_text(dataset)


def attribute_table(names: Mapping[int, str], colours: Mapping[int, tuple[int, int, int, int]]) -> ET.Element:
    """The same table as GDAL holds it in its XML: names, and red, green, blue, alpha of 0 to 255, by code.

    A class without a colour is black and transparent.
    """
    table = ET.Element("GDALRasterAttributeTable", tableType="thematic")
    for i, (name, kind, usage) in enumerate(_RAT_FIELDS):
        field = ET.SubElement(table, "FieldDefn", index=str(i))
        ET.SubElement(field, "Name").text = name
        ET.SubElement(field, "Type").text = str(kind)
        ET.SubElement(field, "Usage").text = str(usage)
    for i, (code, name) in enumerate(names.items()):
        row = ET.SubElement(table, "Row", index=str(i))
        for value in (code, name, *colours.get(code, (0, 0, 0, 0))):
            ET.SubElement(row, "F").text = xml_text(str(value))
    return table
