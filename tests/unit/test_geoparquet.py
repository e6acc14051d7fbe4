"""GeoParquet: sorted along a Hilbert curve whatever fits into memory, and read in part by its bounds."""

from __future__ import annotations

import json

import geopandas
import numpy as np
import pyarrow as pa
import pytest
import shapely
from pyarrow import parquet
from pyproj import CRS

from geoseg.io.vector import VectorLayer, write_features
from geoseg.io.vector.geoparquet import _GROUP_ROWS
from geoseg.io.vector.sorting import CORNERS, boxes_of, hilbert_codes, sorted_by_place

UTM = CRS.from_epsg(32633)
LAYER = VectorLayer(name="land", crs=UTM, fields=pa.schema([("id", pa.int64())]))
SCHEMA = pa.schema([("id", pa.int64()), ("bbox", pa.struct([(corner, pa.float64()) for corner in CORNERS]))])


def boxes_at(x, y):
    return np.column_stack([x, y, x, y]).astype(float)


def batch_of(ids, boxes):
    struct = pa.StructArray.from_arrays([pa.array(corner) for corner in boxes.T], CORNERS)
    return pa.RecordBatch.from_arrays([pa.array(ids), struct], schema=SCHEMA)


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_the_curve_visits_every_cell_once_and_steps_to_a_neighbour(bits):
    side = 2**bits
    y, x = np.divmod(np.arange(side**2), side)
    codes = hilbert_codes(boxes_at(x, y), np.array([0, 0, side - 1, side - 1]))
    assert len(np.unique(codes)) == side**2
    order = np.argsort(codes)
    steps = np.abs(np.diff(x[order])) + np.abs(np.diff(y[order]))
    assert (steps == 1).all()


def test_degenerate_extents_and_empty_geometries_have_a_place():
    boxes = np.array([[3, 4, 3, 4], [np.nan] * 4], dtype=float)
    assert hilbert_codes(boxes, np.array([3, 4, 3, 4.0])).tolist() == [0, 0]


@pytest.mark.parametrize("bucket_bytes", [100, 5000, 2**25])
def test_the_order_does_not_depend_on_the_buckets(tmp_path, bucket_bytes):
    rng = np.random.default_rng(0)
    corners = rng.random((3000, 2))
    boxes = np.hstack([corners, corners + 0.01 * rng.random((3000, 2))])
    boxes[1000:2000] = boxes[:1000]  # equal ones stay in their order
    batches = (batch_of(np.arange(i, i + 250), boxes[i : i + 250]) for i in range(0, 3000, 250))
    tables = list(sorted_by_place(batches, SCHEMA, tmp_path, bucket_bytes=bucket_bytes))
    assert len(tables) == pytest.approx(min(256, 3000 * 40 / bucket_bytes), rel=0.3, abs=1)
    whole = pa.concat_tables(tables)
    extent = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    wanted = np.argsort(hilbert_codes(boxes, extent), kind="stable")
    np.testing.assert_array_equal(whole.column("id").to_numpy(), wanted)
    np.testing.assert_array_equal(boxes_of(whole), boxes[wanted])


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """Forty thousand squares, row by row."""
    out = tmp_path_factory.mktemp("parquet") / "map.parquet"
    y, x = np.divmod(np.arange(200 * 200), 200)
    squares = shapely.box(500000 + 10 * x, 5000000 - 10 * y, 500010 + 10 * x, 5000010 - 10 * y)
    rows = range(0, len(squares), 4000)
    write_features((LAYER.batch(squares[i : i + 4000], {"id": np.arange(i, i + 4000)}) for i in rows), out, layer=LAYER)
    return out


def test_metadata_follow_the_specification(file):
    metadata = parquet.read_metadata(file)
    geo = json.loads(metadata.metadata[b"geo"])
    assert (geo["version"], geo["primary_column"]) == ("1.1.0", "geometry")
    column = geo["columns"]["geometry"]
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon"]
    assert column["bbox"] == [500000, 4998010, 502000, 5000010]
    assert column["covering"] == {"bbox": {corner: ["bbox", corner] for corner in CORNERS}}
    assert CRS.from_json_dict(column["crs"]) == UTM
    assert metadata.row_group(0).column(1).compression == "ZSTD"
    assert metadata.num_row_groups == -(-40000 // _GROUP_ROWS)


def test_bounds_are_those_of_the_geometries(file):
    table = parquet.read_table(file)
    np.testing.assert_array_equal(boxes_of(table), shapely.bounds(shapely.from_wkb(table["geometry"].to_numpy())))


def test_row_groups_are_compact(file):
    """A group of the rows as they came would be 200 squares wide; one along the curve covers little more ground."""
    metadata = parquet.read_metadata(file)
    names = metadata.schema.names
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        low = [group.column(names.index(c)).statistics.min for c in CORNERS[:2]]
        high = [group.column(names.index(c)).statistics.max for c in CORNERS[2:]]
        assert np.prod(np.subtract(high, low)) < 2.1 * 100 * group.num_rows


def test_a_part_is_read_by_its_bounds(file):
    some = geopandas.read_parquet(file, bbox=(500502, 4999502, 500598, 4999598))
    assert len(some) == 100
    assert some.crs == UTM
    assert "bbox" not in some.columns
    assert len(geopandas.read_parquet(file)) == 40000
