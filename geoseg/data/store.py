"""Labels kept: made window by window once, from then on read from a tiled raster."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import Band, BandSet
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import ClassReader, Labels, Pixels
from geoseg.errors import OutputError
from geoseg.io.fingerprint import fingerprint
from geoseg.io.output import replacing
from geoseg.io.raster import RasterSpec, RasterWriter
from geoseg.io.reader import BandSource, ReadPlan, SceneReader, open_reader

_SIDE = 1024  # of the windows in which labels are made, in pixels: whole blocks of the file
_KEY = 16  # hex digits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, weakref_slot=True)
class StoredLabels:
    """Class indices of a scene in a raster on its grid, a `ClassMap`; unlabelled (255) where the scene is invalid.

    `soft` are the labels themselves where they are shares, which the raster cannot hold. A `temporary` raster lives as
    long as this value.
    """

    path: Path
    grid: Grid
    soft: Labels | None = None
    temporary: bool = False

    @contextmanager
    def reader(self) -> Iterator[ClassReader]:
        """Open the file for many reads by one thread."""
        plan = ReadPlan(
            bands=BandSet((Band(name="class", nodata=UNLABELLED),)),
            sources=(BandSource(path=str(self.path), index=1, grid=self.grid),),
            grid=self.grid,
            dtype=np.dtype(np.uint8),
        )
        with open_reader(plan) as reader:
            yield _StoredReader(reader=reader)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _StoredReader:
    reader: SceneReader

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class indices of a window, shape (row, col), 255 = unlabelled and beyond the grid."""
        raster = self.reader.read(window)
        classes: NDArray[np.uint8] = np.where(raster.valid, raster.data[0], UNLABELLED).astype(np.uint8)
        return classes


def store_labels(labels: Labels, pixels: Pixels, cache: Path | Literal["beside", "none"]) -> StoredLabels:
    """Class indices of labels as a raster, made now unless the cache has them.

    Args:
        labels: on the scene's grid.
        pixels: the scene; where it is invalid, nothing is labelled.
        cache: a folder; or "beside", a folder `<first label file>.geoseg`; or "none". With "none", for labels that no
            file holds, and where nothing can be written beside them, the result is `temporary`.

    Raises:
        InputError: what the labels or the scene raise when they are read.
        OutputError: the folder cannot be written.
    """
    folder = _folder(labels, cache)
    temporary = folder is None
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="geoseg-labels-"))
    path = folder / f"classes-{_key(labels, pixels)}.tif"
    soft = labels if labels.soft else None
    stored = StoredLabels(path=path, grid=labels.grid, soft=soft, temporary=temporary)
    if temporary:
        weakref.finalize(stored, _remove, folder, os.getpid())
    if not path.exists():
        _write(labels, pixels, path)
    return stored


def _folder(labels: Labels, cache: Path | Literal["beside", "none"]) -> Path | None:
    """The folder of the cache, made; None where there can be none."""
    if cache == "none" or not labels.paths:
        return None
    first = labels.paths[0]
    folder = first.with_name(f"{first.name}.geoseg") if cache == "beside" else Path(cache)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        if cache == "beside":
            return None
        raise OutputError(f"{folder}: cannot be written ({error.strerror}); choose another `cache`") from error


def _key(labels: Labels, pixels: Pixels) -> str:
    """Of all that the classes follow from; scenes by their files' content."""
    files = [fingerprint(path) if path.is_file() else str(path) for path in pixels.paths]
    bands = [[band.name, band.nodata] for band in pixels.bands]
    facts = json.dumps([labels.fingerprint, files, bands])
    return hashlib.sha256(facts.encode()).hexdigest()[:_KEY]


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker only has a copy
        shutil.rmtree(folder, ignore_errors=True)


def _write(labels: Labels, pixels: Pixels, path: Path) -> None:
    spec = RasterSpec(grid=labels.grid, dtype="uint8", band_names=("class",), nodata=UNLABELLED)
    with (
        replacing(path) as unfinished,
        RasterWriter(unfinished, spec) as writer,
        labels.reader() as label_reader,
        pixels.reader() as pixel_reader,
    ):
        for window in labels.grid.windows(_SIDE, _SIDE):
            classes = label_reader.read(window).classes
            if (classes == UNLABELLED).all():
                continue  # blocks that are never written read as nodata
            writer.write(window, np.where(pixel_reader.read(window).valid, classes, UNLABELLED).astype(np.uint8))
