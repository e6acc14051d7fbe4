"""The sentence of sampling: measure the map, deal points to its classes, draw them, write a layer to be interpreted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import shapely
from numpy.typing import NDArray

from geoseg.core.grid import Grid
from geoseg.core.legend import Legend
from geoseg.core.provenance import Provenance
from geoseg.errors import InputError
from geoseg.evaluation.areas.allocation import allocate, deviations, sample_size
from geoseg.evaluation.areas.survey import Places, survey
from geoseg.evaluation.legends import legend_of_map
from geoseg.evaluation.maps import MapFile, open_map
from geoseg.evaluation.scores import Floats
from geoseg.inference.engine import Progress
from geoseg.io.fingerprint import fingerprints
from geoseg.io.raster import BLOCK
from geoseg.io.vector import VectorLayer, check_vector_output, write_features

LAYER = "points"
_FIELDS = pa.schema([pa.field("id", pa.int64()), pa.field("class", pa.string()), pa.field("remark", pa.string())])
_MAPPED = pa.field("mapped", pa.string())


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOptions:
    """How many points are drawn, and how they are dealt to the classes of the map.

    `count` points; or as many as give a `standard_error` of the overall accuracy, if the user's accuracies are as
    `expected` (by class; `expected_else` for the others). `allocation` deals them by area ("proportional"), by area and
    expected spread ("optimal", Neyman), or alike ("equal"); every class gets `minimum` at least. With `reveal` the
    layer tells the map's class of each point, which interpreters should not know.
    """

    count: int = 500
    standard_error: float | None = None
    expected: Mapping[str, float] = field(default_factory=dict)
    expected_else: float = 0.8
    allocation: Literal["proportional", "optimal", "equal"] = "proportional"
    minimum: int = 50
    seed: int = 0
    reveal: bool = False
    legend: Legend | None = None
    overwrite: bool = False
    command: str = ""

    def __post_init__(self) -> None:
        if self.count < 1 or self.minimum < 0:
            raise InputError(f"needed at least one point and no negative minimum, found {self.count}, {self.minimum}")
        if self.standard_error is not None and not 0 < self.standard_error < 1:
            raise InputError(f"the standard error must lie between 0 and 1, found {self.standard_error}")
        wrong = [f"{v:g}" for v in (*self.expected.values(), self.expected_else) if not 0 <= v <= 1]
        if wrong:
            raise InputError(f"an expected accuracy must lie between 0 and 1, found {', '.join(wrong)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draw:
    """The points of one class: the area that they stand for in m², their number, and the accuracy that was expected."""

    name: str
    area_m2: float
    points: int
    expected: float

    @property
    def standard_error(self) -> float:
        """Of the user's accuracy, if it is as expected; NaN without points."""
        return float(np.sqrt(self.expected * (1 - self.expected) / self.points)) if self.points else float("nan")


def draw_points(
    map_path: Path,
    out: Path,
    options: PointOptions = PointOptions(),
    *,
    progress: Progress = lambda _stage, _done, _total: None,
) -> tuple[Draw, ...]:
    """Draw a stratified random sample of a map's pixels, and write their centres as points to be interpreted.

    The classes of the map are the strata. Within a class every place on the ground has the same chance; no pixel is
    drawn twice. Points are numbered in random order, so that the first ones are a random sample, too. The same seed
    gives the same points.

    Args:
        map_path: a class raster.
        out: a vector file whose suffix tells the format; GeoPackage opens styled in QGIS.
        options: see there.
        progress: told stages, done and total.

    Raises:
        MissingFileError: no such map.
        InputError: no map, one without classes, or one that does not have that many pixels.
        OutputError: the output cannot be written.
    """
    check_vector_output(out, overwrite=options.overwrite)
    legend = options.legend or legend_of_map(map_path)
    map_file = open_map(map_path, legend)
    none = np.empty(0, dtype=np.int64)
    ground = survey(map_file, Places(rows=none, cols=none), None, progress)
    areas, pixels = np.diag(ground.area_m2), np.diag(ground.pixels)
    if not pixels.any():
        raise InputError(f"{map_path}: no pixel has a class, so no point can be drawn; check its nodata")
    expected = _expected(legend, options)
    numbers = allocate(
        _count(areas, expected, options), _weights(areas, expected, options), options.minimum, pixels, ground.names
    )
    places, classes = draw_pixels(map_file, numbers, options.seed, progress)
    write_features(_batches(places, classes, map_file, options), out, layer=_layer(map_file.grid, map_path, options))
    rows = zip(ground.names, areas.tolist(), numbers, expected.tolist(), strict=True)
    return tuple(Draw(name=name, area_m2=area, points=points, expected=u) for name, area, points, u in rows)


def draw_pixels(
    map_file: MapFile, numbers: list[int], seed: int, progress: Progress
) -> tuple[Places, NDArray[np.int64]]:
    """Draw so many pixels of each class without replacement, with chances that follow their area, in random order.

    Every pixel gets an exponential waiting time whose rate is its area, and the shortest ones are drawn (Efraimidis and
    Spirakis 2006, doi:10.1016/j.ipl.2005.11.003). The times of a row depend on the seed and the row alone.

    Returns:
        Places and class indices, shape (point,).
    """
    grid = map_file.grid
    areas = grid.pixel_areas_m2()
    best = [_Shortest.empty() for _ in numbers]
    windows = list(grid.windows(BLOCK))
    with map_file.reader() as reader:
        for done, window in enumerate(windows, start=1):
            classes = reader.classes(window)
            rows = range(window.row, window.row_end)
            times = np.stack([np.random.default_rng((seed, row)).exponential(size=grid.width) for row in rows])
            times /= areas[window.row : window.row_end, None]
            for i, number in enumerate(numbers):
                best[i] = best[i].merged(*_of_class(times, classes, i, window.row), number)
            progress("draw", done, len(windows))
    chosen = np.concatenate([found.places for found in best])
    drawn = np.repeat(np.arange(len(numbers)), [len(found.places) for found in best])
    order = np.random.default_rng(seed).permutation(len(chosen))
    return Places(rows=chosen[order, 0], cols=chosen[order, 1]), drawn[order]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Shortest:
    """The shortest times so far, shape (pixel,), and (row, col) of their pixels, shape (pixel, 2)."""

    times: Floats
    places: NDArray[np.int64]

    @classmethod
    def empty(cls) -> _Shortest:
        return cls(times=np.empty(0), places=np.empty((0, 2), dtype=np.int64))

    def merged(self, times: Floats, places: NDArray[np.int64], number: int) -> _Shortest:
        """The shortest `number` of these and more."""
        times, places = np.concatenate([self.times, times]), np.concatenate([self.places, places])
        kept = np.argsort(times, kind="stable")[:number]
        return _Shortest(times=times[kept], places=places[kept])


def _of_class(
    times: Floats, classes: NDArray[np.uint8], index: int, first_row: int
) -> tuple[Floats, NDArray[np.int64]]:
    rows, cols = np.nonzero(classes == index)
    return times[rows, cols], np.column_stack([rows + first_row, cols])


def _expected(legend: Legend, options: PointOptions) -> Floats:
    names = [c.name for c in legend]
    unknown = sorted(set(options.expected) - set(names))
    if unknown:
        raise InputError(f"an accuracy is expected of {', '.join(unknown)}; the map's classes are {', '.join(names)}")
    return np.array([options.expected.get(name, options.expected_else) for name in names])


def _count(areas: Floats, expected: Floats, options: PointOptions) -> int:
    if options.standard_error is None:
        return options.count
    needed = sample_size(areas / areas.sum(), expected, options.standard_error)
    return max(needed, options.minimum * int(np.count_nonzero(areas)))


def _weights(areas: Floats, expected: Floats, options: PointOptions) -> Floats:
    if options.allocation == "equal":
        return np.ones_like(areas)
    return areas * deviations(expected) if options.allocation == "optimal" else areas


def _layer(grid: Grid, map_path: Path, options: PointOptions) -> VectorLayer:
    provenance = Provenance.now(inputs=fingerprints([map_path]), command=options.command, seed=options.seed)
    return VectorLayer(
        name=LAYER,
        crs=grid.crs,
        fields=_FIELDS.append(_MAPPED) if options.reveal else _FIELDS,
        legend=options.legend or legend_of_map(map_path),
        provenance=provenance,
        geometry_type="Point",
        pixel_m=min(grid.gsd_m),
    )


def _batches(
    places: Places, classes: NDArray[np.int64], map_file: MapFile, options: PointOptions
) -> Iterator[pa.RecordBatch]:
    """All points in one batch, at the centres of their pixels."""
    a, b, c, d, e, f = tuple(map_file.grid.transform)[:6]
    cols, rows = places.cols + 0.5, places.rows + 0.5
    points = shapely.points(a * cols + b * rows + c, d * cols + e * rows + f)
    count = len(places)
    columns: dict[str, Any] = {"id": np.arange(1, count + 1), "class": [None] * count, "remark": [None] * count}
    columns["mapped"] = [map_file.legend[i].name for i in classes.tolist()]
    yield _layer(map_file.grid, map_file.path, options).batch(points, columns)
