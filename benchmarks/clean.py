"""Cleaning of label rasters: how long it takes beside tracing and GDAL's sieve, rows that it holds back, and memory.

    python benchmarks/clean.py [--size 10980] [--areas 5 50 500]

GDAL's sieve follows another rule: it merges into the largest neighbour, counts pixels, and holds the whole raster. It
is here for the time alone. Every measurement is a process of its own; the time is that of the processor.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS
from rasterio.features import sieve
from scipy.ndimage import gaussian_filter

from geoseg.core.grid import Grid
from geoseg.vectorize.clean import Cleaner, CleanOptions
from geoseg.vectorize.trace import LabelStrip, trace

ROWS = 64  # as many as are taken in at once
PIXEL_M2 = 100


def make_map(size: int, noise: float) -> NDArray[np.uint8]:
    """Six classes in lumps, with a share of the pixels at random."""
    rng = np.random.default_rng(5)
    best = np.full((size, size), -np.inf, dtype=np.float32)
    codes = np.zeros((size, size), dtype=np.uint8)
    for code in range(6):
        smooth = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), 3)
        codes[smooth > best] = code
        np.maximum(best, smooth, out=best)
    random = rng.random(codes.shape, dtype=np.float32) < noise
    codes[random] = rng.integers(0, 6, int(random.sum()), dtype=np.uint8)
    return codes


def grid_of(codes: NDArray[np.uint8]) -> Grid:
    transform = Affine(10, 0, 500_000, 0, -10, 5_000_000)
    return Grid(crs=CRS.from_epsg(32633), transform=transform, height=codes.shape[0], width=codes.shape[1])


def run_ours(codes: NDArray[np.uint8], options: CleanOptions) -> dict[str, object]:
    """Clean; returns the most rows that were taken in and not given out yet, and what was changed."""
    taken = given = most = 0

    def strips() -> Iterator[NDArray[np.uint8]]:
        nonlocal taken
        for row in range(0, len(codes), ROWS):
            taken = min(row + ROWS, len(codes))
            yield codes[row : row + ROWS]

    cleaner = Cleaner(options, grid_of(codes))
    for strip in cleaner.strips(strips()):
        given += len(strip)
        most = max(most, taken - given)
    summary = cleaner.summary
    return {"rows_held": most, "merged": summary.merged_areas, "filled": summary.filled_areas}


def run_task(task: str, pixels: int, codes: NDArray[np.uint8]) -> dict[str, object]:
    if task == "trace":
        strips = (LabelStrip(codes=codes[row : row + ROWS]) for row in range(0, len(codes), ROWS))
        areas = np.full(len(codes), float(PIXEL_M2))
        return {"polygons": sum(len(batch) for batch in trace(strips, row_area_m2=areas, keep_junctions=True))}
    if task == "GDAL sieve":
        return {"changed": int((sieve(codes, size=pixels, connectivity=4) != codes).sum())}
    if task == "majority":
        return run_ours(codes, CleanOptions(majority=pixels))
    if task == "fill holes":
        return run_ours(codes, CleanOptions(fill_holes_m2=pixels * PIXEL_M2))
    return run_ours(codes, CleanOptions(min_area_m2=pixels * PIXEL_M2))


def child(task: str, pixels: int, size: int, noise: float) -> None:
    run_task(task, pixels, make_map(64, noise))  # compile, or load what was compiled
    codes = make_map(size, noise)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    told = run_task(task, pixels, codes)
    seconds = time.process_time() - started
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps({"seconds": round(seconds, 2), "memory_grown_mb": round(grown), **told}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10_980)
    parser.add_argument("--areas", type=int, nargs="+", default=[5, 50, 500], help="minimum areas in pixels")
    parser.add_argument("--child", nargs=3, metavar=("TASK", "PIXELS", "NOISE"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        task, pixels, noise = arguments.child
        child(task, int(pixels), arguments.size, float(noise))
        return
    tasks = [("trace", 0), ("majority", 3), ("majority", 5)]
    tasks += [(task, area) for area in arguments.areas for task in ("min area", "GDAL sieve", "fill holes")]
    for noise in (0.0, 0.02):
        print(f"{arguments.size} x {arguments.size} px, {noise:.0%} of them at random")
        for task, pixels in tasks:
            command = [
                sys.executable,
                __file__,
                "--size",
                str(arguments.size),
                "--child",
                task,
                str(pixels),
                str(noise),
            ]
            found = subprocess.run(command, check=True, capture_output=True, text=True)
            print(f"  {task:<11} {pixels:>4}  {found.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
