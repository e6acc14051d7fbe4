"""Features in the order of a Hilbert curve, so that what lies together on the ground lies together in the file.

Sorted on the disk: all are spooled there first, then dealt into buckets along the curve, which fit into memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import ipc

from geoseg.core.compiled import compiled

BBOX = "bbox"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
NOWHERE = np.array([np.inf, np.inf, -np.inf, -np.inf])
"""The extent of nothing."""

_ORDER = 16  # bits of either coordinate
_CELL_BITS = 12  # of the code: so many cells, whose features are counted to cut the curve into buckets
_BUCKET_BYTES = 2**25
_MOST_BUCKETS = 256  # files open at once
_SPOOLED = ipc.IpcWriteOptions(compression="lz4")


def hilbert_codes(boxes: NDArray[np.float64], extent: NDArray[np.float64]) -> NDArray[np.uint32]:
    """How far along a Hilbert curve through the extent the centres of boxes lie, shape (box,).

    Args:
        boxes: xmin, ymin, xmax, ymax, shape (box, 4); NaN where a geometry is empty.
        extent: the same of all of them, shape (4,).
    """
    size = np.maximum(extent[2:] - extent[:2], np.finfo(np.float64).tiny)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    steps = np.nan_to_num((centres - extent[:2]) / size) * (2**_ORDER - 1)
    codes = np.empty(len(boxes), dtype=np.uint32)
    _walk(np.clip(steps, 0, 2**_ORDER - 1).astype(np.int64), codes)
    return codes


def sorted_by_place(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, folder: Path, *, bucket_bytes: int = _BUCKET_BYTES
) -> Iterator[pa.Table]:
    """All features along a Hilbert curve through their common extent, some at a time; equal ones stay in their order.

    Memory follows a bucket: `bucket_bytes`, or where that would be more than 256 buckets, their 256th part.

    Args:
        batches: with a column `bbox`, a struct of xmin, ymin, xmax, ymax.
        schema: of the batches.
        folder: for what is not sorted yet: as much as the features take without compression.
        bucket_bytes: see above.
    """
    spool = folder / "unsorted.arrow"
    extent = NOWHERE
    with ipc.new_file(spool, schema, options=_SPOOLED) as writer:
        for batch in batches:
            extent = enlarged(extent, boxes_of(batch))
            writer.write_batch(batch)
    bucket_of = _deal(spool, extent, bucket_bytes)
    for bucket in _split(spool, extent, bucket_of):
        with ipc.open_file(bucket) as reader:
            table = reader.read_all()
        bucket.unlink()
        yield table.take(pa.array(np.argsort(hilbert_codes(boxes_of(table), extent), kind="stable")))


def enlarged(extent: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The extent, xmin, ymin, xmax, ymax, that encloses boxes, too."""
    every = np.vstack([extent, boxes])
    return np.concatenate([np.fmin.reduce(every[:, :2]), np.fmax.reduce(every[:, 2:])])


def boxes_of(features: pa.RecordBatch | pa.Table) -> NDArray[np.float64]:
    """The column `bbox` as an array, shape (feature, 4)."""
    column = features.column(BBOX)
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    return np.column_stack([column.field(corner).to_numpy() for corner in CORNERS])


def _deal(spool: Path, extent: NDArray[np.float64], bucket_bytes: int) -> NDArray[np.int64]:
    """The bucket of every cell of the curve, shape (cell,): buckets follow each other and have about equal sizes."""
    sizes = np.zeros(2**_CELL_BITS)
    for batch in _batches(spool):
        cells = _cells(batch, extent)
        sizes += np.bincount(cells, minlength=len(sizes)) * (batch.nbytes / max(len(cells), 1))
    before = np.cumsum(sizes) - sizes
    buckets: NDArray[np.int64] = (before // max(bucket_bytes, sizes.sum() / _MOST_BUCKETS)).astype(np.int64)
    return buckets


def _split(spool: Path, extent: NDArray[np.float64], bucket_of: NDArray[np.int64]) -> list[Path]:
    """Files of the features of each bucket, in the order of the curve; the spool is gone afterwards."""
    if bucket_of[-1] == 0:
        return [spool]
    names = {number: spool.with_name(f"bucket-{number}.arrow") for number in np.unique(bucket_of).tolist()}
    with ExitStack() as stack:
        writers: dict[int, ipc.RecordBatchFileWriter] = {}
        for batch in _batches(spool):
            numbers = bucket_of[_cells(batch, extent)]
            for number in np.unique(numbers).tolist():
                if number not in writers:
                    new = ipc.new_file(names[number], batch.schema, options=_SPOOLED)
                    writers[number] = stack.enter_context(new)
                writers[number].write_batch(batch.filter(pa.array(numbers == number)))
    spool.unlink()
    return [names[number] for number in sorted(writers)]


def _batches(spool: Path) -> Iterator[pa.RecordBatch]:
    with ipc.open_file(spool) as reader:
        for i in range(reader.num_record_batches):
            yield reader.get_batch(i)


def _cells(batch: pa.RecordBatch, extent: NDArray[np.float64]) -> NDArray[np.int64]:
    return (hilbert_codes(boxes_of(batch), extent) >> (2 * _ORDER - _CELL_BITS)).astype(np.int64)


@compiled
def _walk(points: NDArray[np.int64], codes: NDArray[np.uint32]) -> None:
    """Go down the quadrants of the curve, turning the point so that each looks like the first.

    Hamilton and Rau-Chaplin 2008, doi:10.1016/j.ipl.2007.08.034, for two dimensions.
    """
    for i in range(len(points)):
        x, y = points[i]
        code = 0
        for bit in range(_ORDER - 1, -1, -1):
            right, up = (x >> bit) & 1, (y >> bit) & 1
            code = (code << 2) | ((3 * right) ^ up)
            if not up:
                if right:
                    x, y = (1 << bit) - 1 - (x & ((1 << bit) - 1)), (1 << bit) - 1 - (y & ((1 << bit) - 1))
                x, y = y, x
        codes[i] = code
