"""The usual way: rasterio's shapes, shapely, geopandas, to_file: python shapes.py RASTER OUT."""

from __future__ import annotations

import sys

import geopandas
import rasterio
from rasterio.features import shapes
from shapely.geometry import shape


def polygonize(raster: str, out: str) -> None:
    with rasterio.open(raster) as file:
        found = list(shapes(file.read(1), mask=file.read_masks(1) != 0, transform=file.transform))
        crs = file.crs
    columns = {"code": [int(code) for _, code in found]}
    geopandas.GeoDataFrame(columns, geometry=[shape(polygon) for polygon, _ in found], crs=crs).to_file(out)


if __name__ == "__main__":
    polygonize(*sys.argv[1:])
