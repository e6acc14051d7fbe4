"""A smooth synthetic class map as a GeoTIFF: python smooth_map.py OUT SIZE."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

CLASSES, SIGMA = 6, 8.6  # a spread that makes about 260,000 polygons at 10980 x 10980
NODATA = 255


def draw_map(size: int) -> NDArray[np.uint8]:
    """The class whose smoothed noise is highest; one field of noise is in memory at a time."""
    rng = np.random.default_rng(0)
    codes, best = np.zeros((size, size), np.uint8), np.full((size, size), -np.inf, np.float32)
    for code in range(CLASSES):
        field = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), SIGMA)
        higher = field > best
        codes[higher] = code
        best[higher] = field[higher]
    return codes


def make_map(path: Path, size: int) -> None:
    profile = {"driver": "GTiff", "height": size, "width": size, "count": 1, "dtype": "uint8", "nodata": NODATA}
    ground = {"crs": "EPSG:32633", "transform": Affine(10, 0, 500000, 0, -10, 5100000)}
    with rasterio.open(path, "w", **profile, **ground, tiled=True, compress="deflate") as out:
        out.write(draw_map(size), 1)


if __name__ == "__main__":
    make_map(Path(sys.argv[1]), int(sys.argv[2]))
