"""Labels of a scene: from rasters, features and probabilities, one source or many, window by window."""

from __future__ import annotations

import pickle
import shutil

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from factory import LEGEND, NORTH_UP, write_raster
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pyproj import CRS, Transformer
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt
from shapely import LineString, Point, Polygon, box

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, LandClass, Legend
from geoseg.data.labels import as_label_options, open_labels
from geoseg.errors import InputError, MissingFileError

SIDE = 30.0
GRID = Grid(crs=CRS.from_epsg(32612), transform=NORTH_UP, height=70, width=90)
LEFT, TOP = NORTH_UP @ (0, 0)
NAMES = [c.name for c in LEGEND]  # codes 1, 2, 4


def ground(row, col, height=1, width=1):
    """The ground of a window of the grid."""
    return box(LEFT + SIDE * col, TOP - SIDE * (row + height), LEFT + SIDE * (col + width), TOP - SIDE * row)


def write_features(path, geometries, crs="EPSG:32612", **columns):
    geopandas.GeoDataFrame(columns, geometry=geometries, crs=crs).to_file(path, engine="pyogrio")
    return path


def read(options, grid=GRID, legend=LEGEND):
    with open_labels(as_label_options(options), grid, legend).reader() as reader:
        return reader.read(grid.window)


def classes(options, grid=GRID, legend=LEGEND):
    return read(options, grid, legend).classes


def random_codes(seed=0, shape=(70, 90), values=(1, 2, 4, 255), side=5):
    rng = np.random.default_rng(seed)
    coarse = rng.choice(values, (-(-shape[0] // side), -(-shape[1] // side)))
    return np.kron(coarse, np.ones((side, side)))[: shape[0], : shape[1]].astype(np.uint8)


def to_indices(codes):
    return np.select([codes == 1, codes == 2, codes == 4], [0, 1, 2], UNLABELLED).astype(np.uint8)


# Rasters.


def test_a_raster_on_the_scenes_grid_gives_its_own_pixels(tmp_path):
    codes = random_codes()
    write_raster(tmp_path / "l.tif", codes[None], nodata=255)
    np.testing.assert_array_equal(classes(tmp_path / "l.tif"), to_indices(codes))


@pytest.mark.parametrize("crs", ["EPSG:32611", "EPSG:4326", "EPSG:3857"])
def test_a_raster_in_another_crs_gives_its_nearest_pixels(tmp_path, crs):
    there = Transformer.from_crs("EPSG:32612", crs, always_xy=True)
    left, bottom, right, top = there.transform_bounds(*GRID.bounds)
    transform = Affine.translation(left, top) @ Affine.scale((right - left) / 130, -(top - bottom) / 110)
    codes = random_codes(shape=(110, 130))
    write_raster(tmp_path / "l.tif", codes[None], nodata=255, crs=crs, transform=transform)
    rows, cols = np.mgrid[:70, :90] + 0.5
    x, y = there.transform(LEFT + SIDE * cols, TOP - SIDE * rows)
    col, row = (np.floor(v).astype(int) for v in ~transform @ (x, y))
    inside = (row >= 0) & (row < 110) & (col >= 0) & (col < 130)
    expected = np.where(inside, to_indices(codes)[row.clip(0, 109), col.clip(0, 129)], UNLABELLED)
    assert (classes(tmp_path / "l.tif") == expected).mean() > 0.999, "but for a centre on the border of two pixels"


def test_many_codes_can_be_one_class_and_others_nothing(tmp_path):
    codes = np.array([[11, 12, 41], [42, 90, 255], [11, 95, 0]], dtype=np.uint8)
    grid = Grid(crs=GRID.crs, transform=NORTH_UP, height=3, width=3)
    write_raster(tmp_path / "l.tif", codes[None], nodata=255)
    source = {"path": tmp_path / "l.tif", "classes": {"water": [11, 12], "forest": [41, "42"], "developed": 0}}
    found = classes(source | {"ignore": [90, 95]}, grid)
    np.testing.assert_array_equal(found, [[0, 0, 2], [2, 255, 255], [0, 255, 1]])
    np.testing.assert_array_equal(classes(source | {"ignore": "rest"}, grid), found)
    with pytest.raises(InputError, match=r"found the codes 90, 95, the legend has 1, 2, 4; map them in `classes`"):
        classes(source, grid)


def test_codes_outside_the_legend_are_refused(tmp_path):
    codes = random_codes()
    codes[5, 5] = 7
    write_raster(tmp_path / "l.tif", codes[None], nodata=255)
    with pytest.raises(InputError, match=r"l\.tif: found the codes 7, the legend has 1, 2, 4"):
        classes(tmp_path / "l.tif")


def test_a_value_can_mean_one_thing_only():
    for source in ({"classes": {"water": [1], "forest": [1.0]}}, {"classes": {"water": ["3"]}, "ignore": [3]}):
        with pytest.raises(ValidationError, match="each value can mean one thing only"):
            as_label_options({"path": "l.tif"} | source)


# Features.


def random_polygons(seed, count=25):
    rng = np.random.default_rng(seed)
    polygons = []
    for _ in range(count):
        centre = rng.uniform((LEFT - 100, TOP - 70 * SIDE), (LEFT + 90 * SIDE, TOP + 100))
        angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 40)))
        radii = rng.uniform(50, 600, len(angles))
        polygons.append(Polygon(centre + np.column_stack([np.cos(angles), np.sin(angles)]) * radii[:, None]))
    polygons = [p if p.is_valid else shapely.convex_hull(p) for p in polygons]
    return polygons, rng.choice(NAMES, count).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_polygons_take_the_pixels_whose_centre_they_hold_later_ones_over_earlier(tmp_path, seed):
    polygons, names = random_polygons(seed)
    write_features(tmp_path / "l.gpkg", polygons, kind=names)
    expected = rasterize(
        [(p, NAMES.index(name)) for p, name in zip(polygons, names, strict=True)],
        out_shape=GRID.shape,
        transform=NORTH_UP,
        fill=UNLABELLED,
        dtype="uint8",
    )
    found = classes({"path": tmp_path / "l.gpkg", "column": "kind"})
    assert (found != expected).sum() <= 1, "but for a centre that lies on an edge"


def test_polygons_in_another_crs_by_name_or_code(tmp_path):
    squares = [ground(0, 0, 20, 20), ground(0, 20, 20, 20)]
    for column, values in (("name", ["forest", "water"]), ("number", [4, 1]), ("text", ["4", "1"])):
        frame = geopandas.GeoDataFrame({column: values}, geometry=squares, crs="EPSG:32612").to_crs(4326)
        frame.to_file(tmp_path / f"{column}.gpkg")
        found = classes({"path": tmp_path / f"{column}.gpkg", "column": column})
        assert (found[1:19, 1:19] == 2).all()
        assert (found[1:19, 21:39] == 0).all()
        assert (found[21:] == UNLABELLED).all()


def test_priority_decides_where_features_overlap(tmp_path):
    squares = [ground(0, 0, 30, 30), ground(10, 10, 30, 30), ground(5, 5, 10, 40)]
    write_features(tmp_path / "l.gpkg", squares, kind=["water", "forest", "developed"])
    source = {"path": tmp_path / "l.gpkg", "column": "kind"}
    assert classes(source)[12, 12] == NAMES.index("developed")
    assert classes(source | {"priority": ["water"]})[12, 12] == NAMES.index("water")
    found = classes(source | {"priority": ["forest", "water"]})
    assert found[12, 12] == NAMES.index("forest")
    assert found[7, 7] == NAMES.index("water")


@pytest.mark.parametrize("crs", ["EPSG:32612", "EPSG:4326"])
def test_lines_and_points_get_a_width_in_metres(tmp_path, crs):
    line = LineString([(LEFT + 100, TOP - 315), (LEFT + 2600, TOP - 315)])
    point = Point(LEFT + 1215, TOP - 1215)
    frame = geopandas.GeoDataFrame({"kind": ["water", "forest"]}, geometry=[line, point], crs="EPSG:32612").to_crs(crs)
    frame.to_file(tmp_path / "l.gpkg")
    found = classes({"path": tmp_path / "l.gpkg", "column": "kind", "buffer_m": {"water": 100, "forest": 300}})
    rows, cols = np.mgrid[:70, :90] + 0.5
    places = shapely.points(LEFT + SIDE * cols, TOP - SIDE * rows)
    for feature, radius, index in ((line, 100, 0), (point, 300, 2)):
        distance = shapely.distance(places, feature)
        clear = np.abs(distance - radius) > 2  # the scale of a UTM grid is off by 0.04 %
        np.testing.assert_array_equal((found == index)[clear], (distance < radius)[clear])
    with pytest.raises(InputError, match="lines or points of forest, which cover no ground; give them `buffer_m`"):
        classes({"path": tmp_path / "l.gpkg", "column": "kind", "buffer_m": {"water": 50}})


def test_a_thin_line_has_no_gaps(tmp_path):
    line = LineString([(LEFT, TOP), (LEFT + 2600, TOP - 1900)])
    write_features(tmp_path / "l.gpkg", [line], kind=["water"])
    found = classes({"path": tmp_path / "l.gpkg", "column": "kind", "buffer_m": 0.5})
    for t in np.linspace(0.01, 0.99, 500):
        x, y = line.interpolate(t, normalized=True).coords[0]
        row, col = int((TOP - y) // SIDE), int((x - LEFT) // SIDE)
        assert (found[max(0, row - 1) : row + 2, max(0, col - 1) : col + 2] == 0).any()


def test_polygons_that_cross_themselves_are_mended(tmp_path):
    bow = Polygon([(LEFT, TOP), (LEFT + 900, TOP - 900), (LEFT + 900, TOP), (LEFT, TOP - 900)])
    write_features(tmp_path / "l.gpkg", [bow], kind=["water"])
    found = classes({"path": tmp_path / "l.gpkg", "column": "kind"})
    assert (found == 0).sum() == pytest.approx(450, abs=40)


def test_the_layer_with_the_column_is_found_and_can_be_named(tmp_path):
    path = tmp_path / "l.gpkg"
    for layer, name in (("one", "water"), ("two", "forest")):
        frame = geopandas.GeoDataFrame({"kind": [name]}, geometry=[ground(0, 0, 9, 9)], crs="EPSG:32612")
        frame.to_file(path, layer=layer)
    geopandas.GeoDataFrame({"other": [1]}, geometry=[ground(0, 0)], crs="EPSG:32612").to_file(path, layer="three")
    assert classes({"path": path, "column": "kind", "layer": "two"})[3, 3] == 2
    assert classes({"path": path, "column": "other", "classes": {"water": 1}})[0, 0] == 0
    with pytest.raises(InputError, match="the layers one, two all have a column 'kind'"):
        classes({"path": path, "column": "kind"})


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "parquet", "geojson", "shp"])
def test_every_vector_format_gives_the_same(tmp_path, suffix):
    polygons, names = random_polygons(1)
    frame = geopandas.GeoDataFrame({"kind": names}, geometry=polygons, crs="EPSG:32612")
    path = tmp_path / f"l.{suffix}"
    if suffix == "parquet":
        frame.to_parquet(path)
    elif suffix == "geojson":
        frame.to_crs(4326).to_file(path, COORDINATE_PRECISION=15)
    else:
        # a spatial index, as FlatGeobuf has by default, stores features in another order
        frame.to_file(path, **({"SPATIAL_INDEX": "NO"} if suffix == "fgb" else {}))
    write_features(tmp_path / "plain.gpkg", polygons, kind=names)
    expected = classes({"path": tmp_path / "plain.gpkg", "column": "kind"})
    assert (classes({"path": path, "column": "kind"}) == expected).mean() > 0.999


# Boundaries.


@pytest.mark.parametrize("distance", [20, 46, 100])
def test_pixels_near_a_change_of_class_are_unlabelled(tmp_path, distance):
    codes = random_codes(values=(1, 2, 4), side=14)
    write_raster(tmp_path / "l.tif", codes[None])
    found = classes({"path": tmp_path / "l.tif", "boundary_m": distance})
    fine = np.kron(codes, np.ones((9, 9), dtype=np.uint8))  # pixels of 3.33 m
    near = np.zeros(codes.shape, dtype=bool)
    for code in (1, 2, 4):
        to_others = distance_transform_edt(fine == code)[4::9, 4::9] - 0.5
        near |= (codes == code) & (to_others * SIDE / 9 < distance - 2)
    clear = np.zeros(codes.shape, dtype=bool)
    for code in (1, 2, 4):
        to_others = distance_transform_edt(fine == code)[4::9, 4::9] - 0.5
        clear |= (codes == code) & (np.abs(to_others * SIDE / 9 - distance) > 3)
    np.testing.assert_array_equal((found == UNLABELLED)[clear], near[clear])
    kept = found != UNLABELLED
    np.testing.assert_array_equal(found[kept], to_indices(codes)[kept])


def test_the_outline_of_features_counts_and_that_of_a_raster_does_not(tmp_path):
    write_features(tmp_path / "l.gpkg", [ground(20, 20, 20, 20)], kind=["water"])
    found = classes({"path": tmp_path / "l.gpkg", "column": "kind", "boundary_m": 60})
    np.testing.assert_array_equal(np.argwhere(found == 0)[[0, -1]], [[22, 22], [37, 37]])
    codes = np.full((1, 70, 90), 255, dtype=np.uint8)
    codes[:, 20:40, 20:40] = 1
    write_raster(tmp_path / "l.tif", codes, nodata=255)
    assert (classes({"path": tmp_path / "l.tif", "boundary_m": 60}) == 0).sum() == 400


# Several sources, area of interest, background.


def test_later_sources_cover_earlier_ones_wherever_they_are_labelled(tmp_path):
    codes = random_codes(values=(1, 255))
    write_raster(tmp_path / "a.tif", np.full((1, 70, 90), 4, dtype=np.uint8))
    write_raster(tmp_path / "b.tif", codes[None], nodata=255)
    found = classes([tmp_path / "a.tif", tmp_path / "b.tif"])
    np.testing.assert_array_equal(found, np.where(codes == 1, 0, 2))


@pytest.mark.parametrize("crs", ["EPSG:32612", "EPSG:4326"])
def test_nothing_is_labelled_outside_of_the_area_of_interest(tmp_path, crs):
    write_raster(tmp_path / "l.tif", np.full((1, 70, 90), 4, dtype=np.uint8))
    area = geopandas.GeoDataFrame(geometry=[ground(10, 10, 20, 30)], crs="EPSG:32612").to_crs(crs)
    area.to_file(tmp_path / "aoi.gpkg")
    found = classes({"sources": [tmp_path / "l.tif"], "aoi": tmp_path / "aoi.gpkg"})
    expected = np.full((70, 90), UNLABELLED)
    expected[10:30, 10:40] = 2
    assert (found != expected).sum() <= 60 * (crs != "EPSG:32612"), "warped corners: half a pixel along the edges"


def test_background_is_what_nobody_speaks_of_inside_of_the_area(tmp_path):
    write_features(
        tmp_path / "l.gpkg",
        [ground(5, 5, 20, 20), ground(5, 40, 10, 10)],
        kind=["water", "cloud"],
    )
    geopandas.GeoDataFrame(geometry=[ground(0, 0, 40, 60)], crs="EPSG:32612").to_file(tmp_path / "aoi.gpkg")
    source = {"path": tmp_path / "l.gpkg", "column": "kind", "ignore": ["cloud"], "boundary_m": 40}
    options = {"sources": [source], "aoi": tmp_path / "aoi.gpkg", "background": "forest"}
    found = classes(options)
    assert (found[40:] == UNLABELLED).all()
    assert (found[:, 60:] == UNLABELLED).all()
    assert (found[7:23, 7:23] == 0).all()
    assert (found[5, 5:25] == UNLABELLED).all(), "the band along the edge, inside"
    assert (found[4, 5:25] == UNLABELLED).all(), "and outside"
    assert (found[5:15, 40:50] == UNLABELLED).all(), "ignored"
    assert (found[30:39, 5:55] == 2).all()
    assert (classes(options | {"background": None})[30:39, 5:55] == UNLABELLED).all()
    with pytest.raises(InputError, match="found the background 'sand', the legend has water, developed, forest"):
        classes(options | {"background": "sand"})


def test_background_of_annotators_is_what_none_of_them_labelled(tmp_path):
    one, two = np.full((2, 1, 70, 90), 255, dtype=np.uint8)
    one[:, :10], two[:, 5:15], two[:, 5:8] = 1, 1, 2
    write_raster(tmp_path / "a.tif", one, nodata=255)
    write_raster(tmp_path / "b.tif", two, nodata=255)
    sources = [{"path": tmp_path / f"{n}.tif", "annotator": n} for n in "ab"]
    found = classes({"sources": sources, "background": "forest"})
    assert (found[:5] == 0).all()
    assert (found[5:8] == UNLABELLED).all(), "they disagree"
    assert (found[8:15] == 0).all()
    assert (found[15:] == 2).all()


# Annotators and probabilities.


def opinions(folder, seeds=(0, 1, 2)):
    arrays = [random_codes(seed, side=3) for seed in seeds]
    for i, codes in enumerate(arrays):
        write_raster(folder / f"{i}.tif", codes[None], nodata=255)
    sources = [{"path": folder / f"{i}.tif", "annotator": f"person {i}"} for i in range(len(arrays))]
    return np.stack([to_indices(codes) for codes in arrays]), sources


@pytest.mark.parametrize("rule", ["majority", "unanimous", "shares"])
def test_annotators_agree_by_a_rule(tmp_path, rule):
    votes, sources = opinions(tmp_path)
    found = read({"sources": sources, "consensus": rule})
    for row, col in np.ndindex(70, 90):
        given_votes = [v for v in votes[:, row, col].tolist() if v != UNLABELLED]
        counts = np.bincount(given_votes, minlength=3)
        if not given_votes:
            expected = UNLABELLED
        elif rule == "unanimous":
            expected = given_votes[0] if len(set(given_votes)) == 1 else UNLABELLED
        elif rule == "majority":
            expected = int(counts.argmax()) if (counts == counts.max()).sum() == 1 else UNLABELLED
        else:
            expected = int(counts.argmax())
            np.testing.assert_allclose(found.shares[:, row, col], counts / len(given_votes))
        assert found.classes[row, col] == expected
    assert (found.shares is None) == (rule != "shares")
    if rule == "shares":
        assert (found.shares[:, (votes == UNLABELLED).all(axis=0)] == 0).all()


def random_shares(seed=0):
    shares = np.random.default_rng(seed).dirichlet([0.4] * 3, (70, 90)).transpose(2, 0, 1).astype(np.float32)
    shares[:, :5, :7] = np.nan
    shares[:, 60:, 80:] = 0
    return shares


def test_probabilities_are_soft_labels(tmp_path):
    shares = random_shares()
    order = [2, 0, 1]
    names = tuple(NAMES[i] for i in order)
    write_raster(tmp_path / "p.tif", shares[order], names=names, nodata=np.nan)
    found = read({"path": tmp_path / "p.tif", "probabilities": True})
    known = np.nan_to_num(shares).any(axis=0)
    np.testing.assert_allclose(found.shares[:, known], shares[:, known], atol=1e-6)
    assert (found.shares[:, ~known] == 0).all()
    np.testing.assert_array_equal(found.classes, np.where(known, np.nan_to_num(shares).argmax(axis=0), UNLABELLED))


def test_scaled_probabilities_and_a_certain_source_over_them(tmp_path):
    shares = np.nan_to_num(random_shares())
    percent = np.round(shares * 200).astype(np.uint8)
    percent[0] = np.where(percent.any(axis=0), 200 - percent[1:].sum(axis=0), 0)
    write_raster(tmp_path / "p.tif", percent, scale=1 / 200)
    codes = random_codes(values=(4, 255))
    write_raster(tmp_path / "l.tif", codes[None], nodata=255)
    found = read([{"path": tmp_path / "p.tif", "probabilities": True}, tmp_path / "l.tif"])
    np.testing.assert_array_equal(found.shares[:, codes == 4], np.array([[0], [0], [1]]) * np.ones((codes == 4).sum()))
    free = codes == 255
    np.testing.assert_allclose(found.shares[:, free], percent[:, free] / 200, atol=1e-6)


def test_probabilities_that_cannot_be_are_refused(tmp_path):
    shares = np.nan_to_num(random_shares())
    shares[0, 30, 40] += 0.3
    write_raster(tmp_path / "p.tif", shares, names=tuple(NAMES))
    with pytest.raises(InputError, match=r"at row 30, column 40, needed 0 to 1 with a sum of 1"):
        read({"path": tmp_path / "p.tif", "probabilities": True})
    write_raster(tmp_path / "q.tif", shares[:2], names=("water", "sand"))
    with pytest.raises(InputError, match="found the bands water, sand, the legend has water, developed, forest"):
        read({"path": tmp_path / "q.tif", "probabilities": True})


# Windows.


@pytest.fixture(scope="module")
def layered(tmp_path_factory):
    """Labels of everything at once, and the whole of them."""
    folder = tmp_path_factory.mktemp("layered")
    polygons, names = random_polygons(7)
    lines = [LineString([(LEFT - 500, TOP - 900), (LEFT + 3000, TOP - 1500)]), Point(LEFT + 700, TOP - 300)]
    write_features(folder / "v.gpkg", [*polygons, *lines], kind=[*names, "forest", "water"])
    codes = random_codes(3, shape=(200, 240), side=11)
    finer = Affine(17, 0, LEFT - 300, 0, -13, TOP + 200)
    write_raster(folder / "c.tif", codes[None], nodata=255, transform=finer, crs="EPSG:32612")
    coarse = Affine(70, 0, LEFT - 50, 0, -70, TOP + 90)
    write_raster(folder / "p.tif", random_shares(4), names=tuple(NAMES), nodata=np.nan, transform=coarse)
    write_features(folder / "aoi.gpkg", [shapely.buffer(Point(LEFT + 1300, TOP - 1000), 1200)], name=["a"])
    options = {
        "sources": [
            {"path": folder / "p.tif", "probabilities": True, "annotator": "a"},
            {"path": folder / "c.tif", "boundary_m": 25, "annotator": "b"},
            {"path": folder / "v.gpkg", "column": "kind", "buffer_m": 70, "boundary_m": 33, "annotator": "b"},
        ],
        "aoi": folder / "aoi.gpkg",
        "background": "developed",
        "consensus": "shares",
    }
    labels = open_labels(as_label_options(options), GRID, LEGEND)
    with labels.reader() as reader:
        return labels, reader.read(GRID.window)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(row=st.integers(-20, 80), col=st.integers(-20, 100), height=st.integers(1, 60), width=st.integers(1, 60))
def test_any_window_is_that_of_the_whole(layered, row, col, height, width):
    labels, whole = layered
    assert 0.2 < (whole.classes != UNLABELLED).mean() < 0.9
    window = Window(row=row, col=col, height=height, width=width)
    with labels.reader() as reader:
        found = reader.read(window)
    part = window.intersect(GRID.window)
    outside = np.ones(window.shape, dtype=bool)
    if part is not None:
        inside = part.within(window).slices
        outside[inside] = False
        np.testing.assert_array_equal(found.classes[inside], whole.classes[part.slices])
        np.testing.assert_allclose(found.shares[:, *inside], whole.shares[:, *part.slices], atol=1e-6)
    assert (found.classes[outside] == UNLABELLED).all()
    assert (found.shares[:, outside] == 0).all()


def test_labels_travel_to_other_processes(layered):
    labels, whole = layered
    with pickle.loads(pickle.dumps(labels)).reader() as reader:  # noqa: S301 -- our own bytes
        np.testing.assert_array_equal(reader.read(GRID.window).classes, whole.classes)


def test_the_fingerprint_follows_all_that_labels_follow_from(tmp_path):
    write_raster(tmp_path / "l.tif", random_codes()[None], nodata=255)
    write_raster(tmp_path / "m.tif", random_codes(1)[None], nodata=255)
    (tmp_path / "copy").mkdir()
    shutil.copy(tmp_path / "l.tif", tmp_path / "copy" / "l.tif")

    def mark(path, grid=GRID, legend=LEGEND, **options):
        source = {"path": tmp_path / path} | options
        return open_labels(as_label_options(source), grid, legend).fingerprint

    same = {mark("l.tif"), mark("copy/l.tif"), mark("l.tif", ignore=[])}
    assert len(same) == 1
    other_grid = Grid(crs=GRID.crs, transform=NORTH_UP, height=60, width=90)
    other_legend = Legend((*LEGEND, LandClass(code=9, name="sand", colour="#ffff00")))
    others = [
        mark("m.tif"),
        mark("l.tif", grid=other_grid),
        mark("l.tif", legend=other_legend),
        mark("l.tif", boundary_m=10),
        mark("l.tif", ignore=[3]),
    ]
    assert len({*same, *others}) == 6


# What cannot be.


def test_labels_of_another_extent_are_refused(tmp_path):
    far = Affine(30, 0, 500000, 0, -30, 4154085)
    write_raster(tmp_path / "l.tif", random_codes()[None], transform=far)
    write_raster(tmp_path / "p.tif", np.nan_to_num(random_shares()), names=tuple(NAMES), transform=far)
    write_features(tmp_path / "l.gpkg", [box(500000, 4100000, 510000, 4110000)], kind=["water"])
    sources = [
        {"path": tmp_path / "l.tif"},
        {"path": tmp_path / "p.tif", "probabilities": True},
        {"path": tmp_path / "l.gpkg", "column": "kind"},
    ]
    for source in sources:
        with pytest.raises(InputError, match=rf"{source['path'].name}: .*no labelled pixel .*common ground"):
            classes(source)


def test_empty_and_incomplete_layers_are_refused(tmp_path):
    frame = geopandas.GeoDataFrame({"kind": ["water"], "size": [1]}, geometry=[ground(0, 0)], crs="EPSG:32612")
    frame.iloc[:0].to_file(tmp_path / "empty.gpkg", engine="pyogrio")
    frame.to_file(tmp_path / "l.gpkg", engine="pyogrio")
    with pytest.warns(UserWarning, match="'crs' was not provided"):
        frame.set_crs(None, allow_override=True).to_file(tmp_path / "nocrs.gpkg", engine="pyogrio")
    wrong = {
        ("empty.gpkg", "kind"): "holds no polygons",
        ("l.gpkg", "sort"): "has no column 'sort'; it has kind, size",
        ("nocrs.gpkg", "kind"): "has no CRS",
        ("l.gpkg", None): "need the column that holds the class",
    }
    for (name, column), message in wrong.items():
        with pytest.raises(InputError, match=rf"{name}: .*{message}"):
            classes({"path": tmp_path / name, "column": column})
    for name in ("nothing.gpkg", "nothing.tif"):
        with pytest.raises(MissingFileError, match=name):
            classes({"path": tmp_path / name, "column": "kind" if name.endswith("gpkg") else None})


def test_what_does_not_fit_a_source_is_refused(tmp_path):
    write_raster(tmp_path / "l.tif", random_codes()[None])
    write_raster(tmp_path / "two.tif", np.stack([random_codes()] * 2))
    with pytest.raises(InputError, match="found 2 bands, needed one band of class codes"):
        classes(tmp_path / "two.tif")
    with pytest.raises(InputError, match="found buffer_m, which vector files need"):
        classes({"path": tmp_path / "l.tif", "buffer_m": 3})
    with pytest.raises(InputError, match=r"found the classes 'sand' \(l.tif\), the legend has"):
        classes({"path": tmp_path / "l.tif", "classes": {"sand": 3}})
    with pytest.raises(ValidationError, match="leave out column"):
        as_label_options({"path": tmp_path / "l.tif", "probabilities": True, "column": "a"})
    write_features(tmp_path / "l.gpkg", [ground(0, 0, 9, 9)], kind=["swamp"])
    with pytest.raises(InputError, match="column 'kind' holds swamp, the legend has 1 water, 2 developed, 4 forest"):
        classes({"path": tmp_path / "l.gpkg", "column": "kind"})


def test_an_area_that_misses_the_scene_is_refused(tmp_path):
    write_raster(tmp_path / "l.tif", random_codes()[None])
    write_features(tmp_path / "aoi.gpkg", [box(0, 0, 9, 9)], name=["a"])
    with pytest.raises(InputError, match=r"aoi\.gpkg: the area of interest does not touch the scene"):
        classes({"sources": [tmp_path / "l.tif"], "aoi": tmp_path / "aoi.gpkg"})
    write_features(tmp_path / "line.gpkg", [LineString([(LEFT, TOP), (LEFT + 900, TOP - 900)])], name=["a"])
    with pytest.raises(InputError, match="an area of interest needs polygons"):
        classes({"sources": [tmp_path / "l.tif"], "aoi": tmp_path / "line.gpkg"})


def test_a_raster_is_never_read_whole(tmp_path):
    """A scene of a million rows: only what is asked for is touched."""
    codes = random_codes()
    write_raster(tmp_path / "l.tif", codes[None], nodata=255)
    huge = Grid(crs=GRID.crs, transform=NORTH_UP, height=1_000_000, width=1_000_000)
    with open_labels(as_label_options(tmp_path / "l.tif"), huge, LEGEND).reader() as reader:
        np.testing.assert_array_equal(reader.read(GRID.window).classes, to_indices(codes))
        far = reader.read(Window(row=900_000, col=900_000, height=10, width=10))
    assert (far.classes == UNLABELLED).all()
