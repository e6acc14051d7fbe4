"""How long does it take to simplify a map's polygons, ours against GEOS? Both on the same polygons, in one process.

A smooth synthetic map is traced once. Then, in turn: geoseg thins all borders arc by arc (from traced outlines to
shapely polygons), and `shapely.segmentize` with `shapely.coverage_simplify` does so with all polygons at once. Prints
times, their ratio, vertices, and whether the results are valid coverages.

    python benchmarks/simplify.py [--size 10980] [--tolerance 1.5] [--repeats 3] [--method visvalingam] [--no-check]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import shapely
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from geoseg.vectorize.simplify import METHODS, SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, Polygons, trace

CLASSES, SIGMA, STRIP = 6, 8.6, 512  # a spread that makes about 260,000 polygons at 10980 x 10980

Shapes = NDArray[np.object_]


def make_map(size: int) -> NDArray[np.uint8]:
    """The class whose smoothed noise is highest; one field of noise is in memory at a time."""
    rng = np.random.default_rng(0)
    codes, best = np.zeros((size, size), np.uint8), np.full((size, size), -np.inf, np.float32)
    for code in range(CLASSES):
        field = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), SIGMA)
        higher = field > best
        codes[higher] = code
        best[higher] = field[higher]
    return codes


def outlines(codes: NDArray[np.uint8], *, for_ours: bool) -> list[Polygons]:
    strips = (LabelStrip(codes=codes[row : row + STRIP]) for row in range(0, len(codes), STRIP))
    return list(trace(strips, row_area_m2=np.ones(len(codes)), keep_junctions=True, keep_borders=for_ours))


def run_geoseg(traced: list[Polygons], options: SimplifyOptions) -> Shapes:
    return np.concatenate([simplify(part, options=options, gsd_m=(1, 1)).geometries() for part in traced])


def run_geos(exact: Shapes, tolerance: float) -> Shapes:
    return shapely.coverage_simplify(shapely.segmentize(exact, 1), tolerance, simplify_boundary=False)


class Times(NamedTuple):
    """Seconds of a run; both sides use one thread, so that the processor's tell more where other work goes on."""

    wall: float
    processor: float


def timed(work: Callable[[], Shapes]) -> tuple[Times, Shapes]:
    wall, processor = time.perf_counter(), time.process_time()
    shapes = work()
    return Times(time.perf_counter() - wall, time.process_time() - processor), shapes


def describe(name: str, times: list[Times], shapes: Shapes, *, check: bool) -> None:
    vertices = shapely.get_num_coordinates(shapes).sum()
    valid = f"; valid coverage: {bool(shapely.coverage_is_valid(shapes))}" if check else ""
    wall, processor = (statistics.median(values) for values in zip(*times, strict=True))
    invalid = (~shapely.is_valid(shapes)).sum()
    print(f"{name:8s} wall {wall:.2f} s, processor {processor:.2f} s; {vertices:,} vertices; {invalid} invalid{valid}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--tolerance", type=float, default=1.5, help="in pixels")
    parser.add_argument("--method", choices=METHODS, default="visvalingam", help="ours; GEOS has visvalingam only")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--no-check", action="store_true", help="leave out the slow check of the coverages")
    arguments = parser.parse_args()
    options = SimplifyOptions(method=arguments.method, tolerance=arguments.tolerance, unit="px")
    codes = make_map(arguments.size)
    traced = outlines(codes, for_ours=True)
    exact = np.concatenate([part.geometries() for part in traced])
    print(f"{arguments.size} x {arguments.size} px, {len(exact):,} polygons, tolerance {arguments.tolerance} px")
    run_geoseg(traced[:1], options)  # compiles
    ours, geos = [], []
    for _ in range(arguments.repeats):
        times, simple = timed(lambda: run_geoseg(traced, options))
        ours.append(times)
        times, peer = timed(lambda: run_geos(exact, arguments.tolerance))
        geos.append(times)
    print(f"exact    {shapely.get_num_coordinates(exact).sum():,} vertices")
    describe("geoseg", ours, simple, check=not arguments.no_check)
    describe("GEOS", geos, peer, check=not arguments.no_check)
    for what in Times._fields:
        ratios = [getattr(b, what) / getattr(a, what) for a, b in zip(ours, geos, strict=True)]
        print(f"GEOS / geoseg, {what}: {statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})")


if __name__ == "__main__":
    main()
