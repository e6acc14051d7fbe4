"""Working rasters in plain files: written in place by windows, so that a process that dies leaves what it has written.

The numbers lie in `<name>.raw`, band after band, row after row; a GDAL VRT file of the same name says what they are, so
that everything that reads rasters reads them. Neither knows compression: they are made to be written fast and to be
deleted soon.
"""

from __future__ import annotations

import os
import sys
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from xml.etree import ElementTree as ET

import numpy as np
import rasterio
from numpy.typing import NDArray

from geoseg.core.grid import Window
from geoseg.errors import OutputError
from geoseg.io.output import replacing
from geoseg.io.raster import RasterSpec, require_fitting

_GDAL_TYPES = {"uint8": "Byte", "uint16": "UInt16", "float32": "Float32"}


class PlaneWriter:
    """Writes a working raster by windows in any order; a context manager. What was never written reads as zero.

    `path` ends in .vrt. Numbers that the file holds already stay, so that an interrupted work goes on.

    Raises:
        OutputError: if the files cannot be created or written.
    """

    def __init__(self, path: Path, spec: RasterSpec) -> None:
        self._path = path
        self._spec = spec
        self._dtype = np.dtype(spec.dtype)
        self._file: FileIO | None = None

    def __enter__(self) -> Self:
        height, width = self._spec.grid.shape
        size = len(self._spec.band_names) * height * width * self._dtype.itemsize
        try:
            raw_path(self._path).touch()
            self._file = raw_path(self._path).open("r+b", buffering=0)
            self._file.truncate(size)
            with replacing(self._path) as temporary:
                temporary.write_bytes(_describe(self._path, self._spec))
        except OSError as error:
            self._close()
            raise self._refusal(error) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def write(self, window: Window, data: NDArray[Any]) -> None:
        """Write (band, row, col), or (row, col) of a single band, to a window inside of the grid.

        Raises:
            OutputError: if the disk refuses.
            ValueError: if the data do not fit the window, the bands or the dtype.
        """
        bands = require_fitting(self._path, self._spec, window, data)
        height, width = self._spec.grid.shape
        assert self._file is not None  # noqa: S101  (it is open within the block)
        try:
            for number, band in enumerate(np.ascontiguousarray(bands)):
                for row, numbers in enumerate(band, start=number * height + window.row):
                    _write_at(self._file, numbers, (row * width + window.col) * self._dtype.itemsize)
        except OSError as error:
            raise self._refusal(error) from error

    def sync(self) -> None:
        """Wait until everything that was written is on the disk.

        Raises:
            OutputError: if the disk refuses.
        """
        try:
            os.fsync(self._file if self._file is not None else -1)
        except OSError as error:
            raise self._refusal(error) from error

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _refusal(self, error: OSError) -> OutputError:
        reason = error.strerror or str(error)
        return OutputError(f"{self._path}: cannot be written ({reason}); check the folder, rights and free space")


def open_plane(path: Path) -> NDArray[Any]:
    """The numbers of a finished working raster, shape (band, row, col), read from the disk where they are looked at."""
    with rasterio.open(path) as dataset:
        shape, dtype = (dataset.count, *dataset.shape), dataset.dtypes[0]
    return np.memmap(raw_path(path), dtype=dtype, mode="r", shape=shape)


def raw_path(path: Path) -> Path:
    """Where the numbers of a working raster are."""
    return path.with_suffix(".raw")


def _write_at(file: FileIO, numbers: NDArray[Any], offset: int) -> None:
    """All of it: a system call may write less than it was given, as where a disk gets full."""
    file.seek(offset)
    rest = numbers.data.cast("B")
    while rest:
        rest = rest[file.write(rest) :]


def _describe(path: Path, spec: RasterSpec) -> bytes:
    """The VRT file (https://gdal.org/en/stable/drivers/raster/vrt.html, "VRT Descriptions for Raw Files")."""
    height, width = spec.grid.shape
    size = np.dtype(spec.dtype).itemsize
    root = ET.Element("VRTDataset", rasterXSize=str(width), rasterYSize=str(height))
    ET.SubElement(root, "SRS").text = spec.grid.crs.to_wkt()
    ET.SubElement(root, "GeoTransform").text = ", ".join(repr(float(x)) for x in spec.grid.transform.to_gdal())
    for number, name in enumerate(spec.band_names):
        band = ET.SubElement(
            root, "VRTRasterBand", dataType=_GDAL_TYPES[spec.dtype], band=str(number + 1), subClass="VRTRawRasterBand"
        )
        about: dict[str, Any] = {
            "Description": name,
            "NoDataValue": spec.nodata,
            "Scale": spec.scale,
            "Offset": None if spec.scale is None else spec.offset,
            "ImageOffset": number * height * width * size,
            "PixelOffset": size,
            "LineOffset": width * size,
            "ByteOrder": "LSB" if sys.byteorder == "little" else "MSB",
        }
        ET.SubElement(band, "SourceFilename", relativeToVRT="1").text = raw_path(path).name
        for tag, value in about.items():
            if value is not None:
                ET.SubElement(band, tag).text = str(value)
    text: bytes = ET.tostring(root, encoding="utf-8")
    return text
