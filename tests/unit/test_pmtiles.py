"""PMTiles: tiles that GDAL reads, at zooms that suit the pixels, and a style that shows the classes."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from pyproj import CRS

from geoseg.core.legend import LandClass, Legend
from geoseg.errors import OutputError
from geoseg.io.vector import VectorLayer, write_features

LEGEND = Legend((LandClass(code=1, name="water", colour="#0000FF"), LandClass(code=-7, name="<b>", colour="#00ff00")))
FIELDS = pa.schema([("code", pa.int32()), ("class", pa.string())])
LAYER = VectorLayer(name="land", crs=CRS.from_epsg(32633), fields=FIELDS, legend=LEGEND, pixel_m=10)
BOXES = shapely.box([500000, 500300], 5000000, [500300, 500600], 5000300)


def write(out, layer=LAYER, geometries=BOXES):
    columns = {"code": [1, -7], "class": ["water", "<b>"]}
    return write_features([layer.batch(np.array(geometries), columns)], out, layer=layer)


@pytest.mark.parametrize(
    ("pixel_m", "zooms"), [(10, ("8", "14")), (30, ("6", "12")), (0.05, ("10", "16")), (5000, ("0", "5"))]
)
def test_zooms_follow_the_pixels(tmp_path, pixel_m, zooms):
    out = tmp_path / "map.pmtiles"
    (note,) = write(out, replace(LAYER, pixel_m=pixel_m))
    told = pyogrio.read_info(out)["dataset_metadata"]
    assert (told["minzoom"], told["maxzoom"]) == zooms
    assert f"zooms {zooms[0]} to {zooms[1]}" in note


def test_features_carry_their_colours(tmp_path):
    write(tmp_path / "map.pmtiles")
    frame = pyogrio.read_dataframe(tmp_path / "map.pmtiles").to_crs(LAYER.crs)
    assert {*zip(frame["code"], frame["class"], frame["colour"], strict=True)} == {
        (1, "water", "#0000ff"),
        (-7, "<b>", "#00ff00"),
    }
    for code, box in zip((1, -7), BOXES, strict=True):  # a tile's edge may cut it in two
        ground = shapely.union_all(frame.geometry[frame["code"] == code])
        assert ground.symmetric_difference(box).area < 0.01 * box.area


def test_the_style_names_tiles_layer_and_colours(tmp_path):
    out = tmp_path / "map of 'ä'.pmtiles"
    write(out)
    style = json.loads((tmp_path / "map of 'ä'.style.json").read_text(encoding="utf-8"))
    (source,) = style["sources"].values()
    (layer,) = style["layers"]
    assert style["version"] == 8
    assert source == {"type": "vector", "url": "pmtiles://map%20of%20%27%C3%A4%27.pmtiles"}
    assert (layer["type"], layer["source-layer"], layer["source"]) == ("fill", "land", next(iter(style["sources"])))
    expression = ["match", ["get", "code"], 1, "#0000ff", -7, "#00ff00", "#888888"]
    assert layer["paint"]["fill-color"] == expression
    assert style["metadata"]["geoseg:classes"][1] == {"code": -7, "name": "<b>", "colour": "#00ff00"}


def test_points_have_a_style_by_class(tmp_path):
    out = tmp_path / "map.pmtiles"
    write(out, replace(LAYER, geometry_type="Point"), [shapely.Point(500000, 5000000), shapely.Point(500600, 5000000)])
    assert set(pyogrio.read_dataframe(out).geom_type) <= {"Point", "MultiPoint"}
    (layer,) = json.loads(out.with_suffix(".style.json").read_text())["layers"]
    assert layer["type"] == "circle"
    assert layer["paint"]["circle-color"][:3] == ["match", ["get", "class"], "water"]


def test_an_archive_of_nothing_can_be_opened(tmp_path):
    out = tmp_path / "map.pmtiles"
    write_features([], out, layer=LAYER)
    info = pyogrio.read_info(out)
    assert info["layer_name"] == "land"
    assert set(info["fields"]) >= {"code", "class"}
    assert len(pyogrio.read_dataframe(out)) == 0


def test_ground_that_web_maps_do_not_show_is_refused(tmp_path):
    polar = replace(LAYER, crs=CRS.from_epsg(3031))
    with pytest.raises(OutputError, match=r"map\.pmtiles: no feature lies within 85 degrees"):
        write(tmp_path / "map.pmtiles", polar, shapely.box([0, 300], 0, [300, 600], 300))
    assert not list(tmp_path.iterdir())
