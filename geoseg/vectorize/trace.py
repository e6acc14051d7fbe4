"""Label rasters to polygons along pixel borders: exact, row by row, with memory for the open polygons only.

The rows go into a `Sweep`. The components that it finishes are given out as `Outlines`, batch by batch, and become
`Polygons` when they are walked, by any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from affine import Affine
from numpy.typing import NDArray

from geoseg.errors import InputError
from geoseg.io.vector import encode_polygons
from geoseg.vectorize.sweep import (
    Labels,
    Sweep,
    enlarge,
    free_vertices,
    has_room,
    start_sweep,
    sweep_rows,
    take_done,
    walk_rings,
)

_LABEL_TYPES = (np.dtype(np.uint8), np.dtype(np.uint16))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LabelStrip:
    """Some full rows of a label raster, from top to bottom.

    `codes` is uint8 or uint16, shape (row, col); the dtype's largest number, 255 or 65535, is nodata. `layers` are
    numbers to be added up over areas, such as a confidence: float32, shape (layer, row, col), NaN = unknown; None =
    there are no layers.
    """

    codes: Labels
    layers: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Polygons:
    """Finished polygons with what their pixels add up to; one entry a polygon in every array.

    `coords` are the pixel corners (col, row) of all closed rings, shape (vertex, 2): ring i is `coords[ring_offsets[i]
    : ring_offsets[i + 1]]`, polygon j has the rings `polygon_offsets[j]` to `polygon_offsets[j + 1]`, the exterior
    first. `first_pixels` is (row, col) of the first pixel in row-major order, shape (polygon, 2); it is unique.
    `area_m2` sums the given row areas over the pixels. `stats` are the statistics of the layers, shape (polygon, layer,
    statistic), by `geoseg.vectorize.sweep.KNOWN`, `SUM` and so on.

    `geoseg.vectorize.simplify` leaves corners out, and may put points between them. It needs `kinds`, the bits
    `geoseg.vectorize.sweep.JUNCTION` and so on of every vertex in `coords`, and `borders`, the sweep's own (see
    there), which holds all corners around these polygons, and grows on.
    """

    coords: NDArray[np.int32] | NDArray[np.float64]
    kinds: NDArray[np.uint8]
    ring_offsets: NDArray[np.int64]
    polygon_offsets: NDArray[np.int64]
    codes: Labels
    first_pixels: NDArray[np.int64]
    pixels: NDArray[np.int64]
    area_m2: NDArray[np.float64]
    stats: NDArray[np.float64]
    borders: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.codes)

    def geometries(self, transform: Affine | None = None) -> NDArray[np.object_]:
        """Shapely polygons in the units of `transform` (pixel corners by default), exteriors counter-clockwise."""
        offsets = (self.ring_offsets, self.polygon_offsets)
        polygons = shapely.from_ragged_array(shapely.GeometryType.POLYGON, self._placed(transform), offsets)
        return np.asarray(polygons, dtype=np.object_)

    def wkb(self, transform: Affine) -> pa.BinaryArray:
        """The same polygons as well-known binary, without making an object of each."""
        return encode_polygons(self._placed(transform), self.ring_offsets, self.polygon_offsets)

    def _placed(self, transform: Affine | None) -> NDArray[np.float64]:
        """Coordinates of every vertex; rings go round the other way where the transform mirrors them, as most do."""
        a, b, c, d, e, f = tuple(transform or Affine.identity())[:6]
        coords = self.coords
        if a * e - b * d < 0:
            ends = self.ring_offsets[:-1] + self.ring_offsets[1:] - 1
            coords = coords[np.repeat(ends, np.diff(self.ring_offsets)) - np.arange(len(coords))]
        xy = np.empty(coords.shape)
        col, row = coords.T
        np.add(a * col, b * row, out=xy[:, 0])
        np.add(d * col, e * row, out=xy[:, 1])
        xy += (c, f)
        return xy


@dataclass(slots=True, kw_only=True, eq=False)
class Outlines:
    """Components that a sweep has finished: some copies of its entries, in no useful order, and its pool of vertices.

    Their vertices are in use until `walked`.
    """

    components: NDArray[Any]
    stats: NDArray[np.float64]
    vertices: NDArray[Any]
    borders: NDArray[np.uint64]
    dtype: np.dtype[Any]
    width: int
    walked: bool = False

    def polygons(self) -> Polygons:
        """Walk along the outlines, once; other threads may sweep on, or walk along others, at the same time."""
        order = np.lexsort((self.components["first"], self.components["last_row"]))
        done = self.components[order]
        n = int(done["vertices"].sum())
        coords = np.empty((n + n // 4, 2), dtype=np.int32)  # a ring has at least four vertices, and closes
        kinds = np.empty(len(coords), dtype=np.uint8)
        ring_offsets = np.zeros(n // 4 + 1, dtype=np.int64)
        polygon_offsets = np.zeros(len(done) + 1, dtype=np.int64)
        marks = np.zeros(len(self.vertices), dtype=np.uint8)
        heads = np.ascontiguousarray(done["head"])
        walk_rings(heads, self.vertices, marks, coords, kinds, (ring_offsets, polygon_offsets))
        self.walked = True
        ring_offsets = ring_offsets[: polygon_offsets[-1] + 1].copy()
        return Polygons(
            coords=coords[: ring_offsets[-1]].copy(),
            kinds=kinds[: ring_offsets[-1]].copy(),
            ring_offsets=ring_offsets,
            polygon_offsets=polygon_offsets,
            codes=done["code"].astype(self.dtype),
            first_pixels=np.column_stack(np.divmod(done["first"], self.width)),
            pixels=done["pixels"].copy(),
            area_m2=done["area"].copy(),
            stats=self.stats[order],
            borders=self.borders,
        )


def trace(
    strips: Iterable[LabelStrip],
    *,
    row_area_m2: NDArray[np.float64],
    keep_junctions: bool = False,
    keep_borders: bool = False,
    chosen: NDArray[np.bool_] | None = None,
    batch_vertices: int = 1 << 16,
) -> Iterator[Polygons]:
    """Trace the 4-connected components of every class into polygons, from strips of any height.

    The polygons come in the order of the last row that they reach, then of their first pixel in row-major order: the
    same for any strip height. They are the ones of GDAL's polygonize with 4-connectivity, and valid. Memory follows
    the outlines still open at the sweep's row, plus one batch and one strip; with `keep_borders` also one bit a pixel.

    Args:
        strips: the whole raster, from top to bottom.
        row_area_m2: area of a pixel of each row, m², shape (rows of the whole raster,).
        keep_junctions: keep a vertex at every corner where the borders of three components (or nodata) meet, also on
            straight outlines: neighbours then share all vertices of their common border, as a coverage needs it.
        keep_borders: remember all corners on borders, which `geoseg.vectorize.simplify` needs beside the junctions.
        chosen: of every label, whether its borders are marked for regularisation, shape (label,); None = no label's.
        batch_vertices: polygons are given out when about so many vertices are waiting.

    Raises:
        InputError: for strips that do not fit each other or `row_area_m2`.
    """
    outlines = find_outlines(
        strips,
        row_area_m2=row_area_m2,
        keep_junctions=keep_junctions,
        keep_borders=keep_borders,
        chosen=chosen,
        batch_vertices=batch_vertices,
    )
    return map(Outlines.polygons, outlines)


def find_outlines(
    strips: Iterable[LabelStrip],
    *,
    row_area_m2: NDArray[np.float64],
    keep_junctions: bool,
    keep_borders: bool,
    chosen: NDArray[np.bool_] | None = None,
    batch_vertices: int = 1 << 16,
) -> Iterator[Outlines]:
    """The part of `trace` that must go row by row.

    The outlines may be walked in other threads, in any order: the polygons are the same. Until then they take memory.
    """
    sweeper: _Sweeper | None = None
    row = 0
    for strip in strips:
        dtype, width = (strip.codes.dtype, strip.codes.shape[-1]) if sweeper is None else (sweeper.dtype, sweeper.width)
        _check(strip, width=width, dtype=dtype)
        if sweeper is None:
            sweep = start_sweep(
                (len(row_area_m2), width),
                layers=0 if strip.layers is None else len(strip.layers),
                nodata=nodata_of(dtype),
                keep_junctions=keep_junctions,
                keep_borders=keep_borders,
                chosen=chosen,
            )
            sweeper = _Sweeper(sweep, dtype, batch_vertices)
        areas = row_area_m2[row : row + len(strip.codes)]
        row += len(strip.codes)
        _check_rows(row, len(row_area_m2), at_end=False)
        yield from sweeper.feed(strip, areas)
    _check_rows(row, len(row_area_m2), at_end=True)
    if sweeper is not None:
        yield from sweeper.end()


def nodata_of(dtype: np.dtype[Any]) -> int:
    """The label of pixels without a class: the largest number of the dtype of labels."""
    return int(np.iinfo(dtype).max)


def _check(strip: LabelStrip, *, width: int, dtype: np.dtype[Any]) -> None:
    codes, layers = strip.codes, strip.layers
    wanted = dtype if dtype in _LABEL_TYPES else _LABEL_TYPES[0]
    if codes.dtype != wanted or codes.ndim != 2 or codes.shape[1] != width:
        msg = f"a strip of labels is {codes.dtype} of shape {codes.shape}, needed is {wanted} of {width} columns"
        raise InputError(msg)
    if layers is not None and layers.shape[1:] != codes.shape:
        msg = f"the layers of a strip have shape {layers.shape}, its labels have {codes.shape}; both must fit"
        raise InputError(msg)


def _check_rows(rows: int, expected: int, *, at_end: bool) -> None:
    if rows > expected or (at_end and rows < expected):
        msg = f"the strips of labels have {'' if at_end else 'at least '}{rows} rows, the grid has {expected}"
        raise InputError(msg)


class _Sweeper:
    """Feeds a sweep, gives out what it finishes, and lets it use the room of outlines again that were walked."""

    def __init__(self, sweep: Sweep, dtype: np.dtype[Any], batch_vertices: int) -> None:
        self.dtype = dtype
        self.width = len(sweep.front) - 2
        self._sweep = sweep
        self._enough = batch_vertices
        self._given_out: list[Outlines] = []

    def feed(self, strip: LabelStrip, areas: NDArray[np.float64]) -> Iterator[Outlines]:
        """Take in a strip; the outlines come whenever there are enough."""
        codes: Labels = np.ascontiguousarray(strip.codes)
        layers = np.empty((0, *codes.shape), np.float32) if strip.layers is None else strip.layers
        if len(layers) != self._sweep.stats.shape[1]:
            above = self._sweep.stats.shape[1]
            msg = f"a strip has {len(layers)} layers, those above have {above}; all must have the same"
            raise InputError(msg)
        layers = np.ascontiguousarray(np.moveaxis(layers, 0, 1), dtype=np.float32)
        areas = np.ascontiguousarray(areas, dtype=np.float64)
        row = 0
        while row < len(codes):
            self._make_room()
            row = sweep_rows(codes, layers, areas, row, self._enough, self._sweep)
            if self._sweep.state[0]["done_vertices"] >= self._enough:
                yield self._give_out()

    def end(self) -> Iterator[Outlines]:
        """The rest: a row of nodata below ends every component."""
        codes = np.full((1, self.width), nodata_of(self.dtype), dtype=self.dtype)
        layers = np.empty((self._sweep.stats.shape[1], *codes.shape), dtype=np.float32)
        yield from self.feed(LabelStrip(codes=codes, layers=layers), np.zeros(1))
        if self._sweep.state[0]["done_components"]:
            yield self._give_out()

    def _make_room(self) -> None:
        for outlines in [some for some in self._given_out if some.walked]:
            free_vertices(outlines.components, self._sweep)
            self._given_out.remove(outlines)
        if not has_room(self._sweep):
            self._sweep = enlarge(self._sweep)

    def _give_out(self) -> Outlines:
        sweep = self._sweep
        labels = take_done(int(sweep.state[0]["done_components"]), sweep)
        outlines = Outlines(
            components=sweep.components[labels],
            stats=sweep.stats[labels],
            vertices=sweep.vertices,
            borders=sweep.borders,
            dtype=self.dtype,
            width=self.width,
        )
        self._given_out.append(outlines)
        return outlines
