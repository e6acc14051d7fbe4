"""Chips: small windows of scenes with labels, ready for a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Dataset

from geoseg.core.bands import BandSet
from geoseg.core.grid import Window
from geoseg.core.legend import UNLABELLED
from geoseg.core.tiling import Tile, plan_tiles
from geoseg.data.augment.geometry import flip_and_turn
from geoseg.data.augment.radiometry import Jitter, jitter_bands
from geoseg.errors import InputError
from geoseg.io.scene import Scene

Chip = tuple[NDArray[np.float32], NDArray[np.uint8]]
"""Model input (channel, row, col) and class indices (row, col), 255 = unlabelled."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelledScene:
    """A scene on the model's grid with the model's bands, its class indices and the fold of each pixel.

    Labels and folds take one byte a pixel each and are held in memory; the scene itself is read chip by chip.
    """

    scene: Scene
    bands: BandSet
    labels: NDArray[np.uint8]
    folds: NDArray[np.uint8]

    def labels_of(self, fold: int) -> NDArray[np.uint8]:
        """Class indices with everything outside of the fold unlabelled."""
        return np.where(self.folds == fold, self.labels, np.uint8(UNLABELLED))


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipOptions:
    """Side of a chip in pixels, chips an epoch, share of chips centred on a class drawn at random, augmentation."""

    size: int = 128
    per_epoch: int = 800
    class_share: float = 0.5
    jitter: Jitter = field(default_factory=Jitter)


class TrainingChips(Dataset[Chip]):
    """Random chips of one fold, augmented.

    Chip i of an epoch depends only on the seed, the epoch and i, so that any number of workers gives the same chips.
    """

    def __init__(
        self, scenes: Sequence[LabelledScene], fold: int, indices: tuple[str, ...], options: ChipOptions, seed: int
    ) -> None:
        self._scenes = tuple(scenes)
        self._labels = tuple(scene.labels_of(fold) for scene in scenes)
        self._indices = indices
        self._options = options
        self._seed = seed
        self._epoch = 0
        self._places = _places_by_class(self._labels, seed)
        if not self._places:
            raise InputError("the training fold holds no labelled pixel; use smaller blocks or another seed")

    def __len__(self) -> int:
        return self._options.per_epoch

    def start_epoch(self, epoch: int) -> None:
        """Draw other chips from now on; to be called before the loader starts."""
        self._epoch = epoch

    def __getitem__(self, i: int) -> Chip:
        if i >= len(self):
            raise IndexError(i)
        rng = np.random.default_rng((self._seed, self._epoch, i))
        number, window = self._draw(rng)
        scene = self._scenes[number]
        raster = scene.scene.read(window)
        bands = jitter_bands(scene.bands, self._options.jitter, rng)
        channels = bands.normalise(raster.data, raster.valid, self._indices)
        labels = _cut_out(self._labels[number], window)
        labels[~raster.valid] = UNLABELLED
        channels, labels = flip_and_turn(channels, labels, rng)
        return np.ascontiguousarray(channels), np.ascontiguousarray(labels)

    def _draw(self, rng: np.random.Generator) -> tuple[int, Window]:
        """A window around a labelled pixel: of a class drawn uniformly, or of any class by its frequency."""
        sizes = np.array([count for count, _ in self._places], dtype=np.float64)
        by_class = rng.random() < self._options.class_share
        chances = np.full(len(sizes), 1 / len(sizes)) if by_class else sizes / sizes.sum()
        _, places = self._places[rng.choice(len(sizes), p=chances)]
        number, row, col = places[rng.integers(len(places))].tolist()
        size = self._options.size
        shape = self._labels[number].shape
        origin = [
            int(np.clip(centre - size // 2 + rng.integers(-(size // 4), size // 4 + 1), 0, max(0, length - size)))
            for centre, length in zip((row, col), shape, strict=True)
        ]
        return number, Window(row=origin[0], col=origin[1], height=size, width=size)


class EvaluationChips(Dataset[Chip]):
    """All of one fold, each labelled pixel exactly once: tiles with context whose labels are known in `keep` only."""

    def __init__(
        self, scenes: Sequence[LabelledScene], fold: int, indices: tuple[str, ...], size: int, overlap: int
    ) -> None:
        self._scenes = tuple(scenes)
        self._labels = tuple(scene.labels_of(fold) for scene in scenes)
        self._indices = indices
        self._tiles: list[tuple[int, Tile]] = []
        for number, labels in enumerate(self._labels):
            for tile in plan_tiles(*labels.shape, size=size, overlap=overlap, stride=size):
                if (labels[tile.keep.slices] != UNLABELLED).any():
                    self._tiles.append((number, tile))

    def __len__(self) -> int:
        return len(self._tiles)

    def __getitem__(self, i: int) -> Chip:
        number, tile = self._tiles[i]
        scene = self._scenes[number]
        raster = scene.scene.read(tile.read)
        labels = np.full(tile.read.shape, UNLABELLED, dtype=np.uint8)
        labels[tile.keep.within(tile.read).slices] = self._labels[number][tile.keep.slices]
        labels[~raster.valid] = UNLABELLED
        return scene.bands.normalise(raster.data, raster.valid, self._indices), labels


def _cut_out(labels: NDArray[np.uint8], window: Window) -> NDArray[np.uint8]:
    """A copy of the labels in a window that starts inside; what sticks out is unlabelled."""
    out = np.full(window.shape, UNLABELLED, dtype=np.uint8)
    inside = labels[window.slices]
    out[: inside.shape[0], : inside.shape[1]] = inside
    return out


def _places_by_class(
    labels: Sequence[NDArray[np.uint8]], seed: int, at_most: int = 200_000
) -> list[tuple[int, NDArray[np.int64]]]:
    """For every class that occurs: its pixel count, and up to `at_most` of its places a scene (scene, row, col)."""
    rng = np.random.default_rng(seed)
    result = []
    present = sorted({int(k) for part in labels for k in np.unique(part) if k != UNLABELLED})
    for index in present:
        count, parts = 0, []
        for number, part in enumerate(labels):
            flat = np.flatnonzero(part == index)
            count += len(flat)
            if len(flat) > at_most:
                flat = rng.choice(flat, at_most, replace=False)
            rows, cols = np.divmod(flat, part.shape[1])
            parts.append(np.column_stack([np.full(len(flat), number), rows, cols]))
        result.append((count, np.concatenate(parts)))
    return result
