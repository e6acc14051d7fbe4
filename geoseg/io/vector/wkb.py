"""Geometries in bytes: well-known binary, little-endian, made of and read without objects.

OGC 06-103r4, section 8.2: a byte order, a type, then counts and coordinates; nothing is aligned.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoseg.core.compiled import compiled
from geoseg.errors import InputError

_POINT, _LINE, _POLYGON = 1, 2, 3
_HEADER, _COUNT, _XY = 5, 4, 16  # bytes
_MOST_BYTES = np.iinfo(np.int32).max


def encode_polygons(
    xy: NDArray[np.float64], ring_offsets: NDArray[np.int64], polygon_offsets: NDArray[np.int64]
) -> pa.BinaryArray:
    """Polygons as WKB, one a polygon: what shapely makes of them, several times as fast.

    Args:
        xy: vertices of all closed rings, shape (vertex, 2).
        ring_offsets: ring i has the vertices `ring_offsets[i]` to `ring_offsets[i + 1]`.
        polygon_offsets: polygon j has the rings `polygon_offsets[j]` to `polygon_offsets[j + 1]`, the exterior first.

    Raises:
        InputError: for more bytes than Arrow can count in one array.
    """
    rings = np.diff(polygon_offsets)
    vertices = np.diff(ring_offsets[polygon_offsets])
    offsets = np.zeros(len(polygon_offsets), dtype=np.int64)
    np.cumsum(_HEADER + _COUNT + _COUNT * rings + _XY * vertices, out=offsets[1:])
    if offsets[-1] > _MOST_BYTES:
        msg = f"{len(rings)} polygons have {len(xy)} vertices, too many to write at once; smooth or simplify the labels"
        raise InputError(msg)
    data = np.empty(offsets[-1], dtype=np.uint8)
    raw = np.ascontiguousarray(xy, dtype="<f8").view(np.uint8).ravel()
    _fill_polygons(raw, ring_offsets, polygon_offsets, offsets, data)
    return pa.BinaryArray.from_buffers(
        pa.binary(), len(rings), [None, pa.py_buffer(offsets.astype(np.int32)), pa.py_buffer(data)]
    )


def bounds_of(geometries: pa.BinaryArray) -> NDArray[np.float64]:
    """(xmin, ymin, xmax, ymax) of every geometry in WKB, shape (geometry, 4); NaN where one is empty."""
    _, offsets, data = geometries.buffers()
    starts = np.frombuffer(offsets, dtype=np.int32, count=geometries.offset + len(geometries) + 1)
    bounds = np.empty((len(geometries), 4))
    _measure(np.frombuffer(data or b"", dtype=np.uint8), starts[geometries.offset :].astype(np.int64), bounds)
    return bounds


@compiled
def _fill_polygons(
    raw: NDArray[np.uint8],
    ring_offsets: NDArray[np.int64],
    polygon_offsets: NDArray[np.int64],
    offsets: NDArray[np.int64],
    data: NDArray[np.uint8],
) -> None:
    for polygon in range(len(polygon_offsets) - 1):
        at = offsets[polygon]
        first, last = polygon_offsets[polygon], polygon_offsets[polygon + 1]
        data[at] = 1  # little-endian
        _put(_POLYGON, at + 1, data)
        _put(last - first, at + _HEADER, data)
        at += _HEADER + _COUNT
        for ring in range(first, last):
            begin, end = ring_offsets[ring], ring_offsets[ring + 1]
            _put(end - begin, at, data)
            at += _COUNT
            size = _XY * (end - begin)
            data[at : at + size] = raw[_XY * begin : _XY * end]
            at += size


@compiled
def _put(number: int, at: int, data: NDArray[np.uint8]) -> None:
    for i in range(_COUNT):
        data[at + i] = (number >> (8 * i)) & 255


@compiled
def _get(at: int, data: NDArray[np.uint8]) -> int:
    number = 0
    for i in range(_COUNT):
        number |= int(data[at + i]) << (8 * i)
    return number


@compiled
def _measure(data: NDArray[np.uint8], offsets: NDArray[np.int64], bounds: NDArray[np.float64]) -> None:
    """Geometries are gone through part by part: what a collection holds follows it as geometries of their own."""
    for i in range(len(offsets) - 1):
        bounds[i] = np.nan
        at = offsets[i]
        while at < offsets[i + 1]:
            kind = _get(at + 1, data)
            at += _HEADER
            if kind == _POINT:
                _include(at, 1, data, bounds[i])
                at += _XY
                continue
            parts = _get(at, data)
            at += _COUNT
            if kind == _LINE:
                _include(at, parts, data, bounds[i])
                at += _XY * parts
            elif kind == _POLYGON:
                for ring in range(parts):
                    count = _get(at, data)
                    if ring == 0:
                        _include(at + _COUNT, count, data, bounds[i])
                    at += _COUNT + _XY * count


@compiled
def _include(at: int, count: int, data: NDArray[np.uint8], bounds: NDArray[Any]) -> None:
    raw = np.empty(_XY, dtype=np.uint8)
    xy = raw.view(np.float64)
    for i in range(count):
        raw[:] = data[at + _XY * i : at + _XY * (i + 1)]
        for axis in range(2):
            bounds[axis] = np.fmin(bounds[axis], xy[axis])
            bounds[2 + axis] = np.fmax(bounds[2 + axis], xy[axis])
