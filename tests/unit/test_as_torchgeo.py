from __future__ import annotations

import pickle
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
import torchgeo
from affine import Affine
from factory import BANDS, NORTH_UP, write_raster, write_scene
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling
from rasterio.vrt import WarpedVRT
from torch.utils.data import DataLoader
from torchgeo.datasets import (
    IntersectionDataset,
    RasterDataset,
    UnionDataset,
    random_bbox_assignment,
    random_bbox_splitting,
    roi_split,
    stack_samples,
    time_series_split,
)
from torchgeo.samplers import GridGeoSampler, PreChippedGeoSampler, RandomBatchGeoSampler, RandomGeoSampler, Units

from geoseg.core.bands import BandSet
from geoseg.core.grid import Grid, Window
from geoseg.data.interop.as_torchgeo import SampleOptions, SceneGeoDataset, _cells_of_fold, _rectangles, first_known
from geoseg.errors import InputError
from geoseg.inference.contract import calibrate
from geoseg.io.scene import open_scene

IGNORED = 255


@dataclass(frozen=True)
class MemoryMap:
    """A class map in memory."""

    grid: Grid
    classes: np.ndarray

    def reader(self):
        return nullcontext(self)

    def read(self, window: Window) -> np.ndarray:
        out = np.full(window.shape, IGNORED, dtype=np.uint8)
        part = window.intersect(self.grid.window)
        if part is not None:
            out[part.within(window).slices] = self.classes[part.slices]
        return out


@dataclass(frozen=True)
class Halves:
    """Fold 0 west of x, fold 1 east of it, in a CRS."""

    x: float
    crs: str = "EPSG:32612"

    def folds_on(self, grid: Grid) -> np.ndarray:
        from pyproj import Transformer

        rows, cols = np.mgrid[: grid.height, : grid.width] + 0.5
        x, y = grid.transform @ (cols, rows)
        if grid.crs.to_epsg() != int(self.crs.split(":")[1]):
            x, _ = Transformer.from_crs(grid.crs, self.crs, always_xy=True).transform(x, y)
        return (x >= self.x).astype(np.uint8)


@dataclass(frozen=True, kw_only=True)
class Scene:
    name: str
    pixels: object
    bands: BandSet
    labels: MemoryMap
    folds: object


def make_scene(path: Path, *, shape=(96, 128), seed=0, folds=None, **changes) -> Scene:
    scene = open_scene(write_scene(path, *shape, seed=seed, **changes))
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 3, size=(-(-shape[0] // 8), -(-shape[1] // 8)))
    classes = np.kron(blocks, np.ones((8, 8), dtype=int))[: shape[0], : shape[1]].astype(np.uint8)
    classes[:, :5] = IGNORED
    return Scene(
        name=path.stem,
        pixels=scene,
        bands=calibrate(BANDS, scene.bands),
        labels=MemoryMap(scene.grid, classes),
        folds=folds or Halves(scene.grid.transform.c + 64 * 30),
    )


@pytest.fixture
def scene(tmp_path) -> Scene:
    return make_scene(tmp_path / "a.tif")


def around(grid: Grid, window: Window) -> tuple[slice, slice]:
    left, bottom, right, top = grid[window].bounds
    return slice(left, right), slice(bottom, top)


def everywhere(dataset) -> tuple[slice, slice]:
    return dataset.bounds[:2]


@given(st.integers(-20, 110), st.integers(-20, 140), st.integers(1, 40), st.integers(1, 40))
def test_a_window_holds_exactly_the_pixels_and_labels_of_the_files(tmp_path_factory, row, col, height, width):
    path = tmp_path_factory.getbasetemp() / "exact.tif"
    scene = make_scene(path)
    dataset = SceneGeoDataset([scene], SampleOptions(indices=("ndvi",)))
    window = Window(row=row, col=col, height=height, width=width)
    if window.intersect(scene.pixels.grid.window) is None:
        return
    sample = dataset[around(scene.pixels.grid, window)]
    raster = scene.pixels.read(window)
    expected = scene.bands.normalise(raster.data, raster.valid, ("ndvi",))
    assert sample["image"].dtype == torch.float32
    assert sample["mask"].dtype == torch.int64
    np.testing.assert_array_equal(sample["image"].numpy(), expected)
    np.testing.assert_array_equal(sample["mask"].numpy(), scene.labels.read(window))


def test_physical_values_are_those_that_the_file_declares(scene):
    sample = SceneGeoDataset([scene], SampleOptions(normalised=False))[:]
    with rasterio.open(scene.pixels.paths[0]) as file:
        stored = file.read()
    np.testing.assert_allclose(sample["image"], stored * 2e-5 - 0.1, atol=1e-6)


def test_invalid_pixels_are_zero_and_unlabelled(tmp_path):
    data = np.full((4, 40, 40), 9000, dtype=np.uint16)
    data[:, 10:20, 10:20] = 65535
    path = write_raster(tmp_path / "a.tif", data, names=BANDS.names, scale=2e-5, offset=-0.1, nodata=65535)
    opened = open_scene(path)
    labels = MemoryMap(opened.grid, np.ones((40, 40), dtype=np.uint8))
    scene = Scene(name="a", pixels=opened, bands=calibrate(BANDS, opened.bands), labels=labels, folds=Halves(0))
    sample = SceneGeoDataset([scene])[:]
    assert (sample["image"][:, 10:20, 10:20] == 0).all()
    assert (sample["mask"][10:20, 10:20] == IGNORED).all()
    assert int((sample["mask"] == 1).sum()) == 1500


def test_samples_have_the_keys_of_torchgeos_own_raster_datasets(scene):
    ours = SceneGeoDataset([scene])
    theirs = RasterDataset(scene.pixels.paths)
    query = around(scene.pixels.grid, Window(row=3, col=4, height=16, width=16))
    a, b = ours[query], theirs[query]
    assert set(a) == {*b, "mask"}
    assert a["crs"] == b["crs"]
    assert a["bounds"] == b["bounds"]
    assert a["image"].shape == b["image"].shape
    assert ours.res == theirs.res
    assert ours.bounds == theirs.bounds
    assert ours.files == theirs.files


def test_newer_torchgeo_gets_tensors_that_the_default_collate_takes(scene, monkeypatch):
    monkeypatch.setattr(torchgeo, "__version__", "0.9.0")
    dataset = SceneGeoDataset([scene])
    sampler = RandomGeoSampler(dataset, size=16, length=4)
    batch = next(iter(DataLoader(dataset, sampler=sampler, batch_size=4)))
    assert batch["bounds"].shape == (4, 9)
    assert batch["transform"].shape == (4, 9)
    assert "crs" not in batch


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded, use of fork:DeprecationWarning")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_plain_torch_loop_trains_on_random_chips(scene, workers):
    torch.manual_seed(0)
    dataset = SceneGeoDataset([scene], SampleOptions(fold=0, indices=("ndvi",), cell=64))
    sampler = RandomGeoSampler(dataset, size=64, length=8)
    loader = DataLoader(dataset, sampler=sampler, batch_size=4, collate_fn=stack_samples, num_workers=workers)
    net = torch.nn.Sequential(torch.nn.Conv2d(5, 8, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(8, 3, 1))
    optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
    losses = []
    for _ in range(1 if workers else 12):
        for batch in loader:
            assert batch["image"].shape == (4, 5, 64, 64)
            loss = torch.nn.functional.cross_entropy(net(batch["image"]), batch["mask"], ignore_index=IGNORED)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
    assert np.isfinite(losses).all()
    if not workers:
        assert losses[-1] < losses[0]


def test_random_batches_and_whole_scenes_can_be_drawn(tmp_path):
    scenes = [make_scene(tmp_path / f"{i}.tif", seed=i, transform=moved(i * 4000, 0)) for i in range(2)]
    dataset = SceneGeoDataset(scenes)
    batches = RandomBatchGeoSampler(dataset, size=32, batch_size=3, length=6)
    loaded = list(DataLoader(dataset, batch_sampler=batches, collate_fn=stack_samples))
    assert [batch["image"].shape for batch in loaded] == [(3, 4, 32, 32)] * 2
    whole = list(DataLoader(dataset, sampler=PreChippedGeoSampler(dataset), collate_fn=stack_samples))
    for scene, sample in zip(scenes, whole, strict=True):
        np.testing.assert_array_equal(sample["mask"][0].numpy(), scene.labels.classes)


def moved(x: float, y: float) -> Affine:
    return Affine.translation(x, y) @ NORTH_UP


def test_a_grid_of_chips_covers_every_labelled_pixel(tmp_path):
    scene = make_scene(tmp_path / "a.tif", shape=(100, 130))
    dataset = SceneGeoDataset([scene])
    seen = np.zeros((100, 130), dtype=int)
    for query in GridGeoSampler(dataset, size=32):
        sample = dataset[query]
        left, top = ~scene.pixels.grid.transform @ (query[0].start, query[1].stop)
        window = Window(row=round(top), col=round(left), height=32, width=32)
        np.testing.assert_array_equal(sample["mask"].numpy(), scene.labels.read(window))
        part = window.intersect(scene.pixels.grid.window)
        seen[part.slices] += 1
    assert seen.min() == 1


@pytest.mark.parametrize("cell", [16, 24, 64])
@pytest.mark.parametrize("fold", [0, 1])
def test_a_grid_of_chips_over_a_fold_covers_its_labels_and_shows_no_others(tmp_path, fold, cell):
    scene = make_scene(tmp_path / "a.tif", shape=(100, 130), folds=Halves(NORTH_UP.c + 50 * 30))
    dataset = SceneGeoDataset([scene], SampleOptions(fold=fold, cell=cell))
    seen = np.full((100, 130), IGNORED)
    for query in GridGeoSampler(dataset, size=min(cell, 32)):
        mask = dataset[query]["mask"].numpy()
        col, row = (round(v) for v in ~scene.pixels.grid.transform @ (query[0].start, query[1].stop))
        rows, cols = np.nonzero(mask != IGNORED)
        seen[rows + row, cols + col] = mask[rows, cols]
    inside = scene.folds.folds_on(scene.pixels.grid) == fold
    np.testing.assert_array_equal(seen, np.where(inside, scene.labels.classes, IGNORED))


def test_samplers_do_not_leave_the_cells_of_a_fold(tmp_path):
    scene = make_scene(tmp_path / "a.tif", shape=(96, 256), folds=Halves(NORTH_UP.c + 64 * 30))
    dataset = SceneGeoDataset([scene], SampleOptions(fold=0, cell=32))
    for query in RandomGeoSampler(dataset, size=32, length=40):
        assert (dataset[query]["mask"] != IGNORED).any()
    assert dataset.bounds[0].stop <= NORTH_UP.c + 64 * 30


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_boxes_of_cells_cover_each_labelled_pixel_of_the_fold_and_no_empty_cell(height, width, cell, seed):
    rng = np.random.default_rng(seed)
    classes = np.where(rng.random((height, width)) < 0.05, 1, IGNORED).astype(np.uint8)
    grid = Grid(crs="EPSG:32612", transform=NORTH_UP, height=height, width=width)
    scene = Scene(name="a", pixels=None, bands=BANDS, labels=MemoryMap(grid, classes), folds=Everything())
    cells = _cells_of_fold(scene, 0, cell)
    painted = np.zeros(cells.shape, dtype=int)
    for (row, row_end), (col, col_end) in _rectangles(cells):
        painted[row:row_end, col:col_end] += 1
    expected = [[(classes[r : r + cell, c : c + cell] == 1).any() for c in range(0, width, cell)]
                for r in range(0, height, cell)]  # fmt: skip
    np.testing.assert_array_equal(painted, np.array(expected, dtype=int))


class Everything:
    def folds_on(self, grid):
        return np.zeros(grid.shape, dtype=np.uint8)


def test_it_intersects_with_a_raster_dataset_of_torchgeo(scene, tmp_path):
    heights = np.arange(50 * 60, dtype=np.float32).reshape(1, 50, 60)
    path = write_raster(tmp_path / "dem.tif", heights, transform=moved(20 * 30, -10 * 30))
    for dataset in (SceneGeoDataset([scene]) & RasterDataset(path), RasterDataset(path) & SceneGeoDataset([scene])):
        assert isinstance(dataset, IntersectionDataset)
        sample = dataset[next(iter(RandomGeoSampler(dataset, size=32, length=1)))]
        assert sample["image"].shape == (5, 32, 32)
        assert sample["mask"].shape == (32, 32)
    whole = dataset[everywhere(dataset)]
    np.testing.assert_array_equal(whole["image"][0], heights[0])
    window = Window(row=10, col=20, height=50, width=60)
    np.testing.assert_array_equal(whole["mask"].numpy(), scene.labels.read(window))


def test_it_follows_the_crs_and_the_pixels_of_the_dataset_that_it_is_joined_to(scene, tmp_path, capsys):
    utm13 = shapely.box(*scene.pixels.grid.bounds)
    other = write_raster(tmp_path / "geo.tif", np.ones((1, 60, 60), dtype=np.float32), crs="EPSG:4326",
                         transform=Affine(0.0007, 0, -113.24, 0, -0.0007, 37.52))  # fmt: skip
    dataset = RasterDataset(other) & SceneGeoDataset([scene])
    capsys.readouterr()  # torchgeo prints that it converts
    assert utm13.area > 0
    assert dataset.crs.to_epsg() == 4326
    sample = dataset[everywhere(dataset)]
    classes = nearest(scene, dataset, sample["mask"].shape)
    np.testing.assert_array_equal(sample["mask"].numpy(), classes)
    assert (classes != IGNORED).mean() > 0.3


def nearest(scene: Scene, dataset, shape: tuple[int, int]) -> np.ndarray:
    """Classes at the pixel centres of a dataset's bounds, by pyproj and indexing alone."""
    from pyproj import Transformer

    x, y, _ = dataset.bounds
    rows, cols = np.mgrid[: shape[0], : shape[1]] + 0.5
    there = Transformer.from_crs(dataset.crs, scene.pixels.grid.crs, always_xy=True)
    xs, ys = there.transform(x.start + cols * x.step, y.stop - rows * y.step)
    col, row = ~scene.pixels.grid.transform @ (xs, ys)
    row, col = np.floor(row).astype(int), np.floor(col).astype(int)
    inside = (row >= 0) & (row < scene.pixels.grid.height) & (col >= 0) & (col < scene.pixels.grid.width)
    height, width = scene.pixels.grid.shape
    return np.where(inside, scene.labels.classes[row.clip(0, height - 1), col.clip(0, width - 1)], IGNORED)


def test_a_union_merges_overlapping_ground_by_what_is_known(tmp_path):
    a, b = (make_scene(tmp_path / f"{i}.tif", seed=i, transform=moved(i * 64 * 30, 0)) for i in range(2))
    union = UnionDataset(SceneGeoDataset([a]), SceneGeoDataset([b]), collate_fn=first_known)
    sample = union[everywhere(union)]
    both = SceneGeoDataset([a, b])[everywhere(union)]
    assert sample["image"].shape == both["image"].shape == (4, 96, 192)
    np.testing.assert_array_equal(sample["image"], both["image"])
    assert (sample["mask"][:, 128:].numpy() == b.labels.classes[:, 64:]).all()
    assert (sample["mask"][:, 5:128].numpy() == a.labels.classes[:, 5:]).all()
    batch = stack_samples([union[q] for q in RandomGeoSampler(union, size=32, length=4)])
    assert batch["image"].shape == (4, 4, 32, 32)


def test_of_overlapping_scenes_the_first_valid_pixel_counts(tmp_path):
    a, b = (make_scene(tmp_path / f"{i}.tif", seed=i) for i in range(2))
    query = everywhere(SceneGeoDataset([a]))
    first = SceneGeoDataset([a])[query]
    both = SceneGeoDataset([a, b])[query]
    np.testing.assert_array_equal(both["image"], first["image"])
    np.testing.assert_array_equal(both["mask"], first["mask"])


@pytest.fixture
def two_zones(tmp_path) -> tuple[Scene, Scene]:
    """Scenes of zones 12 and 13 that share ground at 111 degrees west."""
    west = make_scene(tmp_path / "west.tif", transform=Affine(30, 0, 764000, 0, -30, 4100000), crs="EPSG:32612")
    east = make_scene(tmp_path / "east.tif", transform=Affine(30, 0, 234000, 0, -30, 4100000), crs="EPSG:32613", seed=3)
    return west, east


def test_scenes_in_two_utm_zones_are_one_dataset(two_zones):
    west, east = two_zones
    dataset = SceneGeoDataset(two_zones)
    assert len(dataset) == 2
    assert dataset.crs.to_epsg() == 32612
    whole = dataset[everywhere(dataset)]
    classes = nearest(west, dataset, whole["mask"].shape)
    np.testing.assert_array_equal(whole["mask"][classes != IGNORED].numpy(), classes[classes != IGNORED])
    alone = SceneGeoDataset([east], crs="EPSG:32612", res=30)
    np.testing.assert_array_equal(alone[:]["mask"].numpy(), nearest(east, alone, alone[:]["mask"].shape))


def test_a_warped_image_is_what_gdals_bilinear_warp_gives(two_zones):
    _, east = two_zones
    dataset = SceneGeoDataset([east], SampleOptions(normalised=False), crs="EPSG:32612", res=30)
    sample = dataset[:]
    x, y, _ = dataset.bounds
    height, width = sample["mask"].shape
    with rasterio.open(east.pixels.paths[0]) as file:
        options = {"crs": "EPSG:32612", "transform": Affine(30, 0, x.start, 0, -30, y.stop), "height": height,
                   "width": width, "resampling": Resampling.bilinear, "nodata": 65535, "tolerance": 1e-9}  # fmt: skip
        with WarpedVRT(file, **options) as warped:
            stored = warped.read().astype(float)
    valid = (stored != 65535).all(axis=0)
    assert valid.mean() > 0.8
    ours = sample["image"].numpy()
    assert np.array_equal((ours != 0).any(axis=0), valid)
    np.testing.assert_allclose(ours[:, valid], stored[:, valid] * 2e-5 - 0.1, atol=2e-5)  # GDAL rounds to uint16


@pytest.mark.parametrize("res", [20.0, 45.0, 90.0])
def test_a_warped_pixel_does_not_depend_on_the_window(two_zones, res):
    dataset = SceneGeoDataset(two_zones, SampleOptions(fold=0), res=res)
    x, y = everywhere(dataset)
    whole = dataset[x.start : x.start + 40 * res, y.stop - 30 * res : y.stop]
    assert (whole["image"] != 0).any(dim=0).float().mean() > 0.5
    for row, col in ((0, 0), (7, 11), (15, 25)):
        part = dataset[x.start + col * res : x.start + (col + 15) * res, y.stop - (row + 15) * res : y.stop - row * res]
        np.testing.assert_allclose(part["image"], whole["image"][:, row : row + 15, col : col + 15], atol=1e-5)
        np.testing.assert_array_equal(part["mask"], whole["mask"][row : row + 15, col : col + 15])


def test_coarser_pixels_are_means(scene):
    dataset = SceneGeoDataset([scene], SampleOptions(normalised=False), res=120)
    values = SceneGeoDataset([scene], SampleOptions(normalised=False))[:]["image"].numpy()
    means = values.reshape(4, 24, 4, 32, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(dataset[:]["image"], means, atol=1e-5)


def test_folds_split_warped_scenes_too(two_zones):
    dataset = [SceneGeoDataset(two_zones, SampleOptions(fold=fold), crs="EPSG:32613") for fold in (0, 1)]
    everything = SceneGeoDataset(two_zones, crs="EPSG:32613")
    query = everywhere(everything)
    parts = [d[query]["mask"].numpy() for d in dataset]
    assert not ((parts[0] != IGNORED) & (parts[1] != IGNORED)).any()
    np.testing.assert_array_equal(np.minimum(*parts), everything[query]["mask"].numpy())
    assert all((part != IGNORED).any() for part in parts)


def test_degrees_get_pixels_as_long_on_the_ground(scene):
    dataset = SceneGeoDataset([scene], crs="EPSG:4326")
    x, y, _ = dataset.bounds
    lon, lat = (x.start + x.stop) / 2, (y.start + y.stop) / 2
    small = Grid(crs=dataset.crs, transform=Affine(x.step, 0, lon, 0, -y.step, lat), height=1, width=1)
    assert small.gsd_m == pytest.approx((30, 30), rel=0.01)


def test_splitters_divide_it(tmp_path):
    spans = {f"{i}": (datetime(2020, 1 + i, 1), datetime(2020, 1 + i, 20)) for i in range(4)}  # noqa: DTZ001
    scenes = [make_scene(tmp_path / f"{i}.tif", seed=i, transform=moved(i * 4000, 0)) for i in range(4)]
    dataset = SceneGeoDataset(scenes, times=spans)
    train, val = random_bbox_assignment(dataset, [0.5, 0.5], torch.Generator().manual_seed(0))
    assert sorted([*train.index["name"], *val.index["name"]]) == ["0", "1", "2", "3"]
    assert next(iter(GridGeoSampler(train, size=32))) is not None
    absent = dataset.index[dataset.index["name"].isin(val.index["name"])].geometry.iloc[0].bounds
    with pytest.raises(IndexError):
        train[absent[0] + 100 : absent[2] - 100, absent[1] : absent[3]]
    for part in (*random_bbox_splitting(dataset, [0.5, 0.5]), *roi_split(dataset, [half(dataset)])):
        assert part[next(iter(RandomGeoSampler(part, size=16, length=1)))]["image"].shape == (4, 16, 16)
    early, late = time_series_split(dataset, [0.5, 0.5])
    assert (len(early), len(late)) == (2, 2)


def half(dataset):
    x, y, _ = dataset.bounds
    return shapely.box(x.start, y.start, (x.start + x.stop) / 2, y.stop)


def test_times_keep_scenes_of_one_place_apart(tmp_path):
    a, b = (make_scene(tmp_path / f"{i}.tif", seed=i) for i in range(2))
    times = {"0": (datetime(2020, 1, 1), datetime(2020, 1, 2)), "1": (datetime(2021, 1, 1), datetime(2021, 1, 2))}  # noqa: DTZ001
    dataset = SceneGeoDataset([a, b], times=times)
    later = dataset[:, :, pd.Timestamp("2020-06-01") : pd.Timestamp("2022-01-01")]
    np.testing.assert_array_equal(later["mask"].numpy(), b.labels.classes)
    with pytest.raises(IndexError):
        dataset[:, :, pd.Timestamp("2020-06-01") : pd.Timestamp("2020-07-01")]


def test_the_sampler_may_count_in_metres(scene):
    dataset = SceneGeoDataset([scene])
    query = next(iter(RandomGeoSampler(dataset, size=600, length=1, units=Units.CRS)))
    assert dataset[query]["image"].shape == (4, 20, 20)


def test_transforms_change_samples(scene):
    dataset = SceneGeoDataset([scene], transforms=lambda sample: sample | {"image": sample["image"] * 0})
    assert (dataset[:]["image"] == 0).all()


def test_it_travels_to_another_process(scene):
    dataset = SceneGeoDataset([scene])
    copy = pickle.loads(pickle.dumps(dataset))  # noqa: S301 -- our own bytes
    np.testing.assert_array_equal(copy[:]["mask"], dataset[:]["mask"])


def test_what_cannot_be_is_refused(scene):
    with pytest.raises(InputError, match="found no scene"):
        SceneGeoDataset([])
    with pytest.raises(InputError, match="fold 7 holds no labelled pixel"):
        SceneGeoDataset([scene], SampleOptions(fold=7))
    with pytest.raises(InputError, match="found the bands blue"):
        SceneGeoDataset([scene, replace(scene, bands=scene.bands.select((0, 1)))])
    with pytest.raises(InputError, match="found the indices greenness"):
        SceneGeoDataset([scene], SampleOptions(indices=("greenness",)))
    with pytest.raises(InputError, match="cell must be"):
        SampleOptions(cell=0)
    with pytest.raises(IndexError):
        SceneGeoDataset([scene])[0:1, 0:1]


def test_a_real_scene_trains_with_torchgeos_sampler(shared_data):
    folder = shared_data / "zion_landsat8"
    opened = open_scene(folder / "zion_north.tif")
    from geoseg.io.raster import read_labels_on

    classes = read_labels_on(folder / "zion_north_nlcd8.tif", opened.grid)
    bands = calibrate(BANDS, opened.bands)
    labels = MemoryMap(opened.grid, classes)
    scene = Scene(name="zion", pixels=opened, bands=bands, labels=labels, folds=Halves(320000))
    dataset = SceneGeoDataset([scene], SampleOptions(fold=1))
    sampler = RandomGeoSampler(dataset, size=128, length=8, generator=torch.Generator().manual_seed(1))
    for query in sampler:
        sample = dataset[query]
        col, row = (round(v) for v in ~opened.grid.transform @ (query[0].start, query[1].stop))
        window = Window(row=row, col=col, height=128, width=128)
        expected = np.where(opened.read(window).valid, labels.read(window), IGNORED)
        expected[scene.folds.folds_on(opened.grid[window]) != 1] = IGNORED
        np.testing.assert_array_equal(sample["mask"].numpy(), expected)
        assert (expected != IGNORED).any()
