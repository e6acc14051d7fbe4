"""XML as text."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

_NOT_IN_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def xml_text(text: str) -> str:
    """Text without the characters that XML cannot hold even when escaped."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def to_text(root: ET.Element) -> str:
    """Indented XML; QGIS styles carry the document type that QGIS writes."""
    ET.indent(root)
    doctype = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" if root.tag == "qgis" else ""
    return doctype + ET.tostring(root, encoding="unicode") + "\n"
