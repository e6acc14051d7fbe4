"""PNG pictures in memory."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning

from geoseg.io.dataset import gdal_env


def png(pixels: NDArray[np.uint8]) -> bytes:
    """A PNG of red, green, blue and opacity, each 0 to 255, shape (4, row, col)."""
    return _encode(pixels, None)


def palette_png(codes: NDArray[np.uint8], palette: Mapping[int, tuple[int, int, int, int]]) -> bytes:
    """A PNG with a colour table (red, green, blue, opacity) for codes of shape (row, col); other codes are black."""
    return _encode(codes[None], palette)


def _encode(bands: NDArray[np.uint8], palette: Mapping[int, tuple[int, int, int, int]] | None) -> bytes:
    count, height, width = bands.shape
    profile = {"driver": "PNG", "count": count, "height": height, "width": width, "dtype": "uint8", "zlevel": 9}
    with warnings.catch_warnings(), gdal_env(), rasterio.MemoryFile(ext=".png") as memory:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with memory.open(**profile) as dataset:
            dataset.write(bands)
            if palette is not None:
                dataset.write_colormap(1, dict(palette))
            else:
                dataset.colorinterp = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
        memory.seek(0)
        content: bytes = memory.read()
    return content
