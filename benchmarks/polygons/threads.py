"""How much do two threads bring where polygons are made? The same work by one and by more, in turn, in one process.

A synthetic map in memory is traced, simplified where that is asked for, and becomes geometries: WKB, as files take it,
or shapely's. Prints wall and processor time for every number of threads, and ratios to the first. Wall times of
several threads mean something on a quiet machine only.

    python benchmarks/polygons/threads.py [--size 10980] [--map smooth] [--simplify 1.5] [--geometries wkb]
                                          [--threads 1 2] [--repeats 5]
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import NamedTuple

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from smooth_map import CLASSES, draw_map

from geoseg.core.threads import work_in_order
from geoseg.vectorize.simplify import SimplifyOptions, simplify
from geoseg.vectorize.trace import LabelStrip, Outlines, find_outlines

STRIP = 512
TRANSFORM = Affine(10, 0, 500000, 0, -10, 5100000)
NOISE = 0.008  # the share of specks: they make about 200,000 polygons of one pixel at 5120 x 5120


class Run(NamedTuple):
    """Seconds, and what came out."""

    wall: float
    processor: float
    polygons: int


def noisy_map(size: int) -> NDArray[np.uint8]:
    """The smooth map with specks of any class."""
    rng, codes = np.random.default_rng(1), draw_map(size)
    specks = rng.random(codes.shape, dtype=np.float32) < NOISE
    codes[specks] = rng.integers(0, CLASSES, specks.sum())
    return codes


MAPS = {"smooth": draw_map, "noisy": noisy_map}


def make_polygons(codes: NDArray[np.uint8], wanted: SimplifyOptions | None, geometries: str, threads: int) -> int:
    def make(outlines: Outlines) -> int:
        polygons = outlines.polygons()
        if wanted is not None:
            polygons = simplify(polygons, options=wanted, gsd_m=(1, 1))
        return len(polygons.wkb(TRANSFORM) if geometries == "wkb" else polygons.geometries(TRANSFORM))

    strips = (LabelStrip(codes=codes[row : row + STRIP]) for row in range(0, len(codes), STRIP))
    areas = np.ones(len(codes))
    found = find_outlines(strips, row_area_m2=areas, keep_junctions=True, keep_borders=wanted is not None)
    return sum(work_in_order(make, found, threads=threads))


def measure(codes: NDArray[np.uint8], wanted: SimplifyOptions | None, geometries: str, threads: int) -> Run:
    wall, processor = time.perf_counter(), time.process_time()
    polygons = make_polygons(codes, wanted, geometries, threads)
    return Run(time.perf_counter() - wall, time.process_time() - processor, polygons)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--map", choices=list(MAPS), default="smooth")
    parser.add_argument("--simplify", type=float, help="tolerance in pixels")
    parser.add_argument("--geometries", choices=["wkb", "shapely"], default="wkb")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    wanted = None if options.simplify is None else SimplifyOptions(tolerance=options.simplify, unit="px")
    codes = MAPS[options.map](options.size)
    make_polygons(codes[:256], wanted, options.geometries, 1)  # compiles
    runs: dict[int, list[Run]] = {threads: [] for threads in options.threads}
    for _ in range(options.repeats):
        for threads, done in runs.items():
            done.append(measure(codes, wanted, options.geometries, threads))
    first = runs[options.threads[0]]
    print(f"{options.map}, {options.size} x {options.size} px, {first[0].polygons:,} polygons, {options.geometries}")
    for threads, done in runs.items():
        wall, processor, _ = (statistics.median(values) for values in zip(*done, strict=True))
        ratios = [one.wall / more.wall for one, more in zip(first, done, strict=True)]
        told = f"{statistics.median(ratios):.2f} times as fast ({min(ratios):.2f} to {max(ratios):.2f})"
        print(f"{threads} threads: wall {wall:.2f} s, processor {processor:.2f} s; {told}")


if __name__ == "__main__":
    main()
