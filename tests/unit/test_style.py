"""Styles: one legend in many forms, with names that need escaping."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from xml.etree import ElementTree as ET

import pyogrio
import pytest
import shapely
from geopandas import GeoDataFrame

from geoseg.core.legend import LandClass, Legend
from geoseg.io.style import (
    add_layer_style,
    attribute_table_xml,
    classification,
    palette,
    points_qml,
    points_sld,
    raster_qml,
    tile_style,
    vector_qml,
    vector_sld,
)

AWKWARD = "Wald & <Wiese> \"dicht\" 'x' 🌲\x07"
READABLE = AWKWARD.replace("\x07", "\N{REPLACEMENT CHARACTER}")
LEGEND = Legend(
    (
        LandClass(code=1, name="Water", colour="#0A64c8"),
        LandClass(code=40, name=AWKWARD, colour="#228b22", parent="vegetation"),
    )
)


@pytest.fixture
def geopackage(tmp_path):
    path = tmp_path / "map.gpkg"
    frame = GeoDataFrame({"code": [1]}, geometry=[shapely.box(0, 0, 1, 1)], crs=32632)
    pyogrio.write_dataframe(frame, path, layer='land\'s "cover"')
    pyogrio.write_dataframe(frame, path, layer="other", append=True)
    return path


def parse(xml):
    return ET.fromstring(xml)  # noqa: S314 - made here


def test_palette_has_every_class_and_transparent_nodata():
    assert palette(LEGEND) == {1: (10, 100, 200, 255), 40: (34, 139, 34, 255), 255: (0, 0, 0, 0)}


def test_raster_qml_lists_codes_colours_and_names():
    root = parse(raster_qml(LEGEND))
    renderer = root.find("pipe/rasterrenderer")
    assert renderer.attrib["type"] == "paletted"
    entries = [(e.get("value"), e.get("color"), e.get("label")) for e in renderer.iterfind("colorPalette/paletteEntry")]
    assert entries == [("1", "#0a64c8", "Water"), ("40", "#228b22", READABLE)]


def test_vector_qml_links_every_category_to_a_fill_of_its_colour():
    root = parse(vector_qml(LEGEND, attribute='co"de'))
    renderer = root.find("renderer-v2")
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", 'co"de')
    symbols = {symbol.get("name"): symbol for symbol in renderer.iterfind("symbols/symbol")}
    found = {}
    for category in renderer.iterfind("categories/category"):
        symbol = symbols[category.get("symbol")]
        assert symbol.get("type") == "fill"
        colour = symbol.find("layer[@class='SimpleFill']/Option/Option[@name='color']").get("value")
        found[category.get("value"), category.get("label")] = colour
    assert found == {("1", "Water"): "10,100,200,255", ("40", READABLE): "34,139,34,255"}


def test_qml_starts_with_the_document_type_of_qgis():
    for qml in (raster_qml(LEGEND), vector_qml(LEGEND)):
        assert qml.startswith("<!DOCTYPE qgis ")


def test_attribute_table_has_a_field_definition_for_every_value_of_a_row():
    table = parse(attribute_table_xml(LEGEND)).find("PAMRasterBand[@band='1']/GDALRasterAttributeTable")
    names = [field.findtext("Name") for field in table.iterfind("FieldDefn")]
    rows = [dict(zip(names, (f.text for f in row), strict=True)) for row in table.iterfind("Row")]
    assert rows[0] == {"Value": "1", "Class": "Water", "Red": "10", "Green": "100", "Blue": "200", "Alpha": "255"}
    assert rows[1]["Class"] == READABLE


def test_classification_follows_the_extension():
    water, forest = classification(LEGEND)
    assert water == {
        "value": 1, "name": "water", "title": "Water", "description": "Water", "color_hint": "0A64C8",
    }  # fmt: skip
    assert forest["title"] == AWKWARD
    assert forest["description"].endswith("(part of vegetation)")
    for c in (water, forest):
        assert re.fullmatch(r"[0-9A-Za-z_-]+", c["name"])
        assert re.fullmatch(r"[0-9A-F]{6}", c["color_hint"])


def test_classification_names_stay_unique_and_never_empty():
    names = ("a b", "a-b", "🌊", "🌲")
    legend = Legend(tuple(LandClass(code=i, name=name, colour="#000000") for i, name in enumerate(names)))
    assert [c["name"] for c in classification(legend)] == ["a-b-0", "a-b-1", "class-2", "class-3"]


SE, OGC = "{http://www.opengis.net/se}", "{http://www.opengis.net/ogc}"


def rules_of(sld):
    """Name, property, value and fill of every rule."""
    for rule in parse(sld).iter(f"{SE}Rule"):
        fill = rule.find(f".//{SE}Fill/{SE}SvgParameter")
        found = (rule.findtext(f"{SE}Name"), *(rule.findtext(f".//{OGC}{n}") for n in ("PropertyName", "Literal")))
        yield *found, None if fill is None else fill.text


def test_vector_sld_has_a_rule_a_class():
    sld = vector_sld(LEGEND, "land & <cover>")
    assert [*rules_of(sld)] == [("Water", "code", "1", "#0a64c8"), (READABLE, "code", "40", "#228b22")]
    assert parse(sld).findtext(f"{{http://www.opengis.net/sld}}NamedLayer/{SE}Name") == "land & <cover>"
    assert parse(sld).get("version") == "1.1.0"
    assert parse(sld).find(f".//{SE}PolygonSymbolizer") is not None
    assert parse(sld).find(f".//{SE}Stroke") is None


def test_points_sld_shows_what_is_open():
    sld = points_sld(LEGEND, "points")
    assert [*rules_of(sld)] == [
        ("Water", "class", "Water", "#0a64c8"),
        (READABLE, "class", READABLE, "#228b22"),
        ("to be interpreted", None, None, None),
    ]
    assert len([*parse(sld).iter(f"{SE}ElseFilter")]) == 1


def test_tiles_without_a_legend_are_grey():
    style = tile_style(None, "land", "pmtiles://map.pmtiles")
    assert style["layers"][0]["paint"]["fill-color"] == "#888888"
    assert style["metadata"]["geoseg:classes"] == []


def test_layer_style_is_the_default_of_its_layer_alone(geopackage):
    layer, qml = 'land\'s "cover"', vector_qml(LEGEND)
    add_layer_style(geopackage, layer, qml)
    add_layer_style(geopackage, "other", "<qgis/>")
    with closing(sqlite3.connect(geopackage)) as database:
        rows = database.execute(
            "SELECT f_table_name, f_geometry_column, styleName, styleQML, useAsDefault, update_time FROM layer_styles"
        ).fetchall()
        kind = database.execute("SELECT data_type FROM gpkg_contents WHERE table_name = 'layer_styles'").fetchall()
        health = database.execute("PRAGMA integrity_check").fetchone()
    assert [row[:5] for row in rows] == [(layer, "geom", layer, qml, 1), ("other", "geom", "other", "<qgis/>", 1)]
    assert all(row[5] for row in rows)
    assert kind == [("attributes",)]
    assert health == ("ok",)


def test_a_second_style_replaces_the_default(geopackage):
    for word in ("old", "new"):
        add_layer_style(geopackage, "other", f"<{word}/>", f"<sld-{word}/>")
    styles = pyogrio.read_dataframe(geopackage, layer="layer_styles")
    assert styles["styleQML"].tolist() == ["<new/>"]
    assert styles["styleSLD"].tolist() == ["<sld-new/>"]


def test_gdal_reads_the_style_as_a_table_and_the_layers_as_before(geopackage):
    add_layer_style(geopackage, "other", vector_qml(LEGEND))
    kinds = {str(name): geometry for name, geometry in pyogrio.list_layers(geopackage)}
    assert kinds == {'land\'s "cover"': "Polygon", "other": "Polygon", "layer_styles": None}
    styles = pyogrio.read_dataframe(geopackage, layer="layer_styles")
    assert styles["useAsDefault"].tolist() == [True]
    assert parse(styles["styleQML"][0]).tag == "qgis"


def test_points_that_are_to_be_given_a_class_offer_the_names_and_show_what_is_open():
    root = ET.fromstring(points_qml(LEGEND))  # noqa: S314  (our own)
    names = [c.name.replace("\x07", "\N{REPLACEMENT CHARACTER}") for c in LEGEND]
    choices = root.findall(".//field[@name='class']/editWidget[@type='ValueMap']//Option[@name='map']/Option/Option")
    assert [(o.get("name"), o.get("value")) for o in choices] == [(n, n) for n in names]
    assert [c.get("value") for c in root.iter("category")] == [*names, ""]
    assert len(root.findall(".//symbol[@type='marker']")) == len(names) + 1
