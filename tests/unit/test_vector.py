"""Vector files: each is what its suffix says, holds what was given, and appears whole or not at all."""

from __future__ import annotations

import json
import resource
import sqlite3
from contextlib import closing, contextmanager
from dataclasses import replace
from xml.etree import ElementTree as ET

import geopandas
import numpy as np
import pyarrow as pa
import pyogrio
import pytest
import shapely
from geopandas import GeoDataFrame
from pyarrow import parquet
from pyproj import CRS

from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, MissingFileError, OutputError
from geoseg.io.vector import (
    PROVENANCE_KEY,
    VECTOR_SUFFIXES,
    VectorLayer,
    read_polygons,
    vector_files,
    write_features,
)

UTM = CRS.from_epsg(32633)
LEGEND = Legend((LandClass(code=1, name="Wässer & 'Sumpf'", colour="#0000ff"),))
FIELDS = pa.schema([("id", pa.int64()), ("code", pa.int32()), ("class", pa.string()), ("share", pa.float32())])
PROVENANCE = Provenance(versions={"geoseg": "0.1.0"}, inputs={'a "b".tif': "ab12"}, command="geoseg predict 'ä'")
LAYER = VectorLayer(name="land", crs=UTM, fields=FIELDS, legend=LEGEND, provenance=PROVENANCE)
BOXES = np.array([shapely.box(500000 + 10 * i, 5000000, 500010 + 10 * i, 5000020) for i in range(5)], dtype=object)


def batches(layer=LAYER, size=2):
    for start in range(0, len(BOXES), size):
        ids = np.arange(start, min(start + size, len(BOXES)))
        columns = {"id": ids + 1, "code": np.ones(len(ids)), "class": ["Wässer & 'Sumpf'"] * len(ids)}
        columns["share"] = pa.array((ids / 8).astype(np.float32), mask=ids == 3)
        yield layer.batch(BOXES[ids], columns)


def broken():
    yield from batches(size=4)
    raise InputError("the strips end too early")


def read(path):
    """All polygons; by name of the layer, as a GeoPackage has the table of styles, too."""
    if path.suffix == ".parquet":
        return geopandas.read_parquet(path)
    return geopandas.read_file(path, layer="land" if path.suffix == ".gpkg" else None)


def assert_same_ground(frame):
    """The geometries of `BOXES`, as exactly as their format and CRS allow."""
    back = np.asarray(frame.geometry.to_crs(UTM).normalize())
    tolerance = 0 if frame.crs == UTM else 0.005 if frame.crs == 4326 else 1
    assert shapely.hausdorff_distance(back, shapely.normalize(BOXES)).max() <= tolerance


CRS_OF = {".geojson": 4326, ".geojsonl": 4326, ".geojsons": 4326, ".pmtiles": 3857}


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_every_format_is_read_back_equal(tmp_path, suffix):
    out = tmp_path / f"map{suffix}"
    notes = write_features(batches(), out, layer=LAYER)
    frame = read(out).sort_values("id", ignore_index=True)  # some formats sort by place
    more = {"mvt_id", "colour"} if suffix == ".pmtiles" else set()
    assert [name for name in frame.columns if name not in more] == [*FIELDS.names, "geometry"]
    assert frame["id"].tolist() == [1, 2, 3, 4, 5]
    assert frame["code"].tolist() == [1] * 5
    assert frame["class"].tolist() == ["Wässer & 'Sumpf'"] * 5
    assert frame["share"].isna().tolist() == [False, False, False, True, False]
    assert frame["share"].dropna().tolist() == [0, 0.125, 0.25, 0.5]
    assert set(frame.geom_type) <= ({"Polygon", "MultiPolygon"} if suffix == ".pmtiles" else {"Polygon"})
    assert frame.crs == CRS_OF.get(suffix, UTM)
    assert_same_ground(frame)
    assert ("EPSG:4326" in "".join(notes)) == (CRS_OF.get(suffix) == 4326)
    assert all(note.startswith(out.name) for note in notes)
    assert {*tmp_path.iterdir()} == {*vector_files(out)}


@pytest.mark.parametrize(
    ("suffix", "magic"),
    [
        (".gpkg", b"SQLite format 3\0"),
        (".fgb", b"fgb\x03fgb"),
        (".parquet", b"PAR1"),
        (".geojson", b"{"),
        (".geojsonl", b'{ "type": "Feature"'),
        (".geojsons", b'\x1e{ "type": "Feature"'),
        (".shp", b"\0\0\x27\x0a"),
        (".pmtiles", b"PMTiles\x03"),
    ],
)
def test_the_file_is_the_format_of_its_suffix(tmp_path, suffix, magic):
    out = tmp_path / f"map{suffix}"
    write_features(batches(), out, layer=LAYER)
    assert out.read_bytes().startswith(magic)


def test_geojson_is_json_without_a_crs_and_with_geographic_numbers(tmp_path):
    out = tmp_path / "map.geojson"
    write_features(batches(), out, layer=LAYER)
    document = json.loads(out.read_text(encoding="utf-8"))
    assert document["type"] == "FeatureCollection"
    assert "crs" not in document
    ring = shapely.Polygon(document["features"][0]["geometry"]["coordinates"][0])
    assert ring.exterior.is_ccw
    assert 14.9 < ring.centroid.x < 15.1


def test_geojson_of_geographic_polygons_needs_no_note(tmp_path):
    layer = VectorLayer(name="land", crs=CRS.from_epsg(4326), fields=pa.schema([("id", pa.int64())]))
    batch = layer.batch(np.array([shapely.box(8, 49, 8.5, 50)], dtype=object), {"id": [1]})
    assert write_features([batch], tmp_path / "map.geojson", layer=layer) == ()
    assert read(tmp_path / "map.geojson").geometry[0].bounds == (8, 49, 8.5, 50)


@pytest.mark.parametrize("none", [[], [LAYER.batch(BOXES[:0], {name: [] for name in FIELDS.names})]])
@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_no_polygons_make_a_valid_file(tmp_path, suffix, none):
    out = tmp_path / f"map{suffix}"
    write_features(none, out, layer=LAYER)
    assert {*tmp_path.iterdir()} == {*vector_files(out)}
    if suffix in {".geojsonl", ".geojsons"}:
        assert out.read_bytes() == b""  # a sequence of none
        return
    frame = read(out)
    assert len(frame) == 0
    if suffix not in {".geojson", ".pmtiles"}:  # have no schema
        assert [*frame.columns] == [*FIELDS.names, "geometry"]
        assert frame.crs == UTM


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_provenance_is_in_the_file_or_a_note_says_that_it_is_not(tmp_path, suffix):
    out = tmp_path / f"map{suffix}"
    notes = write_features(batches(), out, layer=LAYER)
    if suffix in {".geojsonl", ".geojsons"}:
        assert any("no provenance" in note for note in notes)
        return
    if suffix == ".parquet":
        text = parquet.read_metadata(out).metadata[PROVENANCE_KEY.encode()].decode()
    elif suffix == ".shp":
        text = ET.parse(out.with_suffix(".shp.xml")).findtext("idinfo/descript/supplinf")  # noqa: S314  (ours)
    elif suffix == ".pmtiles":
        text = pyogrio.read_info(out)["dataset_metadata"]["description"]
    else:
        metadata = pyogrio.read_info(out, layer="land")["layer_metadata"]
        text = metadata[PROVENANCE_KEY if suffix == ".gpkg" else "DESCRIPTION"]
    assert json.loads(text) == PROVENANCE.to_dict()


AWKWARD = ["\"quoted\" 'twice'", "<b>&amp;</b> ]]>", "🌲🌊 Fähre", '{"a": [1]}', "[1]", "a\\b,c;d\te", "x" * 254]


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_awkward_names_come_back_as_they_were(tmp_path, suffix):
    classes = enumerate(AWKWARD)
    legend = Legend(tuple(LandClass(code=i, name=name, colour=f"#0000{i:02x}") for i, name in classes))
    layer = replace(LAYER, legend=legend)
    count = len(AWKWARD)
    boxes = np.array([shapely.box(500000 + 10 * i, 5000000, 500010 + 10 * i, 5000020) for i in range(count)])
    columns = {"id": range(count), "code": range(count), "class": AWKWARD, "share": [None] * count}
    write_features([layer.batch(boxes, columns)], tmp_path / f"map{suffix}", layer=layer)
    assert read(tmp_path / f"map{suffix}").sort_values("id")["class"].tolist() == AWKWARD


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_legend_and_provenance_may_be_missing(tmp_path, suffix):
    layer = VectorLayer(name="land", crs=UTM, fields=FIELDS)
    out = tmp_path / f"map{suffix}"
    write_features(batches(layer), out, layer=layer)
    assert len(read(out)) == 5


def test_geopackage_carries_its_styles(tmp_path):
    out = tmp_path / "map.gpkg"
    write_features(batches(), out, layer=LAYER)
    with closing(sqlite3.connect(out)) as database:
        name, column, qml, sld = database.execute(
            "SELECT f_table_name, f_geometry_column, styleQML, styleSLD FROM layer_styles WHERE useAsDefault"
        ).fetchone()
    assert (name, column) == ("land", "geom")
    assert "0,0,255,255" in qml
    assert '<se:SvgParameter name="fill">#0000ff</se:SvgParameter>' in sld


def test_geopackage_has_an_index_and_its_metadata_in_the_tables_of_the_standard(tmp_path):
    out = tmp_path / "map.gpkg"
    write_features(batches(), out, layer=LAYER)
    with closing(sqlite3.connect(out)) as database:
        (application,) = database.execute("PRAGMA application_id").fetchone()
        (version,) = database.execute("PRAGMA user_version").fetchone()
        scope, mime, text = database.execute(
            "SELECT md_scope, mime_type, metadata FROM gpkg_metadata JOIN gpkg_metadata_reference ON id = md_file_id "
            "WHERE table_name = 'land'"
        ).fetchone()
        extensions = {row[0] for row in database.execute("SELECT extension_name FROM gpkg_extensions")}
        (indexed,) = database.execute("SELECT count(*) FROM rtree_land_geom WHERE minx < 500015").fetchone()
        health = database.execute("PRAGMA integrity_check").fetchone()
    assert application == int.from_bytes(b"GPKG", "big")
    assert 10300 <= version < 10500
    assert (scope, mime) == ("dataset", "text/xml")
    assert "geoseg predict" in text
    assert {"gpkg_rtree_index", "gpkg_metadata"} <= extensions
    assert (indexed, health) == (2, ("ok",))
    assert len(pyogrio.read_dataframe(out, layer="land", bbox=(500021, 5000001, 500029, 5000002))) == 1


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path, suffix):
    older = vector_files(tmp_path / f"map{suffix}")
    for path in older:
        path.write_text("older")
    with pytest.raises(InputError, match="the strips end too early"):
        write_features(broken(), older[0], layer=LAYER)
    assert {path.read_text() for path in older} == {"older"}
    assert {*tmp_path.iterdir()} == {*older}


@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_a_bug_while_making_batches_is_not_hidden(tmp_path, suffix):
    def bug():
        yield from batches()
        msg = "a bug"
        raise ZeroDivisionError(msg)

    with pytest.raises(ZeroDivisionError, match="a bug"):
        write_features(bug(), tmp_path / f"map{suffix}", layer=LAYER)
    assert list(tmp_path.iterdir()) == []


@contextmanager
def disk_of(size):
    """No file may grow beyond `size` bytes, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("missing", [2, 300, 8000, 200_000])
@pytest.mark.parametrize("suffix", VECTOR_SUFFIXES)
def test_a_full_disk_is_an_output_error_and_leaves_nothing(tmp_path, suffix, missing):
    """Also where GDAL meets it on closing the file only, and says nothing."""
    out = tmp_path / f"map{suffix}"
    count = 300 if suffix == ".pmtiles" else 2000  # a box becomes many tiles
    columns = {"id": np.arange(count), "code": np.ones(count), "class": ["w"] * count, "share": np.ones(count)}
    many = LAYER.batch(np.tile(BOXES, count // 5), columns)
    write_features([many], out, layer=LAYER)
    size = max(path.stat().st_size for path in vector_files(out))
    for path in vector_files(out):
        path.unlink()
    with (
        disk_of(max(size - missing, 1000)),
        pytest.raises(OutputError, match=r"cannot write features|could be written"),
    ):
        write_features([many], out, layer=LAYER)
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_is_replaced(tmp_path):
    out = tmp_path / "map.gpkg"
    write_features([], out, layer=LAYER)
    write_features(batches(), out, layer=LAYER)
    assert len(read(out)) == 5


def test_an_unknown_suffix_is_refused_with_the_known_ones(tmp_path):
    with pytest.raises(OutputError, match=r"'\.kml'.*\.gpkg, \.fgb, \.parquet, \.geojson"):
        write_features(batches(), tmp_path / "map.kml", layer=LAYER)


def test_a_missing_folder_is_an_output_error(tmp_path):
    with pytest.raises(OutputError, match=r"cannot write into .*nowhere"):
        write_features(batches(), tmp_path / "nowhere" / "map.gpkg", layer=LAYER)


@pytest.fixture
def labels():
    return GeoDataFrame({"class": ["a", "b"], "n": [1, 2]}, geometry=list(BOXES[:2]), crs=UTM)


@pytest.mark.parametrize("name", ["l.gpkg", "l.shp", "l.geojson", "l.fgb", "l.parquet"])
def test_label_polygons_are_read_in_the_crs_asked_for(tmp_path, labels, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        labels.to_parquet(path)
    else:
        labels.to_file(path, engine="pyogrio")
    frame = read_polygons(path, column="class", crs=CRS.from_epsg(32632))
    assert frame.crs == CRS.from_epsg(32632)
    assert sorted(frame["class"]) == ["a", "b"]
    areas = frame.to_crs(UTM).area.to_numpy()
    np.testing.assert_allclose(areas, 200, rtol=1e-3)


def test_our_own_map_can_be_read_as_labels(tmp_path):
    out = tmp_path / "map.gpkg"
    write_features(batches(), out, layer=LAYER)  # with layer_styles as a second table
    assert len(read_polygons(out, column="class", crs=UTM)) == 5


def test_the_layer_with_the_column_is_read(tmp_path, labels):
    path = tmp_path / "l.gpkg"
    labels.drop(columns="class").to_file(path, layer="one", engine="pyogrio")
    labels.to_file(path, layer="two", engine="pyogrio", mode="a")
    assert len(read_polygons(path, column="class", crs=UTM)) == 2
    with pytest.raises(InputError, match="one, two all have"):
        read_polygons(path, column="n", crs=UTM)


def test_rows_without_a_geometry_are_left_out(tmp_path, labels):
    labels.loc[0, "geometry"] = None
    labels.to_file(tmp_path / "l.gpkg", engine="pyogrio")
    assert read_polygons(tmp_path / "l.gpkg", column="class", crs=UTM)["class"].tolist() == ["b"]


def test_a_missing_label_file_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"none\.gpkg"):
        read_polygons(tmp_path / "none.gpkg", column="class", crs=UTM)


def test_label_files_that_cannot_be_used_are_refused(tmp_path, labels):
    def refused(frame, problem, column="class", name="l.gpkg"):
        path = tmp_path / name
        path.unlink(missing_ok=True)
        frame.to_file(path, engine="pyogrio")
        with pytest.raises(InputError, match=problem):
            read_polygons(path, column=column, crs=UTM)

    refused(labels, "'klass'; it has class, n", column="klass")
    refused(labels.iloc[:0], "no polygons")
    refused(labels.set_geometry(labels.centroid), "of type Point")
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        refused(labels.set_crs(None, allow_override=True), "no CRS", name="l.fgb")


@pytest.mark.parametrize("name", ["l.gpkg", "l.parquet", "l.txt"])
def test_a_file_that_is_no_vector_file_is_refused(tmp_path, name):
    (tmp_path / name).write_text("hello")
    with pytest.raises(InputError, match="cannot be read as a vector file"):
        read_polygons(tmp_path / name, column="class", crs=UTM)


def test_a_table_without_geometries_is_refused(tmp_path):
    (tmp_path / "l.csv").write_text("class,n\na,1\n")
    with pytest.raises(InputError, match="no layer with geometries"):
        read_polygons(tmp_path / "l.csv", column="class", crs=UTM)
    parquet.write_table(pa.table({"class": ["a"]}), tmp_path / "l.parquet")
    with pytest.raises(InputError, match="cannot be read as a vector file"):
        read_polygons(tmp_path / "l.parquet", column="class", crs=UTM)


def test_polygons_that_a_crs_cannot_hold_are_refused(tmp_path):
    boxes = [shapely.box(175, 0, 176, 1), shapely.box(5, 0, 6, 1)]
    GeoDataFrame({"class": ["a", "b"]}, geometry=boxes, crs=4326).to_file(tmp_path / "l.gpkg", engine="pyogrio")
    with pytest.raises(InputError, match="do not exist in the CRS"):
        read_polygons(tmp_path / "l.gpkg", column="class", crs=CRS.from_dict({"proj": "ortho", "lon_0": 180}))


@pytest.mark.parametrize(
    ("name", "column", "count"),
    [
        ("rcv_sentinel2/train_polys7.shp", "class", 45),
        ("newbrunswick_aerial/BakerLake_2017_clipped.gpkg", "Niveau_1", 43),
    ],
)
def test_real_labels_are_read(shared_data, name, column, count):
    frame = read_polygons(shared_data / name, column=column, crs=CRS.from_epsg(4326))
    assert len(frame) == count
    assert frame[column].notna().all()
