"""From labels to a file of polygons: areas, attributes, grids of every kind, simplification."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from geopandas.testing import assert_geodataframe_equal
from pyproj import CRS, Geod
from rasterio.features import rasterize
from scipy.ndimage import gaussian_filter

from geoseg.core.grid import Grid
from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError, OutputError
from geoseg.vectorize.attributes import CONFIDENCE, AttributeOptions, Measure
from geoseg.vectorize.pipeline import PolygonOptions, polygonize
from geoseg.vectorize.simplify import SimplifyOptions
from geoseg.vectorize.split import SplitOptions, split_labels
from geoseg.vectorize.trace import LabelStrip

UTM = CRS.from_epsg(32633)
LEGEND = Legend(
    (
        LandClass(code=3, name="forest", colour="#006400"),
        LandClass(code=1, name="water", colour="#0000ff"),
        LandClass(code=9, name="town", colour="#ff0000"),
        LandClass(code=12, name="ice", colour="#ffffff"),
    )
)
NORTH_UP = Affine(10, 0, 500000, 0, -10, 5000000)
GRIDS = {
    "north-up": NORTH_UP,
    "south-up": Affine(10, 0, 500000, 0, 10, 5000000),
    "mirrored": Affine(-10, 0, 500000, 0, -10, 5000000),
    "rotated": Affine.translation(500000, 5000000) @ Affine.rotation(27) @ Affine.scale(10, -10),
    "oblong": Affine(10, 0, 500000, 0, -25, 5000000),
}
TO_25_M = SimplifyOptions(tolerance=25)


@pytest.fixture(scope="module")
def codes():
    """A map of three classes in lumps, with a nodata corner and some single nodata pixels."""
    rng = np.random.default_rng(5)
    smooth = np.stack([gaussian_filter(rng.standard_normal((60, 48)), 2) for _ in range(3)])
    codes = np.array([3, 1, 9], dtype=np.uint8)[smooth.argmax(axis=0)]
    codes[40:, 30:] = 255
    codes[rng.random(codes.shape) < 0.01] = 255
    return codes


def strips_of(codes, height=7, layers=None):
    for row in range(0, len(codes), height):
        rows = slice(row, row + height)
        yield LabelStrip(codes=codes[rows], layers=None if layers is None else layers[:, rows])


def run(codes, out, transform=NORTH_UP, crs=UTM, layers=None, legend=LEGEND, **options):
    grid = Grid(crs=crs, transform=transform, height=codes.shape[0], width=codes.shape[1])
    strips = strips_of(codes, layers=layers)
    summary = polygonize(strips, out, grid=grid, legend=legend, options=PolygonOptions(**options))
    frame = geopandas.read_parquet(out) if out.suffix == ".parquet" else geopandas.read_file(out)
    return summary, frame.sort_values("id", ignore_index=True)  # some formats sort by place


@pytest.mark.parametrize("kind", GRIDS)
def test_polygons_are_a_coverage_with_the_area_of_the_valid_pixels(tmp_path, codes, kind):
    summary, frame = run(codes, tmp_path / "map.parquet", GRIDS[kind])
    pixel = abs(GRIDS[kind].determinant)
    expected = (codes != 255).sum() * pixel
    shapes = np.asarray(frame.geometry)
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    assert shapely.coverage_is_valid(shapes)
    assert shapely.area(shapes).sum() == pytest.approx(expected, rel=1e-9)
    assert shapely.union_all(shapes).area == pytest.approx(expected, rel=1e-9)
    assert frame["area_m2"].sum() == pytest.approx(expected, rel=1e-9)
    assert sum(summary.area_m2.values()) == pytest.approx(expected, rel=1e-9)
    burnt = rasterize(
        zip(shapes, frame["code"], strict=True), out_shape=codes.shape, transform=GRIDS[kind], fill=255, dtype=np.uint8
    )
    np.testing.assert_array_equal(burnt, codes)


def test_attributes_have_their_order_types_and_values(tmp_path, codes):
    summary, frame = run(codes, tmp_path / "map.parquet")
    assert [(name, str(kind)) for name, kind in frame.dtypes.items()][:2] == [("id", "int64"), ("code", "int32")]
    assert [*frame.columns] == ["id", "code", "class", "area_m2", "perimeter_m", "geometry"]
    assert frame["area_m2"].dtype == frame["perimeter_m"].dtype == np.float64
    assert len(set(frame["id"])) == summary.polygons == len(frame)
    assert frame["class"].tolist() == [{c.code: c.name for c in LEGEND}[code] for code in frame["code"]]
    first_rows, first_cols = np.divmod(frame["id"] - 1, codes.shape[1])
    np.testing.assert_array_equal(codes[first_rows, first_cols], frame["code"])


def test_summary_lists_every_class_of_the_legend(tmp_path, codes):
    summary, frame = run(codes, tmp_path / "map.parquet")
    by_class = frame.groupby("class")["area_m2"].sum()
    assert list(summary.area_m2) == ["forest", "water", "town", "ice"]
    assert summary.area_m2["ice"] == 0
    for name in ("forest", "water", "town"):
        assert summary.area_m2[name] == pytest.approx(by_class[name])
    assert summary.notes == ()


def test_layers_become_statistics_over_the_pixels_of_a_polygon(tmp_path):
    codes = np.array([[1, 1, 3], [1, 3, 9]], dtype=np.uint8)
    confidence = [[0.5, 1.0, 0.25], [0.75, 0.5, np.nan]]
    height = [[10, 20, -3], [60, 7, 8]]
    dem = Measure(columns={"dem_mean": "mean", "dem_max": "max", "dem_std": "std"})
    options = AttributeOptions(measures=(CONFIDENCE, dem))
    layers = np.array([confidence, height], dtype=np.float32)
    _, frame = run(codes, tmp_path / "map.parquet", layers=layers, attributes=options)
    frame = frame.set_index("id")
    assert frame["confidence"].dtype == np.float32
    assert frame["confidence"].fillna(-1).to_dict() == {1: 0.75, 3: 0.25, 5: 0.5, 6: -1}
    assert frame["confidence_min"].fillna(-1).to_dict() == {1: 0.5, 3: 0.25, 5: 0.5, 6: -1}
    assert frame["dem_mean"].to_dict() == {1: 30, 3: -3, 5: 7, 6: 8}
    assert frame["dem_max"].to_dict() == {1: 60, 3: -3, 5: 7, 6: 8}
    assert frame["dem_std"].to_dict() == pytest.approx({1: np.std([10, 20, 60]), 3: 0, 5: 0, 6: 0}, rel=1e-6)


def test_parents_scene_and_date_are_columns(tmp_path):
    legend = Legend(
        (
            LandClass(code=1, name="oak", colour="#006400", parent="forest"),
            LandClass(code=2, name="forest", colour="#006400", parent="vegetation"),
            LandClass(code=3, name="water", colour="#0000ff"),
        )
    )
    options = AttributeOptions(scene="S2A", date="2024-06-01")
    _, frame = run(np.array([[1, 2, 3]], np.uint8), tmp_path / "m.parquet", legend=legend, attributes=options)
    frame = frame.set_index("class")
    assert frame["parent"].fillna("").to_dict() == {"oak": "forest", "forest": "vegetation", "water": ""}
    assert frame["parent_2"].fillna("").to_dict() == {"oak": "vegetation", "forest": "", "water": ""}
    assert set(frame["scene"]) == {"S2A"}
    assert set(frame["date"]) == {"2024-06-01"}


@pytest.mark.parametrize("kind", GRIDS)
@pytest.mark.parametrize("options", [{}, {"simplify": TO_25_M}])
def test_perimeters_are_those_of_the_polygons(tmp_path, codes, kind, options):
    _, frame = run(codes, tmp_path / "map.parquet", GRIDS[kind], **options)
    np.testing.assert_allclose(frame["perimeter_m"], shapely.length(np.asarray(frame.geometry)), rtol=1e-9)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (4326, Affine(0.5, 0, 10, 0, -1, 60)),
        (4326, Affine.translation(10, 50) @ Affine.rotation(20) @ Affine.scale(0.02, -0.01)),
        (3857, Affine(500, 0, 1_000_000, 0, -500, 8_000_000)),
    ],
    ids=["degrees", "rotated degrees", "Web Mercator"],
)
def test_perimeters_elsewhere_are_those_on_the_ellipsoid(tmp_path, codes, crs, transform):
    _, frame = run(codes, tmp_path / "map.parquet", transform, CRS.from_epsg(crs))
    lines = frame.geometry.segmentize(0.005 if crs == 4326 else 250).to_crs(4326)  # parallels are no geodesics
    geod = Geod(ellps="WGS84")
    expected = [sum(geod.line_length(*ring.xy) for ring in shapely.get_rings(polygon)) for polygon in lines]
    np.testing.assert_allclose(frame["perimeter_m"], expected, rtol=2e-3)


@pytest.mark.parametrize("options", [{}, {"simplify": TO_25_M}])
def test_dissolved_polygons_are_one_a_class(tmp_path, codes, options):
    layers = np.linspace(0, 1, codes.size, dtype=np.float32).reshape(1, *codes.shape)
    options = {**options, "attributes": AttributeOptions(measures=(CONFIDENCE,))}
    whole, frame = run(codes, tmp_path / "map.parquet", layers=layers, **options)
    summary, dissolved = run(codes, tmp_path / "d.parquet", layers=layers, dissolve=True, **options)
    dissolved = dissolved.sort_values("code", ignore_index=True)
    assert dissolved["code"].tolist() == sorted(set(frame["code"]))
    assert summary.polygons == whole.polygons
    assert summary.area_m2 == pytest.approx(whole.area_m2)
    assert set(dissolved.geometry.geom_type) == {"MultiPolygon"}
    assert dissolved.geometry.is_valid.all()
    expected = frame.dissolve("code").geometry
    assert dissolved.set_index("code").geometry.geom_equals(expected).all()
    sums = frame.groupby("code")[["area_m2", "perimeter_m"]].sum()
    np.testing.assert_allclose(dissolved[["area_m2", "perimeter_m"]], sums)
    assert dissolved["polygons"].tolist() == frame.groupby("code").size().tolist()
    assert dissolved["id"].tolist() == frame.groupby("code")["id"].min().tolist()
    mean = [layers[0][codes == code].mean() for code in dissolved["code"]]
    np.testing.assert_allclose(dissolved["confidence"], mean, rtol=1e-5)
    assert dissolved["confidence_min"].tolist() == frame.groupby("code")["confidence_min"].min().tolist()


@pytest.mark.parametrize("split", [SplitOptions(side=7), SplitOptions(side=70, unit="m")])
def test_split_polygons_end_where_tiles_do(tmp_path, codes, split):
    whole, _ = run(codes, tmp_path / "map.parquet")
    summary, frame = run(codes, tmp_path / "s.parquet", split=split)
    assert summary.area_m2 == pytest.approx(whole.area_m2)
    shapes = np.asarray(frame.geometry)
    assert shapely.coverage_is_valid(shapes)
    x, y = 500000 + 70 * frame["tile_col"], 5000000 - 70 * frame["tile_row"]
    assert shapely.covers(shapely.box(x, y - 70, x + 70, y), shapes).all()
    pairs = zip(shapes, frame["code"], strict=True)
    burnt = rasterize(pairs, out_shape=codes.shape, transform=NORTH_UP, fill=255, dtype=np.uint8)
    np.testing.assert_array_equal(burnt, codes)
    assert len(set(frame["id"])) == len(frame)


def test_split_and_dissolved_polygons_are_one_a_class_and_tile(tmp_path, codes):
    _, frame = run(codes, tmp_path / "s.parquet", split=SplitOptions(side=16))
    _, dissolved = run(codes, tmp_path / "d.parquet", split=SplitOptions(side=16), dissolve=True)
    keys = ["code", "tile_row", "tile_col"]
    assert not dissolved.duplicated(keys).any()
    expected = frame.dissolve(keys).geometry
    assert dissolved.set_index(keys).geometry.sort_index().geom_equals(expected.sort_index()).all()
    assert dissolved.geometry.is_valid.all()


@pytest.mark.parametrize(("side", "unit"), [(0, "px"), (2.5, "px"), (-3, "m"), (np.inf, "m")])
def test_a_tile_must_have_a_side(side, unit):
    with pytest.raises(InputError, match="the side of tiles"):
        SplitOptions(side=side, unit=unit)


def test_more_classes_than_can_be_doubled_are_not_split():
    strips = [LabelStrip(codes=np.zeros((1, 1), np.uint16))]
    with pytest.raises(InputError, match="too many"):
        list(split_labels(strips, (1, 1), 40_000))


def test_areas_in_degrees_are_those_on_the_ellipsoid(tmp_path):
    codes = np.array([[1, 3, 9][row // 20] for row in range(60)], dtype=np.uint8)[:, None].repeat(2, axis=1)
    transform = Affine(0.5, 0, 10, 0, -1, 60)
    _, frame = run(codes, tmp_path / "map.parquet", transform, CRS.from_epsg(4326))
    geod = Geod(ellps="WGS84")
    for polygon, area in zip(frame.geometry, frame["area_m2"], strict=True):
        dense = shapely.segmentize(polygon, 0.01)  # parallels are no geodesics
        assert area == pytest.approx(abs(geod.geometry_area_perimeter(dense)[0]), rel=1e-6)


@pytest.mark.parametrize("suffix", [".gpkg", ".fgb"])
def test_every_format_holds_the_same_polygons(tmp_path, codes, suffix):
    _, expected = run(codes, tmp_path / "map.parquet")
    grid = Grid(crs=UTM, transform=NORTH_UP, height=60, width=48)
    polygonize(strips_of(codes, height=60), tmp_path / f"map{suffix}", grid=grid, legend=LEGEND)
    frame = geopandas.read_file(tmp_path / f"map{suffix}", layer="landcover").sort_values("id", ignore_index=True)
    assert_geodataframe_equal(frame, expected, check_dtype=False)


def test_options_reach_the_file(tmp_path, codes):
    provenance = Provenance(versions={}, command="geoseg polygonize")
    grid = Grid(crs=UTM, transform=NORTH_UP, height=60, width=48)
    options = PolygonOptions(layer="Bodenbedeckung", provenance=provenance)
    summary = polygonize(strips_of(codes), tmp_path / "m.geojson", grid=grid, legend=LEGEND, options=options)
    text = (tmp_path / "m.geojson").read_text(encoding="utf-8")
    assert '"name": "Bodenbedeckung"' in text
    assert "geoseg polygonize" in text
    assert "EPSG:4326" in summary.notes[0]


@pytest.mark.parametrize("kind", GRIDS)
def test_simplified_polygons_are_a_coverage_with_the_outline_of_the_scene(tmp_path, codes, kind):
    _, exact = run(codes, tmp_path / "exact.parquet", GRIDS[kind])
    summary, simple = run(codes, tmp_path / "simple.parquet", GRIDS[kind], simplify=TO_25_M)
    shapes = np.asarray(simple.geometry)
    assert shapely.coverage_is_valid(shapes)
    assert shapely.is_valid(shapes).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapes)).all()
    before, after = (shapely.get_num_coordinates(np.asarray(f.geometry)).sum() for f in (exact, simple))
    assert after < 0.7 * before
    outline = shapely.union_all(np.asarray(exact.geometry))
    assert shapely.union_all(shapes).symmetric_difference(outline).area < 1e-6 * outline.area
    assert simple["code"].tolist() == exact["code"].tolist()
    np.testing.assert_allclose(simple["area_m2"], shapely.area(shapes), rtol=1e-9)  # UTM: planar areas
    assert sum(summary.area_m2.values()) == pytest.approx(exact["area_m2"].sum(), rel=1e-9)


@pytest.mark.parametrize("options", [TO_25_M, SimplifyOptions(method="douglas-peucker", tolerance=11)])
def test_the_tolerance_is_in_metres_also_in_degrees(tmp_path, codes, options):
    size = 10 / 111_320
    geographic = Affine(2 * size, 0, 0, 0, -size, 60)  # pixels of about 10 m
    _, degrees = run(codes, tmp_path / "d.parquet", geographic, CRS.from_epsg(4326), simplify=options)
    _, metres = run(codes, tmp_path / "m.parquet", simplify=options)
    vertices = [shapely.get_num_coordinates(np.asarray(frame.geometry)).sum() for frame in (degrees, metres)]
    assert vertices[0] == pytest.approx(vertices[1], rel=0.02)
    assert degrees["area_m2"].sum() == pytest.approx(metres["area_m2"].sum(), rel=0.01)


@pytest.mark.parametrize("options", [{}, {"simplify": TO_25_M}])
def test_nothing_but_nodata_gives_an_empty_file(tmp_path, options):
    empty = np.full((4, 5), 255, dtype=np.uint8)
    summary, frame = run(empty, tmp_path / "map.parquet", **options)
    assert summary.polygons == len(frame) == 0
    assert set(summary.area_m2.values()) == {0}
    assert frame.crs == UTM


def test_codes_outside_of_the_legend_are_named(tmp_path, codes):
    wrong = codes.copy()
    wrong[50, :2] = 77, 200
    with pytest.raises(InputError, match="codes 77, 200"):
        run(wrong, tmp_path / "map.gpkg")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("value", [1.5, -0.2, np.inf])
def test_a_confidence_that_is_no_probability_is_refused(tmp_path, value):
    with pytest.raises(InputError, match="probabilities of 0 to 1"):
        run(
            np.ones((2, 2), np.uint8),
            tmp_path / "m.fgb",
            layers=np.full((1, 2, 2), value, np.float32),
            attributes=AttributeOptions(measures=(CONFIDENCE,)),
        )


@pytest.mark.parametrize("shape", [(3, 3), (2, 2), (4, 2)])
def test_labels_that_are_not_of_the_grid_are_refused(tmp_path, shape):
    grid = Grid(crs=UTM, transform=NORTH_UP, height=3, width=2)
    with pytest.raises(InputError, match=r"the grid has|2 columns"):
        polygonize(strips_of(np.ones(shape, np.uint8)), tmp_path / "m.gpkg", grid=grid, legend=LEGEND)


def test_an_unknown_suffix_is_refused_before_the_work(tmp_path):
    def never():
        pytest.fail("strips were read")
        yield

    grid = Grid(crs=UTM, transform=NORTH_UP, height=3, width=2)
    with pytest.raises(OutputError, match=r"\.gpkg, \.fgb, \.parquet, \.geojson"):
        polygonize(never(), tmp_path / "m.kml", grid=grid, legend=LEGEND)
