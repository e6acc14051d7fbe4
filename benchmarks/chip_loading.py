"""Chips per second: our training chips against torchgeo's RasterDataset + RandomGeoSampler + DataLoader.

Both sides read the same files in one run, by turns, with the same chip size, batch size and number of workers: one
scene (uint16, 6 bands, tiled, deflate) and its label raster. Our chips are drawn for classes, obey a geographic split
with a buffer, and come as physical values; torchgeo's are drawn at random and come as stored numbers.

    python benchmarks/chip_loading.py --size 5120 --chips 200 --workers 0 1 2
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import RandomGeoSampler

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.data.augment.batch import Batch
from geoseg.data.chips import ChipOptions, TrainingChips
from geoseg.data.content import count_content
from geoseg.data.labels import as_label_options, open_labels
from geoseg.data.loader import Loader, LoaderOptions
from geoseg.data.pixelstore import store_pixels
from geoseg.data.readers import LabelledScene
from geoseg.data.sampling import SamplingOptions, class_chances, plan_epoch, sampled_ground
from geoseg.data.splits.build import build_split
from geoseg.data.splits.options import SplitOptions
from geoseg.data.splits.split import TRAIN
from geoseg.data.stack import Stack
from geoseg.data.store import store_labels
from geoseg.io.scene import SceneOptions, open_scene

BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
LEGEND = Legend(tuple(LandClass(code=i + 1, name=f"class {i + 1}", colour="#808080") for i in range(8)))
TRANSFORM = Affine(10, 0, 300000, 0, -10, 4200000)


def write(
    path: Path, bands: int, size: int, dtype: str, draw: Callable[[np.random.Generator, tuple[int, int]], np.ndarray]
) -> None:
    """A tiled GeoTIFF, strip by strip."""
    profile = {
        "driver": "GTiff", "count": bands, "height": size, "width": size, "dtype": dtype, "crs": "EPSG:32612",
        "transform": TRANSFORM, "tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate",
        "predictor": 2,
    }  # fmt: skip
    rng = np.random.default_rng(0)
    with rasterio.open(path, "w", **profile) as out:
        for row in range(0, size, 512):
            window = ((row, min(row + 512, size)), (0, size))
            for band in range(1, bands + 1):
                out.write(draw(rng, (window[0][1] - row, size)), band, window=window)
        if bands == len(BANDS):
            out.descriptions = BANDS


def numbers(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """As noisy as reflectance: smooth ground, and some percent of noise."""
    coarse = np.kron(rng.integers(500, 4000, (shape[0] // 32, shape[1] // 32)), np.ones((32, 32)))
    return (coarse + rng.normal(0, 60, coarse.shape)).astype(np.uint16)


def codes(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Eight classes, some of them rare."""
    chances = np.array([0.4, 0.3, 0.15, 0.1, 0.03, 0.01, 0.007, 0.003])
    return np.kron(rng.choice(8, (shape[0] // 32, shape[1] // 32), p=chances) + 1, np.ones((32, 32))).astype(np.uint8)


def ours(folder: Path, options: argparse.Namespace, workers: int) -> Iterable[object]:
    """Our loader, made ready as `geoseg train` does."""
    scene = open_scene(folder / "scene.tif", options=SceneOptions(scale=1e-4, offset=0.0))
    labels = open_labels(as_label_options(folder / "labels.tif"), scene.grid, LEGEND)
    stored = store_labels(labels, scene, folder / "cache")
    folds = build_split([stored], len(LEGEND), SplitOptions(block_m=5000, buffer_m=200)).split.map()
    whole = LabelledScene(
        name="scene", pixels=store_pixels(scene, stored, options.chip), bands=scene.bands, labels=stored, folds=folds
    )
    sampling = SamplingOptions(per_epoch=options.chips)
    ground = sampled_ground([count_content(stored, folds, len(LEGEND))], TRAIN, sampling, [""])
    chips = TrainingChips([whole], ground, TRAIN, ChipOptions(size=options.chip), 0)
    chances = class_chances(ground.totals, sampling, [c.name for c in LEGEND])
    chips.start_epoch(0, plan_epoch(ground, chances, sampling, seed=(0, 0)))
    return Batches(Loader(chips, len(LEGEND), LoaderOptions(batch_size=options.batch, workers=workers)))


class Batches:
    """Stacks as batches of physical values, float32, as torchgeo's are: made in the main process."""

    def __init__(self, loader: Iterable[Stack]) -> None:
        self.loader = loader

    def __iter__(self) -> Iterator[Batch]:
        bands = BandSet(tuple(Band(name=name) for name in BANDS))
        return (stack.batch(bands, len(LEGEND), 10.0) for stack in self.loader)


def torchgeos(folder: Path, options: argparse.Namespace, workers: int) -> Iterable[object]:
    """torchgeo's loader, as its tutorials write it."""

    class Labels(RasterDataset):
        is_image = False
        filename_glob = "labels.tif"

    class Images(RasterDataset):
        filename_glob = "scene.tif"

    dataset = Images(str(folder)) & Labels(str(folder))
    sampler = RandomGeoSampler(dataset, size=options.chip, length=options.chips)
    return DataLoader(dataset, sampler=sampler, batch_size=options.batch, num_workers=workers, collate_fn=stack_samples)


def rate(loader: Iterable[object], chips: int) -> float:
    """Chips per second of one pass, workers' start included."""
    start = time.perf_counter()
    for _ in loader:
        pass
    return chips / (time.perf_counter() - start)


def main() -> None:
    """Both sides by turns."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=5120)
    parser.add_argument("--chip", type=int, default=512)
    parser.add_argument("--chips", type=int, default=200)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "scene.tif", len(BANDS), options.size, "uint16", numbers)
        write(folder / "labels.tif", 1, options.size, "uint8", codes)
        for workers in options.workers:
            sides = {"geoseg": ours(folder, options, workers), "torchgeo": torchgeos(folder, options, workers)}
            rates: dict[str, list[float]] = {side: [] for side in sides}
            for _ in range(options.rounds):
                for side, loader in sides.items():
                    rates[side].append(rate(loader, options.chips))
            medians = {side: statistics.median(found) for side, found in rates.items()}
            ratio = medians["geoseg"] / medians["torchgeo"]
            text = ", ".join(f"{side} {median:.1f} chips/s" for side, median in medians.items())
            print(f"{workers} workers: {text}, ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
