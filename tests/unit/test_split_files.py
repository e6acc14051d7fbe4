"""Split files: the same split comes back, edits in QGIS count, and other files are refused."""

from __future__ import annotations

import sqlite3
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from xml.etree import ElementTree as ET

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine
from factory import LEGEND
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS

from geoseg.core.grid import Grid
from geoseg.data.splits.blocks import Block
from geoseg.data.splits.build import build_split
from geoseg.data.splits.files import load_split, save_split
from geoseg.data.splits.options import SplitOptions
from geoseg.data.splits.plane import Plane
from geoseg.data.splits.split import FOLDS, TEST, TRAIN, VAL, SpatialSplit, turn
from geoseg.errors import InputError, MissingFileError, OutputError

GRID = Grid(crs=CRS.from_epsg(32612), transform=Affine(30, 0, 301905, 0, -30, 4154085), height=100, width=100)


@dataclass(frozen=True, eq=False)
class ArrayMap:
    grid: Grid
    labels: np.ndarray

    @contextmanager
    def reader(self):
        yield self

    def read(self, window):
        return self.labels[window.slices]


MAP = ArrayMap(GRID, np.random.default_rng(0).integers(0, 3, GRID.shape).astype(np.uint8))


def built_of(**options):
    return build_split([MAP], 3, SplitOptions(**({"block_m": 600.0, "buffer_m": 60.0} | options)))


def edit(path, sql, *values):
    """As QGIS does it, less the triggers of the spatial index that need GDAL's functions."""
    with closing(sqlite3.connect(path)) as database, database:
        triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'blocks'"
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.execute(sql, values)


@given(st.integers(0, 10**6), st.integers(3, 6), st.booleans(), st.floats(0, 1e4), st.integers(1, 20))
@settings(max_examples=12, deadline=None)
def test_a_split_comes_back_as_it_was(tmp_path_factory, seed, k, turns, buffer_m, number):
    rng = np.random.default_rng(seed)
    squares = [shapely.box(i * 1000.0, 0, i * 1000.0 + rng.uniform(1, 999), rng.uniform(1, 999)) for i in range(20)]
    polygons = [
        *squares[:number],
        shapely.MultiPolygon([shapely.box(-50, -50, 0, 0), shapely.box(-90, -50, -70, 1 / 3)]),
    ]
    split = SpatialSplit(
        plane=Plane(lon=rng.uniform(-180, 180), lat=rng.uniform(-90, 90)),
        blocks=tuple(Block(name=f"block's {i} ü", polygon=polygon) for i, polygon in enumerate(polygons)),
        parts=tuple(rng.integers(0, k if turns else 3, len(polygons)).tolist()),
        roles=turn(k, seed % k) if turns else (TRAIN, VAL, TEST),
        buffer_m=0.0 if number > 10 else buffer_m,
        seed=seed,
        method='by "hand"',
    )
    path = tmp_path_factory.mktemp("split") / "s.gpkg"
    save_split(split, path)
    assert load_split(path) == split


def test_the_layers_hold_what_a_user_wants_to_see(tmp_path):
    built, path = built_of(), tmp_path / "s.gpkg"
    save_split(built.split, path, legend=LEGEND, block_pixels=built.block_pixels)
    blocks, folds = (pyogrio.read_dataframe(path, layer=layer) for layer in ("blocks", "folds"))
    assert blocks["fold"].tolist() == [FOLDS[fold] for fold in built.split.folds]
    assert blocks["labelled_px"].sum() == MAP.labels.size
    np.testing.assert_array_equal(blocks[["px_1_water", "px_2_developed", "px_4_forest"]], built.block_pixels)
    np.testing.assert_allclose(blocks["area_m2"], 600.0**2)
    assert folds["fold"].tolist() == list(FOLDS)
    np.testing.assert_allclose(folds["area_m2"], folds.geometry.area)
    assert 0 < folds["area_m2"].sum() < blocks["area_m2"].sum()
    train, val, _ = folds.geometry
    assert train.distance(val) >= 60.0
    assert CRS.from_user_input(blocks.crs) == built.split.crs


def test_both_layers_have_a_style_with_the_folds_as_categories(tmp_path):
    path = tmp_path / "s.gpkg"
    save_split(built_of().split, path)
    with closing(sqlite3.connect(path)) as database:
        rows = database.execute("SELECT f_table_name, styleQML, useAsDefault FROM layer_styles").fetchall()
    assert sorted(name for name, _, _ in rows) == ["blocks", "folds"]
    for _, qml, default in rows:
        root = ET.fromstring(qml)  # noqa: S314
        assert default
        assert root.find("renderer-v2").get("attr") == "fold"
        categories = root.findall(".//category")
        assert [(c.get("value"), c.get("type")) for c in categories] == [(fold, "string") for fold in FOLDS]
        assert {c.get("symbol") for c in categories} == {s.get("name") for s in root.findall(".//symbol")}


def test_an_edited_fold_counts(tmp_path):
    split, path = built_of().split, tmp_path / "s.gpkg"
    save_split(split, path)
    edit(path, "UPDATE blocks SET fold = 'test' WHERE name = ?", split.blocks[4].name)
    edit(path, "UPDATE blocks SET part = 1 WHERE name = ?", split.blocks[5].name)
    loaded = load_split(path)
    expected = list(split.folds)
    expected[4], expected[5] = TEST, VAL
    assert list(loaded.folds) == expected
    assert loaded.blocks == split.blocks


def test_edits_of_a_cross_validation_change_parts(tmp_path):
    split, path = built_of(folds=5, fold=1).split, tmp_path / "s.gpkg"
    save_split(split, path)
    i = split.parts.index(4)
    edit(path, "UPDATE blocks SET fold = 'val' WHERE name = ?", split.blocks[i].name)
    j = split.parts.index(1)
    edit(path, "UPDATE blocks SET part = 0, fold = 'train' WHERE name = ?", split.blocks[j].name)
    loaded = load_split(path)
    assert (loaded.parts[i], loaded.parts[j]) == (2, 0)
    assert loaded.run(2).folds[i] == TEST
    edit(path, "UPDATE blocks SET part = 3, fold = 'test' WHERE name = ?", split.blocks[i].name)
    with pytest.raises(InputError, match="part 3 and fold test, but that part is train"):
        load_split(path)


def test_blocks_may_be_removed_moved_and_added(tmp_path):
    split, path = built_of().split, tmp_path / "s.gpkg"
    save_split(split, path)
    frame = pyogrio.read_dataframe(path, layer="blocks")
    edit(path, "DELETE FROM blocks WHERE name = ?", split.blocks[0].name)
    loaded = load_split(path)
    assert loaded == replace(split, blocks=split.blocks[1:], parts=split.parts[1:])
    moved = shapely.transform(frame.geometry[1], lambda xy: xy - (0, 5e4))
    header = bytes.fromhex("47500001") + (0).to_bytes(4, "little")  # GeoPackage 1.3, clause 2.1.3: no envelope
    edit(path, "UPDATE blocks SET geom = ? WHERE name = ?", header + shapely.to_wkb(moved), split.blocks[1].name)
    new = shapely.box(9e4, 0, 9.1e4, 1e3)
    edit(path, "INSERT INTO blocks (geom, fold) VALUES (?, 'test')", header + shapely.to_wkb(new))
    loaded = load_split(path)
    assert loaded.blocks[0].polygon.equals(moved)
    assert loaded.blocks[-1].polygon.equals(new)
    assert loaded.folds[-1] == TEST
    edit(path, "UPDATE blocks SET geom = ? WHERE fid = 3", header + shapely.to_wkb(new))
    with pytest.raises(InputError, match="overlap by 1 km²"):
        load_split(path)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("UPDATE blocks SET fold = 'exam' WHERE fid = 1", "has the fold 'exam'; folds are train, val, test"),
        ("UPDATE blocks SET part = 7 WHERE fid = 1", "has the part 7; parts are 0 to 2"),
        ("UPDATE blocks SET name = 'a' WHERE fid < 3", "unique names"),
        ("UPDATE blocks SET geom = NULL WHERE fid = 1", "no valid polygon"),
        ("UPDATE blocks SET name = 'new', fold = NULL, part = NULL WHERE fid = 1", "neither fold nor part"),
        ("ALTER TABLE blocks DROP COLUMN fold", "has lost a column"),
        (
            "UPDATE gpkg_metadata SET metadata = replace(metadata, 'version', 'edition')",
            "another version or is damaged",
        ),
        ("DELETE FROM gpkg_metadata", "holds no split of geoseg"),
    ],
)
def test_what_is_no_split_any_more_is_refused(tmp_path, sql, message):
    path = tmp_path / "s.gpkg"
    save_split(built_of().split, path)
    edit(path, sql)
    with pytest.raises(InputError, match=message):
        load_split(path)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(MissingFileError):
        load_split(tmp_path / "none.gpkg")
    (tmp_path / "text.gpkg").write_text("no GeoPackage")
    with pytest.raises(InputError, match="cannot be read as a split"):
        load_split(tmp_path / "text.gpkg")
    with pytest.raises(OutputError, match=r"\.gpkg"):
        save_split(built_of().split, tmp_path / "s.geojson")
    with pytest.raises(OutputError):
        save_split(built_of().split, tmp_path / "missing" / "s.gpkg")


def test_saving_replaces_a_file_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "s;!.gpkg"
    path.write_text("old")
    save_split(built_of().split, path)
    assert [p.name for p in tmp_path.iterdir()] == ["s;!.gpkg"]


def test_options_may_name_a_file(tmp_path):
    built, path = built_of(folds=4), tmp_path / "s.gpkg"
    save_split(built.split, path)
    again = build_split([MAP], 3, SplitOptions(file=path, fold=2))
    assert again.split == built.split.run(2)
    np.testing.assert_array_equal(again.block_pixels, built.block_pixels)
    save_split(built_of().split, path)
    with pytest.raises(InputError, match="leave out fold"):
        build_split([MAP], 3, SplitOptions(file=path, fold=2))
    far = ArrayMap(replace(GRID, transform=Affine(30, 0, 501905, 0, -30, 4154085)), MAP.labels)
    with pytest.raises(InputError, match="made for other scenes"):
        build_split([far], 3, SplitOptions(file=path))
