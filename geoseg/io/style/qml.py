"""QGIS styles (.qml)."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from geoseg.core.legend import Legend
from geoseg.io.style.markup import to_text, xml_text

_QGIS_VERSION = "3.34.0"


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
            colours, "paletteEntry", value=str(c.code), color=c.colour.lower(), alpha="255", label=xml_text(c.name)
        )
    ET.SubElement(qgis, "blendMode").text = "0"
    return to_text(qgis)


def vector_qml(legend: Legend, attribute: str = "code") -> str:
    """A QGIS style (.qml) that fills polygons by the class whose code is in `attribute`, without outlines."""
    qgis = _qgis("Symbology|Labeling")
    renderer = ET.SubElement(
        qgis,
        "renderer-v2",
        {"type": "categorizedSymbol", "attr": xml_text(attribute), "symbollevels": "0", "forceraster": "0"},
    )
    categories = ET.SubElement(renderer, "categories")
    symbols = ET.SubElement(renderer, "symbols")
    for i, c in enumerate(legend):
        values = {"value": str(c.code), "type": "long", "symbol": str(i), "label": xml_text(c.name), "render": "true"}
        ET.SubElement(categories, "category", values)
        _add_fill(symbols, str(i), c.rgb)
    ET.SubElement(qgis, "layerGeometryType").text = "2"
    return to_text(qgis)


def points_qml(legend: Legend, attribute: str = "class") -> str:
    """A QGIS style (.qml) for points that are to be given a class: rings where it is missing, else the class's colour.

    The form offers the names of the classes in a list.
    """
    qgis = _qgis("Symbology|Fields|Forms")
    fields = ET.SubElement(qgis, "fieldConfiguration")
    widget = ET.SubElement(ET.SubElement(fields, "field", name=xml_text(attribute)), "editWidget", type="ValueMap")
    choices = ET.SubElement(ET.SubElement(ET.SubElement(widget, "config"), "Option", type="Map"), "Option")
    choices.attrib |= {"name": "map", "type": "List"}
    values = {"type": "categorizedSymbol", "attr": xml_text(attribute), "symbollevels": "0", "forceraster": "0"}
    renderer = ET.SubElement(qgis, "renderer-v2", values)
    categories, symbols = ET.SubElement(renderer, "categories"), ET.SubElement(renderer, "symbols")
    for i, c in enumerate(legend):
        name = xml_text(c.name)
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
    return to_text(qgis)


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
