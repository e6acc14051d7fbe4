"""How long does it take from a class raster to a GeoPackage on disk, and in how much memory? geoseg beside two peers.

A smooth synthetic map is written as a GeoTIFF. Then, in turn and each as a process of its own: `geoseg polygonize`;
GDAL's Polygonize straight into a GeoPackage, by the C interface of the GDAL inside pyogrio; and
`rasterio.features.shapes` with geopandas and `to_file`; on demand `geoseg polygonize --threads 1`, and
`gdal_polygonize.py` with the GDAL of the system.
Prints wall time, CPU time and peak memory of every process, medians, and ratios. This process itself imports nothing
large, as a child's peak begins with what its parent held.

    python benchmarks/polygons [--size 10980] [--repeats 3] [--only geoseg gdal shapes one_thread gdal_polygonize]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Run:
    """What one process took: wall and CPU seconds, and its peak memory in MiB."""

    wall_s: float
    cpu_s: float
    peak_mib: float


def command(name: str, raster: Path, out: Path) -> list[str]:
    if name in ("geoseg", "one_thread"):
        threads = ["--threads", "1"] if name == "one_thread" else []
        return [sys.executable, "-m", "geoseg", "polygonize", str(raster), "--out", str(out), *threads]
    if name == "gdal_polygonize":
        return ["gdal_polygonize.py", "-q", str(raster), "-f", "GPKG", str(out)]
    return [sys.executable, str(HERE / f"{name}.py"), str(raster), str(out)]


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
    with closing(sqlite3.connect(out)) as database:
        query = "SELECT table_name FROM gpkg_contents WHERE data_type = 'features'"
        ((layer,),) = database.execute(query).fetchall()
        ((rows,),) = database.execute(f'SELECT count(*) FROM "{layer}"').fetchall()  # noqa: S608  (a file of our own)
    return int(rows)


def compare(names: list[str], size: int, repeats: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        small, raster, out = (Path(folder) / name for name in ("small.tif", "map.tif", "map.gpkg"))
        for path, side in ((small, 200), (raster, size)):
            subprocess.run([sys.executable, HERE / "smooth_map.py", path, str(side)], check=True)
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
    usual = ["geoseg", "gdal", "shapes"]
    known = [*usual, "one_thread"] + (["gdal_polygonize"] if shutil.which("gdal_polygonize.py") else [])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=10980)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=known, default=usual)
    options = parser.parse_args()
    compare(options.only, options.size, options.repeats)


if __name__ == "__main__":
    main()
