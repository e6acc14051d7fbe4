"""Judging small maps: counts, groups, folds, and every mistake in one clear line."""

from __future__ import annotations

import geopandas
import numpy as np
import pytest
import shapely
from factory import LEGEND, NORTH_UP, write_raster, write_scene
from scipy import ndimage

from geoseg.core.legend import LandClass, Legend
from geoseg.data.splits.blocks import Block
from geoseg.data.splits.files import save_split
from geoseg.data.splits.plane import Plane
from geoseg.data.splits.split import TEST, TRAIN, SpatialSplit
from geoseg.errors import InputError, MissingFileError, OutputError
from geoseg.evaluation.boundary import Boundaries
from geoseg.evaluation.cases import Case, open_reference, pair_cases, read_label_options
from geoseg.evaluation.confusion import Confusion
from geoseg.evaluation.counting import CountPlan, add, count_map
from geoseg.evaluation.evaluate import evaluate
from geoseg.evaluation.legends import legend_from_file
from geoseg.evaluation.maps import open_map
from geoseg.evaluation.options import EvaluateOptions
from geoseg.evaluation.tally import Tally
from geoseg.io.raster import RasterSpec, RasterWriter, read_grid, write_cog
from geoseg.io.scene import open_scene
from geoseg.io.style import palette

SIZE = 48
CODES = LEGEND.codes
QUIET = EvaluateOptions(legend=LEGEND, block_m=300)


def patches(seed, size=SIZE):
    """Class codes in patches."""
    smooth = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(3, size, size)), (0, 3, 3))
    return CODES[smooth.argmax(axis=0)]


TRUTH, MAPPED = patches(0), np.where(patches(2) == 1, patches(1), patches(0))


@pytest.fixture
def files(tmp_path):
    """A map, its probabilities and labels with some unlabelled pixels."""
    truth = TRUTH.copy()
    truth[:4] = 255
    write_raster(tmp_path / "map.tif", MAPPED[None], nodata=255)
    write_raster(tmp_path / "labels.tif", truth[None], nodata=255)
    shares = np.where(CODES[:, None, None] == MAPPED, 0.8, 0.1).astype(np.float32)
    write_raster(tmp_path / "p.tif", shares, names=tuple(c.name for c in LEGEND))
    return tmp_path


def case(files, **changes):
    given = {"map": files / "map.tif", "labels": read_label_options(files / "labels.tif")} | changes
    return Case(**given)


def square(left, bottom, right, top):
    """A polygon by shares of the map's extent, in its CRS."""
    west, north, side = NORTH_UP.c, NORTH_UP.f, SIZE * 30
    return shapely.box(west + left * side, north - side + bottom * side, west + right * side, north - side + top * side)


def write_layer(path, polygons, crs="EPSG:4326", **columns):
    frame = geopandas.GeoDataFrame(columns, geometry=polygons, crs="EPSG:32612").to_crs(crs)
    frame.to_file(path, engine="pyogrio")
    return path


def test_counts_are_those_of_all_labelled_pixels(files):
    found = evaluate([case(files)], options=QUIET)
    expected = Confusion.count(LEGEND.to_indices(TRUTH[4:]), LEGEND.to_indices(MAPPED[4:]), LEGEND)
    np.testing.assert_array_equal(found.total.confusion.counts, expected.counts)
    assert found.total.reliability is None
    assert (found.cases[0].name, found.cases[0].height) == ("map", SIZE)


def test_probabilities_are_of_the_mapped_class(files):
    found = evaluate([case(files, probabilities=files / "p.tif")], options=QUIET)
    accuracy = found.total.confusion.accuracy
    assert found.total.reliability.pixels.sum() == found.total.confusion.pixels
    assert found.total.reliability.ece == pytest.approx(abs(0.8 - accuracy), abs=1e-6)


@pytest.mark.parametrize("window", [7, 16, 100])
def test_any_window_counts_the_same(files, window):
    legend = LEGEND
    reference = open_reference(case(files), "map", legend)
    opened = open_map(files / "map.tif", legend, files / "p.tif")
    totals = []
    for size in (SIZE, window):
        plan = CountPlan(tolerance_m=70.0, window=size)
        (only,) = count_map(0, reference, opened, plan, lambda *_: None).values()
        totals.append(only)
    assert totals[0].to_dict() == totals[1].to_dict()


def test_maps_of_another_grid_and_crs_meet_their_labels(files, tmp_path):
    """Labels on twice as fine pixels in another CRS: the same but for pixels at borders."""
    from rasterio.warp import Resampling, calculate_default_transform, reproject

    fine = np.kron(TRUTH, np.ones((2, 2), dtype=np.uint8))
    source = NORTH_UP @ NORTH_UP.scale(0.5)
    bounds = (NORTH_UP.c, NORTH_UP.f - SIZE * 30, NORTH_UP.c + SIZE * 30, NORTH_UP.f)
    transform, width, height = calculate_default_transform(
        "EPSG:32612", "EPSG:26911", SIZE * 2, SIZE * 2, *bounds, resolution=15
    )
    warped = np.full((height, width), 255, dtype=np.uint8)
    reproject(
        fine,
        warped,
        src_transform=source,
        src_crs="EPSG:32612",
        dst_transform=transform,
        dst_crs="EPSG:26911",
        dst_nodata=255,
        resampling=Resampling.nearest,
    )
    write_raster(tmp_path / "other.tif", warped[None], nodata=255, crs="EPSG:26911", transform=transform)
    write_raster(tmp_path / "same.tif", TRUTH[None], nodata=255)
    found = evaluate(
        [Case(map=tmp_path / "same.tif", labels=read_label_options(tmp_path / "other.tif"))], options=QUIET
    )
    assert found.total.confusion.pixels > 0.99 * SIZE**2
    assert found.total.confusion.accuracy > 0.93
    assert found.total.overall["boundary_f1"] > 0.99


def test_groups_sum_to_the_whole_and_gaps_are_outside(files):
    layer = write_layer(
        files / "r.gpkg",
        [square(0, 0, 0.5, 1), square(0.5, 0, 0.75, 1), square(0.75, 0, 0.8, 1)],
        state=["Utah", "Nevada", None],
        season=["wet", "wet", "dry"],
    )
    options = EvaluateOptions(legend=LEGEND, block_m=300, regions=layer, region_names=("state", "season"))
    found = evaluate([case(files, probabilities=files / "p.tif")], options=options)
    assert [g.name for g in found.grouping("state").groups] == ["Nevada", "Utah", "outside"]
    assert [g.name for g in found.grouping("season").groups] == ["dry", "wet", "outside"]
    for grouping in found.groupings:
        first, *others = (group.tally for group in grouping.groups)
        assert sum(others, start=first).to_dict() == found.total.to_dict(), grouping.by
    utah = found.grouping("state").groups[1].tally.confusion
    half = slice(4, None), slice(0, SIZE // 2)
    expected = Confusion.count(LEGEND.to_indices(TRUTH[half]), LEGEND.to_indices(MAPPED[half]), LEGEND)
    np.testing.assert_array_equal(utah.counts, expected.counts)
    assert found.grouping("state").spread().groups == 3


def test_scenes_and_regions_are_groups(files):
    write_raster(files / "truth.tif", TRUTH[None], nodata=255)
    perfect = Case(map=files / "truth.tif", labels=read_label_options(files / "labels.tif"), region="south")
    found = evaluate([case(files, region="north"), perfect], options=QUIET)
    assert [g.name for g in found.grouping("scene").groups] == ["map", "truth"]
    spread = found.grouping("region").spread()
    assert (spread.worst, spread.best, spread.best_value) == ("north", "south", 1.0)
    again = evaluate([case(files), case(files)], options=QUIET)
    assert [g.name for g in again.grouping("scene").groups] == ["map (1)", "map (2)"]


@pytest.fixture
def split(files):
    """Train in the west, test in the east, 120 m apart from the border between them."""
    grid = read_grid(files / "map.tif")
    plane = Plane.around([grid])
    left, bottom, right, top = plane.footprint(grid).buffer(100).bounds
    blocks = [
        Block(name="west", polygon=shapely.box(left, bottom, 0, top)),
        Block(name="north-east", polygon=shapely.box(0, 0, right, top)),
        Block(name="south-east", polygon=shapely.box(0, bottom, right, 0)),
    ]
    parts = (TRAIN, TEST, TEST)
    save_split(SpatialSplit(plane=plane, blocks=tuple(blocks), parts=parts, buffer_m=120), files / "split.gpkg")
    return files / "split.gpkg"


def test_only_the_ground_of_the_fold_counts(files, split):
    found = evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, split=split))
    assert "test fold" in found.ground
    assert [g.name for g in found.grouping("block").groups] == ["north-east", "south-east"]
    inside = np.zeros((SIZE, SIZE), dtype=bool)
    inside[4:, SIZE // 2 + 5 :] = True  # certainly; the four columns before are within 120 m
    sure = int(inside.sum())
    assert sure <= found.total.confusion.pixels <= sure + 2 * SIZE
    train = evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, split=split, fold="train"))
    assert [g.name for g in train.grouping("block").groups] == ["west"]
    assert any("no confidence intervals: 1 " in note for note in train.notes)


def test_a_fold_without_labels_is_refused(files, split):
    with pytest.raises(InputError, match=r"no labelled pixel lies on the map in the val fold"):
        evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, split=split, fold="val"))


def test_unmapped_ground_is_said_and_untested_classes_are_named(files):
    holes = MAPPED.copy()
    holes[10:20] = 255
    write_raster(files / "holes.tif", holes[None], nodata=255)
    write_raster(files / "one.tif", np.where(TRUTH == 4, 4, 1).astype(np.uint8)[None], nodata=255)
    found = evaluate([Case(map=files / "holes.tif", labels=read_label_options(files / "one.tif"))], options=QUIET)
    assert found.total.unmapped == 10 * SIZE
    assert any("no class on 480 of 2304 labelled pixels (20.8%)" in note for note in found.notes)
    assert any("no labelled pixel of developed" in note for note in found.notes)


def test_the_tolerance_is_two_pixels_unless_said(files):
    assert evaluate([case(files)], options=QUIET).tolerance_m == 60.0
    none = evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, tolerance_m=0, block_m=None))
    assert (none.tolerance_m, none.total.boundaries, none.intervals) == (None, None, None)
    less = evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, tolerance_m=10, block_m=None))
    assert any("less than a pixel" in note for note in less.notes)


def test_blocks_follow_the_labels_unless_said(files):
    found = evaluate([case(files)], options=EvaluateOptions(legend=LEGEND))
    assert found.intervals.unit.startswith("squares of ")
    low, high = found.intervals.overall["accuracy"]
    assert low < found.total.confusion.accuracy < high
    write_raster(files / "water.tif", np.ones((1, SIZE, SIZE), dtype=np.uint8), nodata=255)
    one = case(files, labels=read_label_options(files / "water.tif"))
    found = evaluate([one], options=EvaluateOptions(legend=LEGEND))
    assert found.intervals is None
    assert any("no confidence intervals" in note for note in found.notes)


def test_adding_is_associative(files):
    reference = open_reference(case(files), "map", LEGEND)
    counted = count_map(0, reference, open_map(files / "map.tif", LEGEND), CountPlan(tolerance_m=60), lambda *_: None)
    left, right = {}, {}
    add(left, counted)
    add(left, counted)
    add(right, left)
    assert right[0,].to_dict() == (counted[0,] + counted[0,]).to_dict()
    nothing = Tally(confusion=Confusion.empty(LEGEND), boundaries=Boundaries.empty(3))
    assert (nothing + counted[0,]).to_dict() == counted[0,].to_dict() | {"reliability": None}


def test_a_map_of_ours_tells_its_legend(files):
    grid = read_grid(files / "map.tif")
    spec = RasterSpec(
        grid=grid,
        dtype="uint8",
        band_names=("class",),
        nodata=255,
        palette=palette(LEGEND),
        class_names={c.code: c.name for c in LEGEND},
    )
    with RasterWriter(files / "working.tif", spec) as writer:
        writer.write(grid.window, MAPPED)
    write_cog(files / "working.tif", files / "ours.tif", spec)
    found = evaluate([case(files, map=files / "ours.tif")], options=EvaluateOptions(block_m=None))
    assert found.legend == LEGEND
    named = case(files, labels=read_label_options(files / "ours.tif"))
    other = Legend((LandClass(code=1, name="snow", colour="#ffffff"), *LEGEND.classes[1:]))
    with pytest.raises(InputError, match=r"ours\.tif: has another legend .*1 water \(not snow\)"):
        evaluate([named], options=EvaluateOptions(legend=other))


def test_a_map_without_names_needs_a_legend(files):
    with pytest.raises(InputError, match=r"map\.tif: does not name its classes.*--legend"):
        evaluate([case(files)])


def test_codes_that_the_legend_lacks_are_named(files):
    write_raster(files / "odd.tif", np.where(MAPPED == 1, 7, MAPPED)[None].astype(np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"odd\.tif: found the codes 7, the legend has 1, 2, 4"):
        evaluate([case(files, map=files / "odd.tif")], options=QUIET)
    labels = case(files, labels=read_label_options(files / "odd.tif"))
    with pytest.raises(InputError, match=r"odd\.tif: found the codes 7, the legend has 1, 2, 4"):
        evaluate([labels], options=QUIET)


def test_an_unlabelled_reference_is_refused(files):
    write_raster(files / "empty.tif", np.full((1, SIZE, SIZE), 255, dtype=np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"no labelled pixel lies on the map; check the labels"):
        evaluate([case(files, labels=read_label_options(files / "empty.tif"))], options=QUIET)
    with pytest.raises(InputError, match=r"map has no class on any of the 2112 labelled pixels"):
        evaluate([case(files, map=files / "empty.tif")], options=QUIET)


def test_labels_elsewhere_are_refused(files):
    away = NORTH_UP @ NORTH_UP.translation(1000, 0)
    write_raster(files / "away.tif", TRUTH[None], nodata=255, transform=away)
    with pytest.raises(InputError, match=r"away\.tif.*common ground"):
        evaluate([case(files, labels=read_label_options(files / "away.tif"))], options=QUIET)
    shares = np.ones((3, SIZE, SIZE), dtype=np.float32)
    write_raster(files / "away_p.tif", shares, names=tuple(c.name for c in LEGEND), transform=away)
    with pytest.raises(InputError, match=r"away_p\.tif.*common ground"):
        evaluate([case(files, probabilities=files / "away_p.tif")], options=QUIET)


@pytest.mark.parametrize(
    ("left", "column", "words"),
    [
        (5, "state", "no region lies on the evaluated ground"),
        (0, "county", "has no column 'county'"),
        (0, "empty", "no region lies on the evaluated ground"),
    ],
)
def test_regions_that_cannot_be_used_are_refused(files, left, column, words):
    layer = write_layer(files / "r.gpkg", [square(left, 0, left + 1, 1)], crs="EPSG:5070", state=["Utah"], empty=[" "])
    options = EvaluateOptions(legend=LEGEND, regions=layer, region_names=(column,))
    with pytest.raises(InputError, match=words):
        evaluate([case(files)], options=options)


def test_regions_beside_the_labels_are_refused(files):
    """Near the map, but on none of its labelled pixels."""
    layer = write_layer(files / "r.gpkg", [square(0, 0.95, 1, 1)], state=["Utah"])
    with pytest.raises(InputError, match="no evaluated pixel lies in a region"):
        evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, regions=layer, region_names=("state",)))


def test_lines_are_no_regions(files):
    layer = write_layer(files / "r.gpkg", [shapely.LineString(square(0, 0, 1, 1).exterior)], state=["Utah"])
    with pytest.raises(InputError, match="LineString; regions must be polygons"):
        evaluate([case(files)], options=EvaluateOptions(legend=LEGEND, regions=layer, region_names=("state",)))


@pytest.mark.parametrize(
    ("names", "values", "words"),
    [
        (("water", "developed", "forest"), 3.0, "found 3, needed probabilities of 0 to 1"),
        (("water", "ice", "forest"), 0.3, "bands water, ice, forest"),
    ],
)
def test_probabilities_that_are_none_are_refused(files, names, values, words):
    write_raster(files / "q.tif", np.full((3, SIZE, SIZE), values, dtype=np.float32), names=names)
    with pytest.raises(InputError, match=words):
        evaluate([case(files, probabilities=files / "q.tif")], options=QUIET)


def test_cases_are_one_way_or_the_other(files):
    labels = read_label_options(files / "labels.tif")
    with pytest.raises(InputError, match="either a scene to map, or a finished map"):
        Case(labels=labels)
    scene = open_scene(write_scene(files / "scene.tif", SIZE, SIZE))
    with pytest.raises(InputError, match="belong to a finished map"):
        Case(labels=labels, scene=scene, probabilities=files / "p.tif")
    with pytest.raises(InputError, match="needs a model"):
        evaluate([Case(labels=labels, scene=scene)])
    with pytest.raises(InputError, match="nothing to judge"):
        evaluate([])


def test_labels_are_one_for_all_or_one_for_each(files):
    labels = read_label_options(files / "labels.tif")
    maps = [files / "map.tif"] * 3
    assert len(pair_cases(maps, [labels])) == 3
    with pytest.raises(InputError, match="found 2 labels for 3"):
        pair_cases(maps, [labels] * 2)
    with pytest.raises(InputError, match="found 2 probabilities for 3"):
        pair_cases(maps, [labels], [files / "p.tif"] * 2)


def test_a_labels_file_is_that_of_a_config(files):
    text = "labels:\n  path: labels.tif\n  classes: {water: [1, 2], forest: 4}\n"
    (files / "labels.yaml").write_text(text)
    options = read_label_options(files / "labels.yaml")
    assert options.sources[0].path == files / "labels.tif"
    found = evaluate([case(files, labels=options)], options=QUIET)
    assert found.total.confusion.support[1] == 0
    for bad, words in (("path: a.tif\ncolour: 3", "colour"), ("[", "readable YAML"), ("3", "labels")):
        (files / "bad.yaml").write_text(bad)
        with pytest.raises(InputError, match=words):
            read_label_options(files / "bad.yaml")
    with pytest.raises(InputError, match="leave out the column"):
        read_label_options(files / "labels.yaml", column="kind")
    with pytest.raises(MissingFileError, match=r"gone\.yaml"):
        read_label_options(files / "gone.yaml")


def test_legends_come_from_yaml_configs_and_bundles(tmp_path, tiny_bundle):
    assert legend_from_file(tiny_bundle) == LEGEND
    path = tmp_path / "legend.yaml"
    path.write_text("{1: water, 4: forest}")
    assert [(c.code, c.name) for c in legend_from_file(path)] == [(1, "water"), (4, "forest")]
    path.write_text("classes: [{code: 1, name: water, colour: '#0000ff'}]\nmodel: {}")
    assert legend_from_file(path).classes[0].colour == "#0000ff"
    for bad in ("3", "[]", "[{code: 1}]", "[water]", "{1: a, 9999999999: b}"):
        path.write_text(bad)
        with pytest.raises(InputError, match="holds no legend"):
            legend_from_file(path)
    with pytest.raises(MissingFileError):
        legend_from_file(tmp_path / "gone.yaml")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tolerance_m": -1.0}, "tolerance"),
        ({"block_m": 0.0}, "blocks"),
        ({"region_names": ("state",)}, "give both"),
        ({"region_names": ("block",), "regions": "r.gpkg"}, "none may be"),
        ({"fold": "rest"}, "rest"),
    ],
)
def test_options_that_cannot_be_are_refused(changes, words):
    with pytest.raises(InputError, match=words):
        EvaluateOptions(**changes)


def test_drawn_maps_are_kept_where_it_is_wanted_and_nothing_else_is(files, tiny_bundle, monkeypatch, tmp_path):
    from geoseg.models.bundle import load_bundle

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    bundle = load_bundle(tiny_bundle)
    scene = open_scene(write_scene(files / "scene.tif", SIZE, SIZE))
    drawn = Case(labels=read_label_options(files / "labels.tif"), scene=scene)
    before = set(tmp_path.iterdir())
    found = evaluate([drawn], bundle, EvaluateOptions(block_m=None, maps=files / "kept"))
    assert set(tmp_path.iterdir()) - before == {files / "kept"}
    kept = files / "kept" / "scene.tif"
    assert found.cases[0].map == str(kept)
    again = evaluate([case(files, map=kept)], options=EvaluateOptions(block_m=None))
    np.testing.assert_array_equal(again.total.confusion.counts, found.total.confusion.counts)
    assert found.total.reliability.pixels.sum() == found.total.confusion.pixels
    with pytest.raises(OutputError, match="exists already"):
        evaluate([drawn], bundle, EvaluateOptions(block_m=None, maps=files / "kept"))
    gone = evaluate([drawn], bundle, EvaluateOptions(block_m=None))
    assert gone.cases[0].map is None
