"""GDAL's own Polygonize (gdal_alg.h) straight into a GeoPackage, with 4-connectivity: python gdal.py RASTER OUT."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path
from typing import Any

import pyogrio

Argument = tuple[Any, Any]
"""The type of C, and the value."""

POINTER, TEXT, NUMBER = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int
NOTHING, FIRST = (POINTER, None), (NUMBER, 1)
GDAL = ctypes.CDLL(str(next((Path(pyogrio.__file__).parent.parent / "pyogrio.libs").glob("libgdal*"))))


def call(name: str, result: Any, *arguments: Argument) -> Any:  # noqa: ANN401
    function = getattr(GDAL, name)
    function.restype, function.argtypes = result, [kind for kind, _ in arguments]
    return function(*(value for _, value in arguments))


def make(name: str, *arguments: Argument) -> Argument:
    return POINTER, call(name, POINTER, *arguments)


def polygonize(raster: bytes, out: bytes) -> int:
    call("GDALAllRegister", None)
    source = make("GDALOpen", (TEXT, raster), (NUMBER, 0))
    band = make("GDALGetRasterBand", source, FIRST)
    driver = make("GDALGetDriverByName", (TEXT, b"GPKG"))
    target = make("GDALCreate", driver, (TEXT, out), *[(NUMBER, 0)] * 4, NOTHING)
    ground = make("GDALGetSpatialRef", source)
    layer = make("GDALDatasetCreateLayer", target, (TEXT, b"landcover"), ground, (NUMBER, 3), NOTHING)  # 3: polygons
    field = make("OGR_Fld_Create", (TEXT, b"code"), (NUMBER, 0))  # 0: an integer
    call("OGR_L_CreateField", NUMBER, layer, field, FIRST)
    mask = make("GDALGetMaskBand", band)
    failed = call("GDALPolygonize", NUMBER, band, mask, layer, (NUMBER, 0), NOTHING, NOTHING, NOTHING)
    return max([failed, *(call("GDALClose", NUMBER, dataset) for dataset in (target, source))])


if __name__ == "__main__":
    sys.exit(polygonize(*map(os.fsencode, sys.argv[1:])))
