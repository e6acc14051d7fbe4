from __future__ import annotations

import os
import pickle
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
import torch
import yaml
from affine import Affine
from factory import BANDS, LEGEND, NORTH_UP, write_raster, write_scene
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from torch.utils.data import DataLoader
from torchgeo.datasets import GeoDataset, IntersectionDataset, RasterDataset, stack_samples
from torchgeo.samplers import RandomGeoSampler

from geoseg.core.bands import Band, BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import LandClass, Legend
from geoseg.data.interop.as_torchgeo import SampleOptions, SceneGeoDataset
from geoseg.data.interop.from_torchgeo import fit_pixels, scenes_of
from geoseg.data.interop.sources import GeoDatasetConfig, GeoDatasetOptions, GeoSource, open_geodataset
from geoseg.data.readers import LabelledScene
from geoseg.data.store import store_labels
from geoseg.errors import InputError, MissingFileError

IGNORED = 255
NAMED = GeoDatasetOptions(bands=BANDS.names, scale=2e-5, offset=-0.1)
INDICES = Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#123456") for i in range(3)))


class Images(RasterDataset):
    filename_glob = "image*.tif"
    all_bands = BANDS.names


class DatedImages(Images):
    filename_regex = r"image_(?P<date>\d{8})"


class Masks(RasterDataset):
    filename_glob = "mask*.tif"
    is_image = False


class Plain(RasterDataset):
    is_image = False


def moved(x: float, y: float, transform: Affine = NORTH_UP) -> Affine:
    return Affine.translation(x, y) @ transform


def codes_like(shape: tuple[int, int], *, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.choice(np.array([1, 2, 4, IGNORED], dtype=np.uint8), size=(1, *shape))


def write_pair(folder: Path, name: str = "a", shape=(40, 60), *, seed: int = 0, **place) -> tuple[Path, Path]:
    image = write_scene(folder / f"image_{name}.tif", *shape, seed=seed, **place)
    mask = write_raster(folder / f"mask_{name}.tif", codes_like(shape, seed=seed), **place)
    return image, mask


def pair(folder: Path) -> IntersectionDataset:
    return Images(folder) & Masks(folder)


def stored(path: Path) -> tuple[np.ndarray, Grid]:
    with rasterio.open(path) as file:
        grid = Grid(crs=file.crs.to_wkt(), transform=file.transform, height=file.height, width=file.width)
        return file.read(), grid


def read(scene, window: Window) -> np.ndarray:
    with scene.reader() as reader:
        return reader.read(window)


def padded(data: np.ndarray, window: Window, fill: float) -> np.ndarray:
    """A window of an array (band, row, col), filled beyond it."""
    rows = np.arange(window.row, window.row_end)[:, None]
    cols = np.arange(window.col, window.col_end)
    inside = (rows >= 0) & (rows < data.shape[1]) & (cols >= 0) & (cols < data.shape[2])
    picked = data[:, rows.clip(0, data.shape[1] - 1), cols.clip(0, data.shape[2] - 1)]
    return np.where(inside, picked, fill)


@pytest.fixture(scope="module")
def lonlat(tmp_path_factory) -> Path:
    """Pixels whose borders floating point cannot hold exactly."""
    folder = tmp_path_factory.mktemp("lonlat")
    step = 0.000269494585235856
    write_pair(folder, crs="EPSG:4326", transform=Affine(step, 0, -113.1234567, 0, -step, 37.7654321))
    return folder


@given(st.integers(-20, 50), st.integers(-20, 70), st.integers(1, 45), st.integers(1, 65))
def test_a_window_holds_exactly_what_rasterio_reads(lonlat, row, col, height, width):
    ((pixels, labels),) = scenes_of(pair(lonlat), NAMED, LEGEND)
    window = Window(row=row, col=col, height=height, width=width)
    image, grid = stored(lonlat / "image_a.tif")
    raster = read(pixels, window)
    assert pixels.grid == labels.grid == grid
    assert raster.grid == grid[window]
    np.testing.assert_array_equal(raster.data, padded(image, window, 0))
    np.testing.assert_array_equal(raster.valid, padded(image[:1] >= 0, window, 0)[0])
    codes = padded(stored(lonlat / "mask_a.tif")[0], window, IGNORED)[0]
    np.testing.assert_array_equal(read(labels, window).classes, LEGEND.to_indices(codes))


def test_every_file_is_a_scene_with_the_files_own_grid(tmp_path):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b", (50, 30), seed=1, transform=moved(60 * 30, 0))  # touches a
    write_pair(tmp_path, "c", (30, 30), seed=2, transform=moved(0, -90 * 30))
    scenes = scenes_of(pair(tmp_path), NAMED, LEGEND)
    assert [pixels.name for pixels, _ in scenes] == ["image_a", "image_b", "image_c"]
    for (pixels, labels), name in zip(scenes, "abc", strict=True):
        image, grid = stored(tmp_path / f"image_{name}.tif")
        mask, _ = stored(tmp_path / f"mask_{name}.tif")
        assert pixels.grid == labels.grid == grid
        assert pixels.paths == (tmp_path / f"image_{name}.tif",)
        assert labels.paths == (tmp_path / f"mask_{name}.tif",)
        np.testing.assert_array_equal(read(pixels, grid.window).data, image)
        np.testing.assert_array_equal(read(labels, grid.window).classes, LEGEND.to_indices(mask[0]))


def test_overlapping_files_give_each_pixel_once_per_footprint(tmp_path):
    write_pair(tmp_path, "a", (40, 40))
    write_pair(tmp_path, "b", (40, 40), seed=1, transform=moved(36 * 30, 0))
    scenes = scenes_of(pair(tmp_path), NAMED, LEGEND)  # the intersection alone would also give two strips
    assert [pixels.grid.shape for pixels, _ in scenes] == [(40, 40), (40, 40)]
    assert [pixels.grid for pixels, _ in scenes] == [stored(tmp_path / f"image_{name}.tif")[1] for name in "ab"]


def test_equal_footprints_of_one_time_are_one_scene_and_of_two_dates_are_two(tmp_path):
    for name, seed in (("20200101", 0), ("20210101", 1)):
        write_scene(tmp_path / f"image_{name}.tif", 20, 20, seed=seed)
    write_raster(tmp_path / "mask.tif", codes_like((20, 20)))
    dated = scenes_of(DatedImages(tmp_path) & Masks(tmp_path), NAMED, LEGEND)
    for (pixels, _), name in zip(dated, ("image_20200101", "image_20210101"), strict=True):
        assert pixels.name == name
        np.testing.assert_array_equal(read(pixels, pixels.grid.window).data, stored(tmp_path / f"{name}.tif")[0])
    ((undated, _),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    np.testing.assert_array_equal(read(undated, undated.grid.window).data, stored(tmp_path / "image_20200101.tif")[0])


def test_an_instant_is_found(tmp_path):
    write_pair(tmp_path)
    dataset = pair(tmp_path)
    instant = pd.IntervalIndex.from_arrays(*[pd.DatetimeIndex([datetime(2020, 1, 1)])] * 2, closed="both")  # noqa: DTZ001
    dataset.index.index = dataset.datasets[0].index.index = instant
    ((pixels, _),) = scenes_of(dataset, NAMED, LEGEND)
    assert read(pixels, pixels.grid.window).valid.all()


def test_masks_on_other_pixels_leave_the_images_pixels_alone(tmp_path):
    image = write_scene(tmp_path / "image.tif", 40, 40)
    write_raster(tmp_path / "mask.tif", codes_like((30, 30)), transform=moved(77.0, -41.0))
    ((pixels, labels),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    data, grid = stored(image)
    window = Window(row=2, col=3, height=29, width=29)  # whole pixels inside of both
    assert pixels.grid == labels.grid == grid[window]
    np.testing.assert_array_equal(read(pixels, pixels.grid.window).data, data[(slice(None), *window.slices)])
    assert (read(labels, labels.grid.window).classes != IGNORED).any()


def test_masks_in_another_crs_are_warped(tmp_path):
    write_scene(tmp_path / "image.tif", 60, 60)
    codes = np.kron(codes_like((10, 10)), np.ones((20, 20), dtype=np.uint8))
    write_raster(tmp_path / "mask.tif", codes, crs="EPSG:4326", transform=Affine(3e-4, 0, -113.26, 0, -3e-4, 37.53))
    dataset = pair(tmp_path)
    ((pixels, labels),) = scenes_of(dataset, NAMED, LEGEND)
    x, y, t = dataset.bounds
    rows = slice(y.stop - 20 * 30, y.stop)
    expected = dataset[x.start : x.start + 20 * 30, rows, t]["mask"].numpy()
    assert pixels.grid.crs.to_epsg() == 32612
    found = read(labels, Window(row=0, col=0, height=20, width=20)).classes
    known = found != IGNORED
    assert known.any()
    np.testing.assert_array_equal(found[known], LEGEND.to_indices(expected)[known])


class Tilted(GeoDataset):
    """Images and masks of ones, north-east of a diagonal nothing."""

    def __init__(self) -> None:
        import geopandas

        outline = shapely.Polygon([(0, 0), (100, 0), (100, 7), (7, 100), (0, 100)])
        span = pd.IntervalIndex.from_tuples([(pd.Timestamp.min, pd.Timestamp.max)], closed="both", name="datetime")
        self.index = geopandas.GeoDataFrame({}, index=span, geometry=[outline], crs="EPSG:32612")
        self.res = (10.0, 10.0)
        self.shape = ()
        self.keys = ("image", "mask")

    def __getitem__(self, query) -> dict[str, object]:
        x, y, _ = self._disambiguate_slice(query)
        ones = torch.ones(*self.shape, round((y.stop - y.start) / 10), round((x.stop - x.start) / 10))
        return {"image": ones[..., None, :, :], "mask": ones.long()} | {"bounds": torch.zeros(9)}


def test_nothing_is_valid_outside_of_a_footprint(capsys):
    ((pixels, labels),) = scenes_of(Tilted(), GeoDatasetOptions(bands=("red",)), LEGEND)
    rows, cols = np.mgrid[:10, :10]
    inside = cols <= rows
    assert pixels.grid.shape == (10, 10)
    np.testing.assert_array_equal(read(pixels, pixels.grid.window).valid, inside)
    np.testing.assert_array_equal(read(labels, labels.grid.window).classes, np.where(inside, 0, IGNORED))


def test_samples_may_have_an_axis_for_time(capsys):
    dataset = Tilted()
    dataset.shape = (1,)
    ((pixels, _),) = scenes_of(dataset, GeoDatasetOptions(bands=("red",)), LEGEND)
    assert read(pixels, pixels.grid.window).valid.any()
    dataset.shape = (2,)
    with pytest.raises(InputError, match=r'found "mask" of shape \(2, 1, 1\), needed \(1, 1\)'):
        scenes_of(dataset, GeoDatasetOptions(bands=("red",)), LEGEND)


def test_samples_without_mask_or_image_are_refused(tmp_path):
    write_pair(tmp_path)
    with pytest.raises(InputError, match='samples hold crs, bounds, image, needed "image" and "mask"'):
        scenes_of(Images(tmp_path), NAMED, LEGEND)
    with pytest.raises(InputError, match='samples hold crs, bounds, mask, needed "image" and "mask"'):
        scenes_of(Masks(tmp_path), NAMED, LEGEND)


def test_codes_outside_of_the_legend_are_refused_unless_ignored(tmp_path):
    write_scene(tmp_path / "image.tif", 20, 20)
    codes = np.full((1, 20, 20), 2, dtype=np.uint8)
    codes[0, 5, 5], codes[0, 6, 6] = 0, 9
    write_raster(tmp_path / "mask.tif", codes)
    ((_, labels),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    with pytest.raises(InputError, match=r"codes 0, 9, the legend has 1, 2, 4; add the missing classes, or list"):
        read(labels, labels.grid.window)
    ((_, labels),) = scenes_of(pair(tmp_path), GeoDatasetOptions(ignore=(0, 9)), LEGEND)
    expected = np.where(codes[0] == 2, 1, IGNORED)
    np.testing.assert_array_equal(read(labels, labels.grid.window).classes, expected)


def test_nodata_is_the_files_own_or_the_options(tmp_path):
    data = np.full((4, 20, 20), 9000, dtype=np.uint16)
    data[2, 3, 4], data[0, 7, 8] = 65535, 5
    write_raster(tmp_path / "image.tif", data, nodata=65535)
    write_raster(tmp_path / "mask.tif", codes_like((20, 20)))
    for options, place in ((NAMED, (3, 4)), (GeoDatasetOptions(nodata=5), (7, 8))):
        ((pixels, _),) = scenes_of(pair(tmp_path), options, LEGEND)
        expected = np.ones((20, 20), dtype=bool)
        expected[place] = False
        np.testing.assert_array_equal(read(pixels, pixels.grid.window).valid, expected)


def test_bands_have_names_and_calibration(tmp_path):
    write_pair(tmp_path)
    ((pixels, _),) = scenes_of(pair(tmp_path), GeoDatasetOptions(scale=2e-5, offset=-0.1), LEGEND)
    assert pixels.bands.names == BANDS.names
    assert pixels.bands[0] == Band(name="blue", common_name="blue", scale=2e-5, offset=-0.1, nodata=65535)
    plain = RasterDataset(tmp_path / "image_a.tif") & Masks(tmp_path)
    with pytest.raises(InputError, match="images have 4 channels, found no names for them; name each under `bands`"):
        scenes_of(plain, GeoDatasetOptions(), LEGEND)
    with pytest.raises(InputError, match="images have 4 channels, found names for 2"):
        scenes_of(plain, GeoDatasetOptions(bands=("red", "nir")), LEGEND)


def test_bands_of_known_products_get_common_names(tmp_path):
    class Landsat8(Images):
        all_bands = ("SR_B2", "SR_B3", "SR_B4", "SR_B5")

    write_pair(tmp_path)
    ((pixels, _),) = scenes_of(Landsat8(tmp_path) & Masks(tmp_path), GeoDatasetOptions(), LEGEND)
    assert pixels.bands.common_names == ("blue", "green", "red", "nir08")


def test_two_image_datasets_are_stacked(tmp_path):
    _, grid = stored(write_pair(tmp_path)[0])
    heights = np.arange(2400, dtype=np.float32).reshape(1, 40, 60)
    write_raster(tmp_path / "dem.tif", heights)
    dataset = (Images(tmp_path) & RasterDataset(tmp_path / "dem.tif")) & Masks(tmp_path)
    options = GeoDatasetOptions(bands=(*BANDS.names, "height"))
    ((pixels, labels),) = scenes_of(dataset, options, LEGEND)
    np.testing.assert_array_equal(read(pixels, grid.window).data[4], heights[0])
    assert [path.name for path in pixels.paths] == ["image_a.tif", "dem.tif"]
    assert [path.name for path in labels.paths] == ["mask_a.tif"]


def test_bands_in_files_of_their_own_are_all_told(tmp_path):
    class Sentinel2(Images):
        filename_glob = "image_*B04*.tif"
        filename_regex = r"image_(?P<band>B\d\d)"
        all_bands = ("B08", "B04")
        separate_files = True

    data = np.arange(2 * 400, dtype=np.uint16).reshape(2, 20, 20)
    for name, band in zip(("B08", "B04"), data, strict=True):
        write_raster(tmp_path / f"image_{name}.tif", band[None])
    write_raster(tmp_path / "mask.tif", codes_like((20, 20)))
    ((pixels, _),) = scenes_of(Sentinel2(tmp_path) & Masks(tmp_path), GeoDatasetOptions(), LEGEND)
    assert [path.name for path in pixels.paths] == ["image_B08.tif", "image_B04.tif"]
    assert all(path.is_file() for path in pixels.paths)
    assert pixels.bands.common_names == ("nir", "red")
    np.testing.assert_array_equal(read(pixels, pixels.grid.window).data, data)


def test_pixels_fit_a_model_or_are_refused(tmp_path):
    image, _ = write_pair(tmp_path)
    ((pixels, _),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    wanted = BandSet((BANDS[3], BANDS[0]))
    fit = fit_pixels(pixels, wanted, 30)
    assert fit.bands.names == ("nir", "blue")
    np.testing.assert_array_equal(read(fit, fit.grid.window).data, stored(image)[0][[3, 0]])
    with pytest.raises(InputError, match="the model needs swir16; name the image's channels"):
        fit_pixels(pixels, BandSet((Band(name="swir16", common_name="swir16"),)), 30)
    with pytest.raises(InputError, match=r"found pixels of 30 m, the model has 10 m; set `res`"):
        fit_pixels(pixels, wanted, 10)
    ((unscaled, _),) = scenes_of(pair(tmp_path), GeoDatasetOptions(), LEGEND)
    with pytest.raises(InputError, match="no scale is known; set `scale`"):
        fit_pixels(unscaled, wanted, 30)


def fingerprints(folder: Path, options=NAMED, legend=LEGEND, dataset=None) -> list[str]:
    return [labels.fingerprint for _, labels in scenes_of(dataset or pair(folder), options, legend)]


def test_fingerprints_follow_what_labels_follow_from(tmp_path):
    (tmp_path / "copy").mkdir()
    folder = tmp_path / "first"
    folder.mkdir()
    write_pair(folder)
    write_pair(tmp_path / "copy")
    first = fingerprints(folder)
    assert first == fingerprints(folder) == fingerprints(tmp_path / "copy")
    shorter = Legend(LEGEND.classes[:2])
    assert first != fingerprints(folder, GeoDatasetOptions(ignore=(1,)))
    assert first != fingerprints(folder, legend=shorter)
    assert first != fingerprints(folder, dataset=Images(folder, res=15) & Masks(folder))
    masks = Masks(folder, transforms=lambda sample: sample)
    assert first != fingerprints(folder, dataset=Images(folder) & masks)
    write_raster(folder / "mask_a.tif", codes_like((40, 60), seed=7))
    assert first != fingerprints(folder)


def test_labels_can_be_stored(tmp_path):
    _, mask = write_pair(tmp_path)
    ((pixels, labels),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    kept = store_labels(labels, pixels, "beside")
    np.testing.assert_array_equal(read(kept, kept.grid.window), LEGEND.to_indices(stored(mask)[0][0]))


def test_labels_that_were_kept_beside_masks_are_no_masks(tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    write_scene(tmp_path / "images" / "a.tif", 20, 30)
    mask = write_raster(tmp_path / "masks" / "a.tif", codes_like((20, 30)), nodata=IGNORED)  # merges look below nodata
    sources = [GeoSource(dataset="RasterDataset", paths=tmp_path / name) for name in ("images", "masks")]
    config = GeoDatasetConfig(image=sources[0], mask=sources[1], options=NAMED)
    for dataset in (None, RasterDataset(tmp_path / "images") & Plain(tmp_path / "masks")):
        for _ in range(2):
            ((pixels, labels),) = scenes_of(dataset or open_geodataset(config), NAMED, LEGEND)
            assert labels.paths == (mask,)
            kept = store_labels(labels, pixels, "beside")
            assert kept.path.is_relative_to(tmp_path / "masks" / "a.tif.geoseg")
            np.testing.assert_array_equal(read(kept, kept.grid.window), LEGEND.to_indices(stored(mask)[0][0]))
            np.testing.assert_array_equal(read(labels, kept.grid.window).classes, LEGEND.to_indices(stored(mask)[0][0]))


class Everywhere:
    def folds_on(self, grid):
        return np.zeros(grid.shape, dtype=np.uint8)


def as_dataset(folder: Path, *, normalised: bool) -> SceneGeoDataset:
    labelled = []
    for pixels, labels in scenes_of(pair(folder), NAMED, LEGEND):
        kept = store_labels(labels, pixels, "none")
        labelled.append(
            LabelledScene(name=pixels.name, pixels=pixels, bands=pixels.bands, labels=kept, folds=Everywhere())
        )
    return SceneGeoDataset(labelled, SampleOptions(normalised=normalised))


def test_there_and_back_again(tmp_path):
    write_pair(tmp_path, "a")
    write_pair(tmp_path, "b", seed=1, transform=moved(4000, 300))
    there = scenes_of(pair(tmp_path), NAMED, LEGEND)
    dataset = as_dataset(tmp_path, normalised=False)
    back = scenes_of(dataset, GeoDatasetOptions(scale=1, nodata=0), INDICES)
    assert back[0][0].bands.names == BANDS.names
    for (pixels, labels), (pixels_again, labels_again) in zip(there, back, strict=True):
        assert pixels_again.grid == pixels.grid
        raster = read(pixels, Window(row=-3, col=5, height=30, width=80))
        again = read(pixels_again, Window(row=-3, col=5, height=30, width=80))
        values = np.where(raster.valid, pixels.bands.physical(raster.data), 0)
        np.testing.assert_array_equal(again.data, values)
        np.testing.assert_array_equal(again.valid, raster.valid)
        window = labels.grid.window
        np.testing.assert_array_equal(read(labels_again, window).classes, read(labels, window).classes)
        assert labels_again.paths == ()


def test_torchgeos_loop_trains_on_scenes_that_came_from_torchgeo(tmp_path):
    torch.manual_seed(0)
    write_pair(tmp_path)
    dataset = as_dataset(tmp_path, normalised=True)
    loader = DataLoader(
        dataset, sampler=RandomGeoSampler(dataset, size=32, length=4), batch_size=2, collate_fn=stack_samples
    )
    net = torch.nn.Conv2d(4, 3, 3, padding=1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    before = net.weight.detach().clone()
    for batch in loader:
        loss = torch.nn.functional.cross_entropy(net(batch["image"]), batch["mask"], ignore_index=IGNORED)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        assert torch.isfinite(loss)
    assert not torch.equal(net.weight, before)


def test_scenes_travel_to_other_processes(tmp_path):
    image, _ = write_pair(tmp_path)
    scenes = scenes_of(pair(tmp_path), NAMED, LEGEND)
    ((pixels, labels),) = pickle.loads(pickle.dumps(scenes))  # noqa: S301 -- our own bytes
    np.testing.assert_array_equal(read(pixels, pixels.grid.window).data, stored(image)[0])
    np.testing.assert_array_equal(
        read(labels, labels.grid.window).classes, read(scenes[0][1], labels.grid.window).classes
    )


def test_another_process_reads_from_its_own_copy(tmp_path, monkeypatch):
    write_pair(tmp_path)
    ((pixels, _),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    shared = pixels.place.dataset
    mine = shared.get()
    assert shared.get() is mine
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert shared.get() is not mine
    assert read(pixels, pixels.grid.window).valid.all()


# From configs.


def config_of(text: str, folder: Path) -> GeoDatasetConfig:
    return TypeAdapter(GeoDatasetConfig).validate_python(yaml.safe_load(text), context={"folder": folder})


PAIR = """
image: {dataset: torchgeo.datasets.RasterDataset, paths: ".", filename_glob: "image*.tif"}
mask: {dataset: RasterDataset, paths: ".", filename_glob: "mask*.tif"}
options: {bands: [blue, green, red, nir], scale: 2.0e-5, offset: -0.1, region: here}
"""


def test_a_config_opens_images_and_masks(tmp_path, capsys):
    image, mask = write_pair(tmp_path)
    config = config_of(PAIR, tmp_path)
    dataset = open_geodataset(config)
    ((pixels, labels),) = pickle.loads(pickle.dumps(scenes_of(dataset, config.options, LEGEND)))  # noqa: S301
    assert config.options.region == "here"
    np.testing.assert_array_equal(read(pixels, pixels.grid.window).data, stored(image)[0])
    codes = stored(mask)[0][0]
    np.testing.assert_array_equal(read(labels, labels.grid.window).classes, LEGEND.to_indices(codes))
    assert capsys.readouterr().out == ""


def test_a_config_opens_a_named_class_with_arguments(tmp_path):
    write_scene(tmp_path / "m_3807511_ne_18_060_20181104.tif", 40, 60)
    write_raster(tmp_path / "mask.tif", codes_like((40, 60)))
    config = config_of(
        """
        image: {dataset: NAIP, paths: ["m_3807511_ne_18_060_20181104.tif"], arguments: {bands: [NIR, R], res: 60}}
        mask: {dataset: RasterDataset, paths: mask.tif}
        """,
        tmp_path,
    )
    ((pixels, labels),) = scenes_of(open_geodataset(config), config.options, LEGEND)
    assert pixels.bands.common_names == ("nir", "red")
    assert pixels.grid.shape == labels.grid.shape == (20, 30)
    assert labels.place.span[0] == pd.Timestamp(2018, 11, 4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "Raster"}, "Raster: is not in torchgeo.datasets; near it are .*RasterDataset"),
        ({"dataset": "os.system"}, "os.system: is not in torchgeo.datasets"),
        ({"dataset": "EuroSAT"}, "EuroSAT: is no dataset of places that can be opened by name"),
        ({"dataset": "IntersectionDataset"}, "is no dataset of places"),
        ({"arguments": {"resolution": 3}}, "found the arguments resolution, needed some of crs, res, bands, cache"),
        ({"arguments": {"paths": "x"}}, "found the arguments paths"),
        ({"dataset": "NLCD", "arguments": {"download": True}}, "nothing is downloaded unless asked for"),
        ({"filename_glob": "*.jp2"}, "torchgeo cannot open this dataset: Dataset not found"),
        ({"arguments": {"bands": ["red"]}}, "missing an `all_bands` attribute"),
    ],
)
def test_what_cannot_be_opened_is_refused(tmp_path, change, message):
    write_pair(tmp_path)
    source = {"dataset": "RasterDataset", "paths": tmp_path} | change
    with pytest.raises(InputError, match=message):
        open_geodataset(GeoDatasetConfig(image=GeoSource(**source), mask=GeoSource(**source)))


def test_missing_paths_and_separate_ground_are_refused(tmp_path):
    write_pair(tmp_path)
    write_raster(tmp_path / "mask_a.tif", codes_like((40, 60)), transform=moved(9e4, 0))
    with pytest.raises(InputError, match="RasterDataset and RasterDataset: Datasets have no spatial intersection"):
        open_geodataset(config_of(PAIR, tmp_path))
    with pytest.raises(MissingFileError, match="absent: no such file or folder"):
        open_geodataset(config_of("{dataset: L7Irish, paths: absent}", tmp_path))


def test_dates_may_be_left_out_of_account(tmp_path):
    write_scene(tmp_path / "image_20200101.tif", 20, 20)
    write_raster(tmp_path / "mask_20210101.tif", codes_like((20, 20)))
    dates = {"filename_regex": r"[a-z]+_(?P<date>\d{8})", "paths": tmp_path}
    image = GeoSource(dataset="RasterDataset", filename_glob="image*.tif", **dates)
    mask = GeoSource(dataset="RasterDataset", filename_glob="mask*.tif", **dates)
    with pytest.raises(InputError, match="no temporal intersection"):
        open_geodataset(GeoDatasetConfig(image=image, mask=mask))
    dataset = open_geodataset(GeoDatasetConfig(image=image, mask=mask, spatial_only=True))
    ((pixels, labels),) = scenes_of(dataset, NAMED, LEGEND)
    assert read(pixels, pixels.grid.window).valid.all()
    assert (read(labels, pixels.grid.window).classes != IGNORED).any()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{image: {dataset: NAIP}}", "needs `image` and `mask`, or `dataset`"),
        ("{dataset: L7Irish, image: {dataset: NAIP}}", "found `dataset` beside"),
        ("{image: {dataset: NAIP}, mask: {dataset: NLCD}, paths: x}", "`paths` and `arguments` belong to `dataset`"),
        ("{dataset: L7Irish, colour: red}", "colour"),
    ],
)
def test_configs_are_strict(text, message):
    with pytest.raises(ValidationError, match=message):
        config_of(text, Path())


def test_datasets_without_places_are_refused(tmp_path, capsys):
    empty, nowhere, sizeless = Tilted(), Tilted(), Tilted()
    empty.index = empty.index.iloc[:0]
    nowhere.index = nowhere.index.set_crs(None, allow_override=True)
    sizeless._res = (0.0, 0.0)
    for dataset, message in ((empty, "no row"), (nowhere, "no CRS"), (sizeless, r"pixels of \(0.0, 0.0\)")):
        with pytest.raises(InputError, match=message):
            scenes_of(dataset, NAMED, LEGEND)


def test_a_damaged_file_is_said(tmp_path):
    image, _ = write_pair(tmp_path, shape=(400, 400))
    ((pixels, _),) = scenes_of(pair(tmp_path), NAMED, LEGEND)
    image.write_bytes(image.read_bytes()[:20000])
    ((pixels, _),) = pickle.loads(pickle.dumps(((pixels, None),)))  # noqa: S301 -- without the open file
    with pytest.raises(InputError, match="image_a: cannot read"):
        read(pixels, pixels.grid.window)
