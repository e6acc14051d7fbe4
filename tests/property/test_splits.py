"""Splits: folds are disjoint, keep their buffer, cover the ground, are stratified, deterministic and of the ground."""

from __future__ import annotations

import pickle
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import geopandas
import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pyproj import CRS, Transformer
from scipy.ndimage import distance_transform_edt

from geoseg.core.grid import Grid, Window
from geoseg.data.splits.blocks import blocks_by_attribute, blocks_from_file, cells, count_blocks, polygons_of
from geoseg.data.splits.build import build_split
from geoseg.data.splits.chance import random_split
from geoseg.data.splits.deal import deal
from geoseg.data.splits.options import SplitOptions
from geoseg.data.splits.plane import Plane
from geoseg.data.splits.regions import prepare
from geoseg.data.splits.split import FOLDS, NO_FOLD, TEST, TRAIN, VAL, count_folds, missing_classes
from geoseg.errors import InputError, MissingFileError

SHARES = (0.6, 0.2, 0.2)


@dataclass(frozen=True, eq=False)
class ArrayMap:
    grid: Grid
    labels: np.ndarray

    @contextmanager
    def reader(self):
        yield self

    def read(self, window):
        return self.labels[window.slices]


def grid_of(size=120, origin=(301905.0, 4154085.0), epsg=32612, pixel=30.0):
    transform = Affine(pixel, 0, origin[0], 0, -pixel, origin[1])
    return Grid(crs=CRS.from_epsg(epsg), transform=transform, height=size, width=size)


def map_of(labels=None, **changes):
    grid = grid_of(**changes)
    return ArrayMap(grid, np.zeros(grid.shape, np.uint8) if labels is None else labels)


def split_of(*maps, classes=3, attributes=(), **options):
    return build_split(maps, classes, SplitOptions(**({"block_m": 600.0} | options)), attributes)


def folds_of(split, grid):
    return split.map().folds_on(grid)


@given(st.integers(0, 1000), st.sampled_from([400.0, 700.0, 1100.0]))
@settings(max_examples=15, deadline=None)
def test_without_a_buffer_the_folds_cover_all_labelled_ground(seed, block_m):
    labels = np.random.default_rng(seed).integers(0, 3, (120, 120)).astype(np.uint8)
    built = split_of(map_of(labels), block_m=block_m, seed=seed)
    folds = folds_of(built.split, grid_of())
    assert set(np.unique(folds)) == {TRAIN, VAL, TEST}
    assert built.fold_pixels.sum() == built.block_pixels.sum() == labels.size


@given(st.integers(0, 1000), st.sampled_from([45.0, 60.0, 95.0, 150.0]), st.sampled_from([0.0, 20.0]))
@settings(max_examples=15, deadline=None)
def test_the_buffer_is_kept(seed, buffer_m, turned):
    grid = grid_of()
    grid = Grid(crs=grid.crs, transform=grid.transform @ Affine.rotation(turned), height=120, width=120)
    labels = np.zeros(grid.shape, dtype=np.uint8)
    folds = folds_of(split_of(ArrayMap(grid, labels), buffer_m=buffer_m, seed=seed).split, grid)
    for fold in (TRAIN, VAL, TEST):
        own, other = folds == fold, (folds != fold) & (folds != NO_FOLD)
        assert own.any()
        assert other.any()
        assert distance_transform_edt(~other)[own].min() * 30.0 >= buffer_m


def test_the_buffer_takes_no_more_than_it_must():
    grid = grid_of(size=200)
    built = split_of(ArrayMap(grid, np.zeros(grid.shape, np.uint8)), buffer_m=90.0, block_m=1200.0)
    without = folds_of(split_of(ArrayMap(grid, np.zeros(grid.shape, np.uint8)), block_m=1200.0).split, grid)
    kept = folds_of(built.split, grid)
    inner = np.zeros(grid.shape, dtype=bool)
    inner[6:-6, 6:-6] = True  # at the rim, ground of blocks beyond the grid is near, too
    for fold in (TRAIN, VAL, TEST):
        own, other = without == fold, (without != fold) & (without != NO_FOLD)
        far = (
            distance_transform_edt(~other) * 30.0 > 90.0 * 1.01 + 45.0
        )  # a pixel's diagonal, as blocks end between centres
        assert (kept[own & far & inner] == fold).all()
        assert (kept[own & ~far & inner] != fold).any()


def test_the_same_seed_gives_the_same_split_and_another_one_does_not():
    labels = np.random.default_rng(0).integers(0, 3, (120, 120)).astype(np.uint8)
    first = split_of(map_of(labels), seed=1).split
    assert first == split_of(map_of(labels), seed=1).split
    assert first.parts != split_of(map_of(labels), seed=2).split.parts
    assert first.blocks == split_of(map_of(labels), seed=2).split.blocks


def test_the_order_of_scenes_makes_no_difference():
    rng = np.random.default_rng(0)
    maps = [
        map_of(rng.integers(0, 3, (120, 120)).astype(np.uint8), origin=origin)
        for origin in ((301905.0, 4154085.0), (303405.0, 4152585.0), (309405.0, 4158585.0))
    ]
    assert split_of(*maps).split == split_of(maps[2], maps[0], maps[1]).split


def test_every_fold_gets_about_its_share_of_every_class():
    rng = np.random.default_rng(3)
    labels = np.kron(rng.choice(3, (40, 40), p=[0.8, 0.15, 0.05]), np.ones((5, 5), int)).astype(np.uint8)
    built = split_of(map_of(labels, size=200), block_m=450.0)
    folds = folds_of(built.split, grid_of(size=200))
    for k in range(3):
        shares = np.bincount(folds[labels == k], minlength=3)[:3] / (labels == k).sum()
        np.testing.assert_allclose(shares, SHARES, atol=0.06)
        np.testing.assert_array_equal(
            built.fold_pixels[:, k], np.bincount(folds[labels == k], minlength=3)[:3], strict=True
        )


def test_two_scenes_of_the_same_ground_agree_on_its_fold():
    grid = grid_of()
    split = split_of(map_of()).split
    left, bottom, right, top = grid.bounds
    shifted = grid_of(size=60, origin=(left + 600, top - 900))
    np.testing.assert_array_equal(folds_of(split, shifted), folds_of(split, grid)[30:90, 20:80])
    assert (folds_of(split, grid_of(origin=(right + 5000, bottom))) == NO_FOLD).all()


@pytest.mark.parametrize("epsg", [32611, 4326, 3857])
def test_folds_are_where_they_are_on_the_ground_in_any_crs(epsg):
    """Oracle: project every pixel centre into the split's plane and look the cell up by its number."""
    split = split_of(map_of(), buffer_m=0.0).split
    x, y = Transformer.from_crs(32612, epsg, always_xy=True).transform(301905.0, 4154085.0)
    pixel = 0.0003 if epsg == 4326 else 31.0
    grid = grid_of(size=110, origin=(x, y), epsg=epsg, pixel=pixel)
    cols, rows = np.meshgrid(np.arange(110) + 0.5, np.arange(110) + 0.5)
    east, north = Transformer.from_crs(grid.crs, split.crs, always_xy=True).transform(
        x + cols * pixel, y - rows * pixel
    )
    by_name = {block.name: fold for block, fold in zip(split.blocks, split.folds, strict=True)}
    names = zip(np.round(north / 600).astype(int).ravel(), np.round(east / 600).astype(int).ravel(), strict=True)
    expected = np.array([by_name.get(f"{n:+d}{e:+d}", NO_FOLD) for n, e in names]).reshape(grid.shape)
    assert len(np.unique(expected)) >= 3
    np.testing.assert_array_equal(folds_of(split, grid), expected)


def test_a_grid_across_the_180th_meridian_is_painted_on_both_sides():
    transform = Affine(0.001, 0, 179.95, 0, -0.001, 10.0)
    grid = Grid(crs=CRS.from_epsg(4326), transform=transform, height=100, width=100)
    split = split_of(ArrayMap(grid, np.zeros(grid.shape, np.uint8)), block_m=2000.0).split
    assert (folds_of(split, grid) != NO_FOLD).all()
    assert (split.plane.lon, split.plane.lat) == pytest.approx((180.0, 9.95))


@given(st.integers(0, 999), st.integers(0, 60), st.integers(0, 60), st.sampled_from([32612, 32611]))
@settings(max_examples=15, deadline=None)
def test_a_window_gets_what_the_whole_grid_has_there(seed, row, col, epsg):
    ready = split_of(map_of(), buffer_m=70.0, seed=seed).split.map()
    x, y = Transformer.from_crs(32612, epsg, always_xy=True).transform(301905.0, 4154085.0)
    grid = grid_of(origin=(x, y), epsg=epsg, pixel=28.0)
    window = Window(row=row, col=col, height=1 + seed % 59, width=60 - seed % 50)
    np.testing.assert_array_equal(ready.folds_on(grid[window]), ready.folds_on(grid)[window.slices])


def test_a_large_polygon_is_cut_without_gaps_and_windows_of_it_agree():
    grid = grid_of(size=300, pixel=1000.0)
    plane = Plane.around([grid])
    angles = np.linspace(0, 2 * np.pi, 5000, endpoint=False)
    radius = 1e5 * (1 + 0.1 * np.sin(40 * angles))
    star = shapely.Polygon(np.column_stack([radius * np.cos(angles), radius * np.sin(angles)]))
    regions = prepare(plane, np.array([star], dtype=object), np.array([7]))
    assert len(regions.pieces) > 10
    painted = regions.paint(grid, fill=0, dtype=np.uint8)
    cols, rows = np.meshgrid(np.arange(300) + 0.5, np.arange(300) + 0.5)
    places = plane.project(grid.crs, np.column_stack(grid.transform @ (cols.ravel(), rows.ravel())))
    np.testing.assert_array_equal(painted == 7, shapely.contains_xy(star, places).reshape(grid.shape))
    for window in grid.windows(70, 90):
        np.testing.assert_array_equal(
            regions.paint(grid[window], fill=0, dtype=np.uint8), painted[window.slices], strict=True
        )


def test_a_prepared_split_can_be_sent_to_another_process():
    ready = split_of(map_of(), buffer_m=60.0).split.map()
    copy = pickle.loads(pickle.dumps(ready))  # noqa: S301
    np.testing.assert_array_equal(copy.folds_on(grid_of()), ready.folds_on(grid_of()))


@given(st.integers(3, 7), st.integers(0, 50))
@settings(max_examples=10, deadline=None)
def test_the_runs_of_a_cross_validation_test_every_block_once(k, seed):
    split = split_of(map_of(), folds=k, seed=seed).split
    runs = np.array([split.run(i).folds for i in range(k)])
    assert split.k == k
    assert ((runs == TEST).sum(axis=0) == 1).all()
    assert ((runs == VAL).sum(axis=0) == 1).all()
    np.testing.assert_array_equal(runs[(np.arange(k) + 1) % k] == TEST, runs == VAL)
    sizes = np.bincount(split.parts, minlength=k)
    assert sizes.max() - sizes.min() <= 4
    assert split_of(map_of(), folds=k, fold=k - 1, seed=seed).split == split.run(k - 1)


@given(st.integers(2, 12), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_every_part_gets_a_block(blocks, classes, seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 2, (blocks, classes)) * rng.integers(1, 1000, (blocks, classes))
    pixels[:, 0] += ~pixels.any(axis=1)
    shares = SHARES[: min(3, blocks)]
    parts = deal(pixels, [share / sum(shares) for share in shares], seed)
    assert set(parts.tolist()) == set(range(len(shares)))


def test_a_block_with_most_of_a_rare_class_goes_to_the_large_part():
    pixels = np.full((30, 2), 100)
    pixels[:, 1] = 1
    pixels[17, 1] = 200
    assert all(deal(pixels, SHARES, seed)[17] == TRAIN for seed in range(20))


def test_polygons_of_any_crs_are_blocks_and_other_ground_has_no_fold(tmp_path):
    left, bottom, right, top = grid_of().bounds
    xs = np.linspace(left, right - 300, 5)
    boxes = [shapely.box(a, bottom, b, top) for a, b in pairwise(xs)]
    frame = geopandas.GeoDataFrame({"who": ["a", "b", "c", "a"]}, geometry=boxes, crs=32612)
    path = tmp_path / "parts.gpkg"
    frame.to_crs(32611).to_file(path)
    split = split_of(map_of(), polygons=path, polygons_name="who").split
    folds = folds_of(split, grid_of())
    assert sorted(block.name for block in split.blocks) == ["a", "b", "c"]
    columns = [np.unique(folds[:, int((x - left) / 30) + 2 : int((x - left) / 30) + 20]) for x in xs[:-1]]
    assert all(len(found) == 1 for found in columns)
    assert columns[0] == columns[3]
    assert len({int(found[0]) for found in columns}) == 3
    assert (folds[:, -9:] == NO_FOLD).all()
    assert len(split_of(map_of(), polygons=path).split.blocks) == 4


def test_polygons_that_cannot_be_blocks_are_refused(tmp_path):
    plane = Plane.around([grid_of()])
    boxes = [shapely.box(-112, 37, -111, 38), shapely.box(-111.5, 37, -110.5, 38)]
    geopandas.GeoDataFrame({"n": ["east", None]}, geometry=boxes, crs=4326).to_file(tmp_path / "b.gpkg")
    with pytest.raises(InputError, match="'1' and '2' overlap by"):
        blocks_from_file(plane, tmp_path / "b.gpkg")
    with pytest.raises(InputError, match="1 polygons have nothing in 'n'"):
        blocks_from_file(plane, tmp_path / "b.gpkg", "n")
    with pytest.raises(InputError, match="no column 'm'"):
        blocks_from_file(plane, tmp_path / "b.gpkg", "m")
    with pytest.raises(MissingFileError):
        blocks_from_file(plane, tmp_path / "c.gpkg")
    (tmp_path / "d.gpkg").write_text("nothing")
    with pytest.raises(InputError, match="cannot be read"):
        blocks_from_file(plane, tmp_path / "d.gpkg")
    geopandas.GeoDataFrame(geometry=[shapely.Point(0, 0)], crs=4326).to_file(tmp_path / "e.gpkg")
    with pytest.raises(InputError, match="must be polygons"):
        blocks_from_file(plane, tmp_path / "e.gpkg")


def test_scenes_of_one_region_share_their_fold_and_ground_of_two_regions_has_none():
    origins = ((301905.0, 4154085.0), (303705.0, 4154085.0), (311905.0, 4154085.0), (321905.0, 4154085.0))
    maps = [map_of(origin=origin) for origin in origins]
    split = split_of(*maps, attribute="region", attributes=("a", "b", "c", "a")).split
    first, second, third, fourth = (folds_of(split, each.grid) for each in maps)
    shared = 60  # columns: the second scene starts 1800 m east of the first
    assert (first[:, shared + 1 :] == NO_FOLD).all()
    assert set(np.unique(first[:, : shared - 1])) == set(np.unique(fourth))
    assert {int(second[0, -1]), int(third[0, 0]), int(fourth[0, 0])} == {TRAIN, VAL, TEST}


def test_scenes_without_a_region_are_refused():
    grids = [grid_of(), grid_of(origin=(321905.0, 4154085.0))]
    with pytest.raises(InputError, match="missing for scene 2"):
        blocks_by_attribute(Plane.around(grids), grids, ("a", ""))
    with pytest.raises(InputError, match="also covered by other scenes"):
        blocks_by_attribute(Plane.around(grids), [grids[0], grids[0]], ("a", "b"))


@given(st.integers(0, 999))
@settings(max_examples=10, deadline=None)
def test_blocks_partition_the_pixels_they_count(seed):
    rng = np.random.default_rng(seed)
    labels = rng.choice(np.array([0, 1, 2, 255], np.uint8), (120, 120))
    one, two = map_of(labels), map_of(labels, origin=(302905.0, 4150085.0))
    plane = Plane.around([one.grid, two.grid])
    blocks = cells(plane, [one.grid, two.grid], 250.0 + seed)
    counts = count_blocks(plane, blocks, [one, two], 3)
    np.testing.assert_array_equal(counts.sum(axis=0), 2 * np.bincount(labels[labels < 3], minlength=3))
    assert shapely.area(shapely.union_all(polygons_of(blocks))) == pytest.approx(len(blocks) * (250.0 + seed) ** 2)


def test_only_labelled_ground_takes_part():
    labels = np.full((120, 120), 255, np.uint8)
    labels[:40] = 0
    split = split_of(map_of(labels), buffer_m=90.0).split
    folds = folds_of(split, grid_of())
    assert (folds[80:] == NO_FOLD).all()
    assert len(split.blocks) < 30


def test_a_class_that_a_fold_lacks_is_told():
    labels = np.zeros((120, 120), np.uint8)
    labels[38:41, 38:41] = 2  # within one block
    built = split_of(map_of(labels))
    missing = missing_classes(built.fold_pixels)
    assert len(missing) == 2
    assert {index for _, index in missing} == {2}
    assert {FOLDS[fold] for fold, _ in missing} == {"val", "test"}
    assert missing_classes(np.array([[3, 0], [2, 0], [0, 0]])) == ()


def test_unusable_splits_are_refused():
    labels = np.full((120, 120), 255, dtype=np.uint8)
    with pytest.raises(InputError, match="no labelled pixel lies in a block"):
        split_of(map_of(labels))
    labels[60:62, 60:62] = 0
    with pytest.raises(InputError, match=r"all labels lie in one block .*smaller block_m"):
        split_of(map_of(labels))
    with pytest.raises(InputError, match="all labels lie in one block"):
        split_of(map_of(), block_m=50_000.0)
    with pytest.raises(InputError, match=r"in 9 blocks .* 12 folds"):
        split_of(map_of(), block_m=2500.0, folds=12)
    with pytest.raises(InputError, match="leaves no labelled pixel of the"):
        split_of(map_of(), buffer_m=900.0)
    with pytest.raises(InputError, match="choose one above"):
        split_of(map_of(), block_m=1.0)
    with pytest.raises(InputError, match="labels are of one class"):
        split_of(map_of(), block_m="auto")
    with pytest.raises(InputError, match="no parts that take turns"):
        split_of(map_of()).split.run(1)


def test_automatic_lengths_follow_the_labels():
    rng = np.random.default_rng(0)
    labels = np.kron(rng.integers(0, 3, (30, 30)), np.ones((10, 10), int)).astype(np.uint8)
    built = split_of(map_of(labels, size=300), block_m="auto", buffer_m="auto")
    assert 200 <= built.variogram.range_m <= 420  # random squares of 300 m
    side = float(built.split.method.split()[2])
    assert abs(side / built.variogram.range_m - 1) < 0.05
    assert built.split.buffer_m == pytest.approx(side / 4, abs=0.5)
    assert any("quarter" in note for note in built.notes)


def test_options_that_contradict_each_other_are_refused():
    validate = TypeAdapter(SplitOptions).validate_python
    assert validate({"file": "a.gpkg", "fold": 3}).fold == 3
    for wrong in (
        {"file": "a.gpkg", "seed": 1},
        {"fold": 1},
        {"folds": 5, "fold": 5},
        {"folds": 2},
        {"shares": (0.5, 0.2, 0.2)},
        {"shares": (1.0, 0.0, 0.0)},
        {"polygons": "a.gpkg", "attribute": "region"},
        {"polygons_name": "n"},
        {"block_m": 0},
        {"block_m": float("inf")},
        {"buffer_m": -1},
        {"blocks": 3},
    ):
        with pytest.raises(ValidationError):
            validate(wrong)


@given(st.integers(-5, 99), st.integers(0, 60), st.integers(0, 60))
@settings(max_examples=15, deadline=None)
def test_a_split_by_chance_is_of_the_ground_and_of_cells(seed, row, col):
    grid = grid_of()
    split = random_split([grid], shares=SHARES, seed=seed)
    folds = split.folds_on(grid)
    window = Window(row=row, col=col, height=30, width=50)
    np.testing.assert_array_equal(split.folds_on(grid[window]), folds[window.slices])
    np.testing.assert_array_equal(folds, np.kron(folds[::8, ::8], np.ones((8, 8), int)))
    assert (folds != random_split([grid], seed=seed + 1).folds_on(grid)).any()


def test_a_split_by_chance_has_its_shares_and_agrees_across_utm_zones():
    grid = grid_of(size=800)
    split = random_split([grid, grid_of(epsg=32613)], shares=SHARES, seed=4)
    folds = split.folds_on(grid)
    np.testing.assert_allclose(np.bincount(folds.ravel(), minlength=3) / folds.size, SHARES, atol=0.02)
    x, y = Transformer.from_crs(32612, 32611, always_xy=True).transform(301905.0 + 3000, 4154085.0 - 6000)
    other = grid_of(size=60, origin=(x, y), epsg=32611)
    cols, rows = np.meshgrid(np.arange(60) + 0.5, np.arange(60) + 0.5)
    east, north = Transformer.from_crs(32611, 32612, always_xy=True).transform(x + cols * 30, y - rows * 30)
    nearest = folds[((4154085.0 - north) // 30).astype(int), ((east - 301905.0) // 30).astype(int)]
    np.testing.assert_array_equal(split.folds_on(other), nearest)


def test_counts_of_folds_are_those_of_the_painted_folds():
    labels = np.random.default_rng(1).choice(np.array([0, 1, 255], np.uint8), (120, 120))
    split = random_split([grid_of()])
    counts = count_folds(split, [map_of(labels)], 2)
    folds = split.folds_on(grid_of())
    for fold in range(3):
        for k in range(2):
            assert counts[fold, k] == ((folds == fold) & (labels == k)).sum()
