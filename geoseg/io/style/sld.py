"""Styled Layer Descriptors (OGC 05-078r4) of Symbology Encoding 1.1 (05-077r4), which GeoServer and QGIS read."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from geoseg.core.legend import Legend
from geoseg.io.style.markup import to_text, xml_text

_OPEN = "#dc0078"  # outlines of points


def vector_sld(legend: Legend, layer: str, attribute: str = "code") -> str:
    """A style that fills polygons by the class whose code is in `attribute`, without outlines."""
    root, rules = _document(layer)
    for c in legend:
        rule = _rule(rules, c.name, attribute, str(c.code))
        _fill(ET.SubElement(rule, "se:PolygonSymbolizer"), c.colour)
    return to_text(root)


def points_sld(legend: Legend, layer: str, attribute: str = "class") -> str:
    """A style for points that are to be given a class: rings where it is missing, else the class's colour."""
    root, rules = _document(layer)
    for c in legend:
        _ring(_rule(rules, c.name, attribute, c.name), c.colour)
    missing = ET.SubElement(rules, "se:Rule")
    ET.SubElement(missing, "se:Name").text = "to be interpreted"
    ET.SubElement(missing, "se:ElseFilter")
    _ring(missing, None)
    return to_text(root)


def _document(layer: str) -> tuple[ET.Element, ET.Element]:
    """The document and where its rules go."""
    root = ET.Element(
        "StyledLayerDescriptor",
        {
            "version": "1.1.0",
            "xmlns": "http://www.opengis.net/sld",
            "xmlns:se": "http://www.opengis.net/se",
            "xmlns:ogc": "http://www.opengis.net/ogc",
        },
    )
    named = ET.SubElement(root, "NamedLayer")
    ET.SubElement(named, "se:Name").text = xml_text(layer)
    style = ET.SubElement(named, "UserStyle")
    ET.SubElement(style, "se:Name").text = xml_text(layer)
    return root, ET.SubElement(style, "se:FeatureTypeStyle")


def _rule(rules: ET.Element, name: str, attribute: str, value: str) -> ET.Element:
    rule = ET.SubElement(rules, "se:Rule")
    ET.SubElement(rule, "se:Name").text = xml_text(name)
    ET.SubElement(ET.SubElement(rule, "se:Description"), "se:Title").text = xml_text(name)
    equal = ET.SubElement(ET.SubElement(rule, "ogc:Filter"), "ogc:PropertyIsEqualTo")
    ET.SubElement(equal, "ogc:PropertyName").text = xml_text(attribute)
    ET.SubElement(equal, "ogc:Literal").text = xml_text(value)
    return rule


def _ring(rule: ET.Element, colour: str | None) -> None:
    graphic = ET.SubElement(ET.SubElement(rule, "se:PointSymbolizer"), "se:Graphic")
    mark = ET.SubElement(graphic, "se:Mark")
    ET.SubElement(mark, "se:WellKnownName").text = "circle"
    if colour is not None:
        _fill(mark, colour)
    stroke = ET.SubElement(mark, "se:Stroke")
    ET.SubElement(stroke, "se:SvgParameter", name="stroke").text = _OPEN
    ET.SubElement(graphic, "se:Size").text = "10"


def _fill(parent: ET.Element, colour: str) -> None:
    fill = ET.SubElement(parent, "se:Fill")
    ET.SubElement(fill, "se:SvgParameter", name="fill").text = colour.lower()
