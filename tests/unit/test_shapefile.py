"""Shapefiles: what does not fit into them is cut and said, or refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from pyproj import CRS

from geoseg.errors import OutputError
from geoseg.io.vector import VectorLayer, files_of, shapefile, write_features

UTM = CRS.from_epsg(32633)
FIELDS = [("id", pa.int64()), ("code", pa.int32()), ("class", pa.string()), ("mean", pa.float32()), ("a", pa.float64())]
LAYER = VectorLayer(name="land", crs=UTM, fields=pa.schema(FIELDS))
HOLED = shapely.Polygon(shapely.box(0, 0, 9, 9).exterior, [shapely.box(1, 1, 2, 2).exterior])


def batch_of(layer, texts, geometries=None):
    count = len(texts)
    numbers = {f.name: np.arange(count) for f in layer.fields if not pa.types.is_string(f.type)}
    names = {f.name: texts for f in layer.fields if pa.types.is_string(f.type)}
    return layer.batch(np.array(geometries or [HOLED] * count), numbers | names)


def test_long_field_names_are_cut_told_apart_and_said(tmp_path):
    out = tmp_path / "map.shp"
    names = ["mean_probability", "mean_probably", "Mean_Proba", "größenordnung", "short"]
    layer = VectorLayer(name="land", crs=UTM, fields=pa.schema([(name, pa.float64()) for name in names]))
    notes = write_features([batch_of(layer, [""])], out, layer=layer)
    assert list(pyogrio.read_info(out)["fields"]) == ["mean_proba", "mean_pro_1", "Mean_Pro_2", "größenor", "short"]
    assert [note.rpartition("characters: ")[2] for note in notes] == [
        "mean_probability is mean_proba",
        "mean_probably is mean_pro_1",
        "Mean_Proba is Mean_Pro_2",
        "größenordnung is größenor",
    ]


def test_long_texts_are_cut_at_whole_characters_and_said(tmp_path):
    out = tmp_path / "map.shp"
    notes = write_features([batch_of(LAYER, ["x" + "ä" * 200, None, "short"])], out, layer=LAYER)
    texts = pyogrio.read_dataframe(out)["class"]
    assert texts[0] == "x" + "ä" * 126
    assert texts.isna()[1]
    assert texts[2] == "short"
    assert "1 texts were cut to the 254 bytes" in notes[0]


@pytest.mark.parametrize(("kind", "geometry"), [("Polygon", HOLED), ("Point", shapely.Point(1, 2))])
@pytest.mark.parametrize("text", ["w", "w" * 100, "w" * 300])
def test_sizes_are_known_beforehand(tmp_path, kind, geometry, text):
    out = tmp_path / "map.shp"
    layer = VectorLayer(name="land", crs=UTM, fields=LAYER.fields, geometry_type=kind)
    batches = [batch_of(layer, ["w"] * 4, [geometry] * 4), batch_of(layer, [text] * 3, [geometry] * 3)]
    write_features(batches, out, layer=layer)
    sizes = [path.stat().st_size for path in (out, out.with_suffix(".dbf"))]
    guard = shapefile._Guard(place=None, layer=layer)
    assert len(list(guard.passing(batches))) == 2
    assert [100 + guard._shapes, guard._table_bytes()] == sizes


def test_more_than_two_gigabytes_are_refused_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(shapefile, "_MOST_BYTES", 5000)
    taken = []

    def endless():
        while True:
            taken.append(1)
            yield batch_of(LAYER, ["w"] * 10)

    with pytest.raises(OutputError, match=r"map\.shp: a Shapefile may not exceed 2 GB.*\.gpkg"):
        write_features(endless(), tmp_path / "map.shp", layer=LAYER)
    assert len(taken) < 10
    assert not list(tmp_path.iterdir())


def test_an_index_of_an_older_file_does_not_stay(tmp_path):
    out = tmp_path / "map.shp"
    out.with_suffix(".qix").write_text("older")
    write_features([batch_of(LAYER, ["w"])], out, layer=LAYER)
    assert not out.with_suffix(".qix").exists()


def test_all_its_files_are_known_to_readers(tmp_path):
    out = tmp_path / "map.shp"
    write_features([batch_of(LAYER, ["w"])], out, layer=LAYER)
    assert {path.suffix for path in files_of(out)} == {".shp", ".shx", ".dbf", ".prj", ".cpg"}
    assert out.with_suffix(".cpg").read_text() == "UTF-8"
