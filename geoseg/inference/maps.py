"""The rasters of a map: working files while inferring, then the mask and the probabilities as COGs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoseg.core.chunks import cached_rows
from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.core.raster import Raster
from geoseg.inference.engine import Piece, Progress
from geoseg.io.area import Area, inside_of
from geoseg.io.dataset import open_raster, reading, to_gdal
from geoseg.io.plane import PlaneWriter, open_plane
from geoseg.io.raster import RasterSpec, read_strips, write_cog
from geoseg.io.scene import Scene, open_scene
from geoseg.io.style import palette
from geoseg.vectorize.clean import Cleaner, CleanOptions, CleanSummary

WORKING_STEPS = 65534  # a probability of 1 in the uint16 working files; 65535 is nodata
FINAL_STEPS = 254  # a probability of 1 in the uint8 probabilities; 255 is nodata
REGRID_BLOCK = 1024
_FEW_ROWS = 32  # of all classes, in float32


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFiles:
    """Working rasters of one map on one grid.

    `codes` holds class codes (uint8, 255 = nodata), `confidence` the probability of that class and `probabilities`
    those of all classes (uint16, 65534 = 1, 65535 = nodata; None where nobody needs them). `uncleaned` holds the codes
    to which confidence and probabilities belong, None where these are `codes`.
    """

    grid: Grid
    codes: Path
    confidence: Path
    probabilities: Path | None
    uncleaned: Path | None = None

    @classmethod
    def in_folder(cls, folder: Path, grid: Grid, *, name: str, with_probabilities: bool) -> MapFiles:
        """Names for the working rasters, nothing written yet."""
        return cls(
            grid=grid,
            codes=folder / f"{name}-codes.vrt",
            confidence=folder / f"{name}-confidence.vrt",
            probabilities=folder / f"{name}-probabilities.vrt" if with_probabilities else None,
        )


class MapWriter:
    """Writes pieces of a map to its working rasters, in any order; a context manager."""

    def __init__(self, files: MapFiles, legend: Legend) -> None:
        self._files = files
        self._legend = legend
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        files = self._files
        with ExitStack() as stack:
            self._codes = stack.enter_context(PlaneWriter(files.codes, _codes_spec(files.grid)))
            self._confidence = stack.enter_context(PlaneWriter(files.confidence, self._working("confidence")))
            self._probabilities = None
            if files.probabilities is not None:
                names = (c.name for c in self._legend)
                self._probabilities = stack.enter_context(PlaneWriter(files.probabilities, self._working(*names)))
            self._stack = stack.pop_all()  # only when all are open
        return self

    def _working(self, *names: str) -> RasterSpec:
        return RasterSpec(
            grid=self._files.grid,
            dtype="uint16",
            band_names=names,
            nodata=WORKING_STEPS + 1,
            scale=1 / WORKING_STEPS,
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, piece: Piece) -> None:
        """The most probable class of every valid pixel, and its probability."""
        best, probability = most_probable(piece.probabilities)
        best[~piece.valid] = UNLABELLED
        self._codes.write(piece.window, self._legend.to_codes(best))
        self._confidence.write(piece.window, _quantise(probability, piece.valid, WORKING_STEPS))
        if self._probabilities is not None:
            self._probabilities.write(piece.window, _quantise(piece.probabilities, piece.valid, WORKING_STEPS))

    def copy(self, finished: MapFiles, row: int) -> None:
        """Take over the working rasters of some full rows of the map, of which the first is to be `row`."""
        pairs = [(self._codes, finished.codes), (self._confidence, finished.confidence)]
        if self._probabilities is not None and finished.probabilities is not None:
            pairs.append((self._probabilities, finished.probabilities))
        for plane, path in pairs:
            numbers = open_plane(path)
            for window in finished.grid.windows(REGRID_BLOCK, finished.grid.width):
                plane.write(replace(window, row=window.row + row), numbers[:, *window.slices])

    def sync(self) -> None:
        """Wait until everything that was written is on the disk."""
        for plane in (self._codes, self._confidence, self._probabilities):
            if plane is not None:
                plane.sync()


def regrid(
    files: MapFiles, scene: Scene, legend: Legend, folder: Path, progress: Progress, area: Area | None = None
) -> MapFiles:
    """Bring a map to the grid of `scene`: probabilities are resampled, then the most probable class is taken.

    A pixel is valid where the scene is valid and a resampled probability exists, and in the area if there is one.
    """
    if files.probabilities is None:
        msg = "regridding needs the working probabilities"
        raise ValueError(msg)
    source = open_scene(files.probabilities).on_grid(scene.grid)
    out = MapFiles.in_folder(folder, scene.grid, name="scene", with_probabilities=True)
    windows = list(scene.grid.windows(REGRID_BLOCK, REGRID_BLOCK))
    with MapWriter(out, legend) as writer, source.reader() as probabilities, scene.reader() as truth:
        for done, window in enumerate(windows, start=1):
            wanted = inside_of(area, window)
            if wanted.any():
                part = probabilities.read(window)
                valid = part.valid & truth.read(window).valid & wanted
                writer.write(Piece(window=window, probabilities=_probabilities(part), valid=valid))
            else:
                nothing = np.zeros((len(legend), *window.shape), dtype=np.float32)
                writer.write(Piece(window=window, probabilities=nothing, valid=wanted))
            progress("regrid", done, len(windows))
    return out


def clean_map(files: MapFiles, options: CleanOptions) -> tuple[MapFiles, CleanSummary]:
    """Clean the codes of a map into another working raster beside them; confidence and probabilities stay as they are.

    Raises:
        OutputError: the disk refuses.
    """
    cleaned = files.codes.with_name(f"{files.codes.stem}-cleaned.vrt")
    cleaner = Cleaner(options, files.grid)
    row = 0
    with PlaneWriter(cleaned, _codes_spec(files.grid)) as writer:
        for codes in cleaner.strips(codes for _, codes in read_strips(files.codes)):
            writer.write(Window(row=row, col=0, height=len(codes), width=files.grid.width), codes)
            row += len(codes)
    return replace(files, codes=cleaned, uncleaned=files.codes), cleaner.summary


def write_mask(files: MapFiles, legend: Legend, out: Path, tags: Mapping[str, str]) -> None:
    """The class codes as a COG with palette, class names, nodata 255, overviews by mode and the tags."""
    spec = RasterSpec(
        grid=files.grid,
        dtype="uint8",
        band_names=("class",),
        nodata=UNLABELLED,
        palette=palette(legend),
        class_names={c.code: c.name for c in legend},
        tags=tags,
        overviews="mode",
    )
    write_cog(files.codes, out, spec)


def write_probabilities(files: MapFiles, legend: Legend, out: Path, tags: Mapping[str, str]) -> None:
    """The class probabilities as a uint8 COG, a band a class, GDAL scale 1/254, nodata 255, averaged overviews."""
    if files.probabilities is None:
        msg = "the working probabilities were not kept"
        raise ValueError(msg)
    names = tuple(c.name for c in legend)
    spec = RasterSpec(
        grid=files.grid,
        dtype="uint8",
        band_names=names,
        nodata=FINAL_STEPS + 1,
        scale=1 / FINAL_STEPS,
        tags=tags,
        overviews="average",
    )
    final = files.probabilities.with_name("probabilities-uint8.vrt")
    with open_scene(files.probabilities).reader() as reader, PlaneWriter(final, spec) as writer:
        for window in files.grid.windows(REGRID_BLOCK, REGRID_BLOCK):
            part = reader.read(window)
            writer.write(window, _quantise(_probabilities(part), part.valid, FINAL_STEPS))
    write_cog(final, out, spec)


def map_strips(files: MapFiles, rows: int = 512) -> Iterator[tuple[Window, NDArray[np.uint8], NDArray[np.float32]]]:
    """Full-width strips from top to bottom: window, class codes (row, col) and their probability.

    The probability is NaN where there is no data, and where cleaning has changed the class.
    """
    inferred = files.codes if files.uncleaned is None else files.uncleaned
    readers = (read_strips(path, rows) for path in (files.codes, files.confidence, inferred))
    for (window, code), (_, steps), (_, before) in zip(*readers, strict=True):
        probability = steps.astype(np.float32) / np.float32(WORKING_STEPS)
        probability[(code == UNLABELLED) | (code != before)] = np.nan
        yield window, code, probability


def uncertainty_strips(files: MapFiles, rows: int = 512) -> Iterator[NDArray[np.float32]]:
    """How undecided the network was, strip by strip as in `map_strips`, shape (2, row, col), NaN = nodata.

    First the entropy of the class probabilities, from 0 = sure to 1 = all classes alike; then the margin between the
    two most probable classes.
    """
    if files.probabilities is None:
        msg = "the working probabilities were not kept"
        raise ValueError(msg)
    with open_raster(files.probabilities, georeferenced=True) as dataset:
        for window in files.grid.windows(rows):
            strip = np.empty((2, *window.shape), dtype=np.float32)
            for first in range(0, window.height, _FEW_ROWS):
                few = slice(first, min(first + _FEW_ROWS, window.height))
                part = Window(row=window.row + first, col=0, height=few.stop - first, width=window.width)
                with reading(str(files.probabilities), part):
                    steps = dataset.read(window=to_gdal(part))
                strip[:, few] = _uncertainty(steps)
            yield strip


def _uncertainty(steps: NDArray[np.uint16]) -> NDArray[np.float32]:
    probabilities = steps.astype(np.float32) / np.float32(WORKING_STEPS)
    logarithms = np.log(np.maximum(probabilities, np.float32(1e-9)))
    entropy = -(probabilities * logarithms).sum(axis=0) / np.log(max(2, len(steps)))
    lower, upper = np.sort(probabilities, axis=0)[-2:] if len(steps) > 1 else (0, probabilities[0])
    found = np.stack([np.clip(entropy, 0, 1), upper - lower]).astype(np.float32)
    found[:, steps[0] > WORKING_STEPS] = np.nan
    return found


def _codes_spec(grid: Grid) -> RasterSpec:
    return RasterSpec(grid=grid, dtype="uint8", band_names=("class",), nodata=UNLABELLED)


def most_probable(probabilities: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Index and probability of the most probable class, shape (row, col); of equal ones the first.

    Args:
        probabilities: shape (class, row, col).
    """
    highest = probabilities[0].copy()
    height, width = highest.shape
    best = np.zeros((height, width), dtype=np.uint8)
    for some in cached_rows(height, width):  # class by class: several times as fast as argmax over the first axis
        for number in range(1, len(probabilities)):
            better = (probabilities[number, some] > highest[some]).view(np.uint8)
            np.maximum(best[some], better * np.uint8(number), out=best[some])  # numbers rise: the last one counts
            np.maximum(highest[some], probabilities[number, some], out=highest[some])
    return best, highest


def _probabilities(working: Raster) -> NDArray[np.float32]:
    return working.data.astype(np.float32) / np.float32(WORKING_STEPS)


def _quantise(probabilities: NDArray[np.float32], valid: NDArray[np.bool_], steps: int) -> NDArray[np.unsignedinteger]:
    dtype = np.uint8 if steps < 256 else np.uint16
    scaled = np.rint(np.clip(probabilities, 0, 1) * np.float32(steps)).astype(dtype)
    return np.where(valid, scaled, dtype(steps + 1))
