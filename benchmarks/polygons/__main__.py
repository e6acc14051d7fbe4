"""How long does it take from a class raster to a GeoPackage on disk, and in how much memory? geoseg beside two peers.

A smooth synthetic map is written as a GeoTIFF. Then, in turn and each as a process of its own: `geoseg polygonize`;
GDAL's Polygonize straight into a GeoPackage, by the C interface of the GDAL inside pyogrio; and
`rasterio.features.shapes` with geopandas and `to_file`. Where `gdal_polygonize.py` is installed, it joins in with the
system's GDAL. Prints wall time, CPU time and peak memory of every process, medians, and ratios.

    python benchmarks/polygons [--size 10980] [--repeats 3] [--only geoseg gdal shapes gdal_polygonize]
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyogrio
import rasterio
from affine import Affine
from scipy.ndimage import gaussian_filter

CLASSES, SIGMA = 6, 8.6  # a spread that makes about 260,000 polygons at 10980 x 10980
NODATA = 255


@dataclass(frozen=True)
class Run:
    """What one process took: wall and CPU seconds, and its peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def make_map(path: Path, size: int) -> None:
    """The class whose smoothed noise is highest; one field of noise is in memory at a time."""
    rng = np.random.default_rng(0)
    codes, best = np.zeros((size, size), np.uint8), np.full((size, size), -np.inf, np.float32)
    for code in range(CLASSES):
        field = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), SIGMA)
        higher = field > best
        codes[higher] = code
        best[higher] = field[higher]
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "uint8", "nodata": NODATA}
    ground = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500000, 0, -10, 5100000)}
    with rasterio.open(path, "w", **profile, **ground, tiled=True, compress="deflate") as out:
        out.write(codes, 1)


def command(name: str, raster: Path, out: Path) -> list[str]:
    if name == "geoseg":
        return [sys.executable, "-m", "geoseg", "polygonize", str(raster), "--out", str(out)]
    if name == "gdal_polygonize":
        return ["gdal_polygonize.py", "-q", str(raster), "-f", "GPKG", str(out)]
    return [sys.executable, str(Path(__file__).with_name(f"{name}.py")), str(raster), str(out)]


def measure(name: str, raster: Path, out: Path) -> Run:
    out.unlink(missing_ok=True)
    begin = time.perf_counter()
    with subprocess.Popen(command(name, raster, out), stdout=subprocess.DEVNULL) as process:
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - begin
    if process.returncode:
        sys.exit(f"{name} failed")
    return Run(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def count(out: Path) -> int:
    layer = pyogrio.list_layers(out)[0, 0]
    return pyogrio.read_info(out, layer=layer, force_feature_count=True)["features"]


def compare(names: list[str], size: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, raster, out = (Path(folder) / name for name in ("small.tif", "map.tif", "map.gpkg"))
        make_map(small, 200)
        make_map(raster, size)
        runs: dict[str, list[Run]] = {name: [] for name in names}
        for name in names:
            measure(name, small, out)  # what is compiled once is compiled now
        for _ in range(repeats):
            for name in names:
                runs[name].append(measure(name, raster, out))
                last, polygons = runs[name][-1], count(out)
                print(
                    f"{name}: {last.wall_s:.2f} s, CPU {last.cpu_s:.2f} s, {last.peak_mib:.0f} MiB, "
                    f"{polygons} polygons, {out.stat().st_size / 2**20:.0f} MiB on disk",
                    flush=True,
                )
    walls = {name: statistics.median(run.wall_s for run in some) for name, some in runs.items()}
    for name, wall in walls.items():
        peak = max(run.peak_mib for run in runs[name])
        told = f", {wall / walls['geoseg']:.2f} times the time of geoseg" if "geoseg" in walls else ""
        print(f"{name}: median {wall:.2f} s{told}; at most {peak:.0f} MiB")


def main() -> None:
    known = ["geoseg", "gdal", "shapes"] + (["gdal_polygonize"] if shutil.which("gdal_polygonize.py") else [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=known, default=known)
    options = parser.parse_args()
    compare(options.only, options.size, options.repeats)


if __name__ == "__main__":
    main()
