"""All labels of a scene: sources, annotators and an area of interest, opened and read as one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.data.ground import LabelReader, LabelWindow
from geoseg.data.labels.boundary import BoundaryReader, PixelSizes
from geoseg.data.labels.codes import open_codes
from geoseg.data.labels.consensus import RULES, cover, fill
from geoseg.data.labels.features import IGNORED, open_features
from geoseg.data.labels.options import LabelOptions, LabelSource
from geoseg.data.labels.probabilities import open_probabilities
from geoseg.data.labels.recoding import check_class_names
from geoseg.errors import InputError, MissingFileError
from geoseg.io.area import Area, inside_of, open_area
from geoseg.io.dataset import open_raster
from geoseg.io.fingerprint import fingerprint
from geoseg.io.vector import VECTOR_SUFFIXES, files_of

_VERSION = 2
"""Of this code, in fingerprints: another number where the same files and options give other labels."""
_SUFFIXES = {*VECTOR_SUFFIXES, ".shp", ".json", ".kml", ".gml", ".gdb", ".sqlite", ".csv"}


class Layer(Protocol):
    """A source that was checked; `reader` opens it. Its windows may reach beyond the grid by a halo."""

    def reader(self) -> AbstractContextManager[LabelReader]:
        """Open the source for many reads by one thread."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bounded:
    """A layer without the pixels near a change of class."""

    layer: Layer
    sizes: PixelSizes
    halo: tuple[int, int]
    distance_m: float
    outline: bool

    @contextmanager
    def reader(self) -> Iterator[LabelReader]:
        """Open the layer."""
        with self.layer.reader() as inner:
            yield BoundaryReader(
                inner=inner, sizes=self.sizes, halo=self.halo, distance_m=self.distance_m, outline=self.outline
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LayeredLabels:
    """Labels of a scene, made by `open_labels`; they fulfil `geoseg.data.ground.Labels`.

    `opinions` are the layers of each annotator, earlier ones below. `background` is the class index of what nobody says
    anything about.
    """

    grid: Grid
    legend: Legend
    soft: bool
    paths: tuple[Path, ...]
    fingerprint: str
    opinions: tuple[tuple[Layer, ...], ...]
    consensus: str
    background: int | None
    area: Area | None = field(repr=False)

    @contextmanager
    def reader(self) -> Iterator[LabelReader]:
        """Open all layers for many reads by one thread."""
        with ExitStack() as stack:
            opinions = [[stack.enter_context(layer.reader()) for layer in layers] for layers in self.opinions]
            yield _LayeredReader(labels=self, opinions=opinions)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _LayeredReader:
    labels: LayeredLabels
    opinions: Sequence[Sequence[LabelReader]]

    def read(self, window: Window) -> LabelWindow:
        """The labels of a window, unlabelled beyond the grid and outside of the area of interest.

        Raises:
            InputError: if a file is damaged there or holds what cannot be.
        """
        count = len(self.labels.legend)
        opinions = [cover([reader.read(window) for reader in readers], count) for readers in self.opinions]
        merged = opinions[0] if self._single else RULES[self.labels.consensus](opinions, count)
        if self.labels.background is not None:
            silent = np.logical_and.reduce([opinion.silent for opinion in opinions])
            merged = fill(merged, silent, self.labels.background)
        inside = self._inside(window)
        classes = np.where(inside, merged.classes, UNLABELLED).astype(np.uint8)
        return LabelWindow(classes=classes, shares=None if merged.shares is None else merged.shares * inside)

    @property
    def _single(self) -> bool:
        return len(self.opinions) == 1 and self.labels.consensus != "shares"

    def _inside(self, window: Window) -> NDArray[np.bool_]:
        inside = np.zeros(window.shape, dtype=np.bool_)
        part = window.intersect(self.labels.grid.window)
        if part is not None:
            inside[part.within(window).slices] = inside_of(self.labels.area, part)
        return inside


def open_labels(options: LabelOptions, grid: Grid, legend: Legend) -> LayeredLabels:
    """Check the labels of a scene as far as possible without reading pixels, and make them ready to be read.

    Args:
        options: where labels come from, and how they become one.
        grid: where they are wanted.
        legend: gives the classes and their order.

    Raises:
        MissingFileError: if a file is not there.
        InputError: for classes that the legend does not have; files that cannot be read, have no CRS or do not touch
            the grid; features without a class that the legend knows, or without a width.
    """
    if len(legend) > IGNORED:
        raise InputError(f"labels: found {len(legend)} classes in the legend, needed at most {IGNORED}")
    check_class_names(options.sources, legend)
    files = [source.path for source in options.sources] + ([] if options.aoi is None else [options.aoi])
    missing = [str(path) for path in dict.fromkeys(files) if _is_missing(path)]
    if missing:
        raise MissingFileError(f"{', '.join(missing)}: no such file; check the path")
    annotators = dict.fromkeys(source.annotator for source in options.sources)
    opinions = tuple(
        tuple(_open_layer(source, grid, legend) for source in options.sources if source.annotator == annotator)
        for annotator in annotators
    )
    votes = len(opinions) > 1 and options.consensus != "shares"
    return LayeredLabels(
        grid=grid,
        legend=legend,
        soft=options.consensus == "shares" or (not votes and any(source.probabilities for source in options.sources)),
        paths=tuple(dict.fromkeys(files)),
        fingerprint=_fingerprint(options, grid, legend),
        opinions=opinions,
        consensus=options.consensus,
        background=_background(options, legend),
        area=None if options.aoi is None else open_area(options.aoi, grid),
    )


def _background(options: LabelOptions, legend: Legend) -> int | None:
    if options.background is None:
        return None
    names = [c.name for c in legend]
    if options.background not in names:
        raise InputError(f"labels: found the background {options.background!r}, the legend has {', '.join(names)}")
    return names.index(options.background)


def _open_layer(source: LabelSource, grid: Grid, legend: Legend) -> Layer:
    sizes = PixelSizes.of(grid) if source.boundary_m > 0 else None
    halo = (0, 0) if sizes is None else sizes.halo(grid, source.boundary_m)
    layer: Layer
    if _is_vector(source):
        layer = open_features(source, grid, legend)
    elif source.probabilities:
        layer = open_probabilities(source, grid, legend, halo)
    else:
        _refuse_vector_options(source)
        layer = open_codes(source, grid, legend, halo)
    if sizes is None:
        return layer
    return Bounded(layer=layer, sizes=sizes, halo=halo, distance_m=source.boundary_m, outline=_is_vector(source))


def _is_vector(source: LabelSource) -> bool:
    if source.probabilities:
        return False
    return source.column is not None or source.path.suffix.lower() in _SUFFIXES


def _refuse_vector_options(source: LabelSource) -> None:
    given = {"layer": source.layer, "buffer_m": source.buffer_m, "priority": source.priority}
    unfit = [name for name, value in given.items() if value]
    if unfit:
        raise InputError(f"{source.path}: found {', '.join(unfit)}, which vector files need; leave it out for a raster")


def _is_missing(path: Path) -> bool:
    return not path.exists() and not str(path).startswith("/vsi")


def _fingerprint(options: LabelOptions, grid: Grid, legend: Legend) -> str:
    """All that labels follow from; files by their content, so that a copied folder keeps its fingerprint."""
    told = TypeAdapter(LabelOptions).dump_python(options, mode="json")
    for source in told["sources"]:
        del source["path"]
    facts = {
        "version": _VERSION,
        "files": [_content(_files(source)) for source in options.sources],
        "aoi": None if options.aoi is None else _content(files_of(options.aoi)),
        "options": told | {"aoi": None},
        "grid": [grid.crs.to_wkt(), list(grid.transform)[:6], *grid.shape],
        "legend": [[c.code, c.name] for c in legend],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _files(source: LabelSource) -> list[Path]:
    if _is_vector(source):
        return files_of(source.path)
    with open_raster(source.path) as dataset:
        return sorted(map(Path, dataset.files))


def _content(files: Iterable[Path]) -> list[str]:
    return [fingerprint(file) if file.is_file() else str(file) for file in files]
