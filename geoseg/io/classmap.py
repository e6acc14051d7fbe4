"""Class rasters of anybody, of any integer type, as labels: 0, 1, 2, ... for the codes that occur in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import Legend
from geoseg.errors import InputError
from geoseg.io.area import Area, inside_of
from geoseg.io.dataset import ONCE_BYTES, Dataset, grid_of, open_raster, reading, to_gdal
from geoseg.io.legend import name_codes

_ROWS, _LOW_ROWS = 512, 32
_MOST_CLASSES = np.iinfo(np.uint16).max
_TABLE = 1 << 24  # codes: a table from the lowest to the highest code is quicker than a search
_BITS = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ClassMap:
    """One band of class codes on its grid; made by `open_class_map`.

    `codes` are those that occur, rising: label i stands for `codes[i]`, shape (label,). `legend` names at least these.
    Pixels are nodata where they equal `nodata`, and, if `masked`, where the file's mask says so.
    """

    path: Path
    band: int
    grid: Grid
    codes: NDArray[np.int32]
    legend: Legend
    nodata: int | None
    masked: bool
    notes: tuple[str, ...] = ()

    @property
    def dtype(self) -> np.dtype[np.unsignedinteger[Any]]:
        """The dtype of labels, uint8 or uint16; its largest number is nodata."""
        return _label_type(len(self.codes))

    def strips(self, rows: int = _LOW_ROWS, area: Area | None = None) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
        """Full-width strips of labels from top to bottom, shape (row, col); nodata also outside of `area`.

        They are read in high strips, so that no block is read twice, and given out in low ones of at most `rows` rows,
        of which less is made at once.
        """
        recode = _Recoding(self.codes, self.dtype)
        for window, numbers, valid in _strips(self.path, self.band, self.nodata, masked=self.masked):
            labels = recode(numbers, valid & inside_of(area, window) if area is not None else valid)
            for row in range(0, len(labels), rows):
                yield labels[row : row + rows]

    def labels_of(self, classes: Iterable[str]) -> NDArray[np.int64]:
        """The labels of classes by name, rising; all of them where none is named.

        Raises:
            InputError: for a name that the legend lacks, or where no code of these classes occurs.
        """
        wanted = set(classes)
        if not wanted:
            return np.arange(len(self.codes))
        lacking = wanted - {c.name for c in self.legend}
        if lacking:
            known = ", ".join(c.name for c in self.legend)
            raise InputError(f"{self.path}: has no class {', '.join(sorted(lacking))}; its classes are {known}")
        labels = np.flatnonzero(np.isin(self.codes, [c.code for c in self.legend if c.name in wanted]))
        if not len(labels):
            raise InputError(f"{self.path}: holds no pixel of {', '.join(sorted(wanted))}; choose classes that occur")
        return labels


def only(
    chosen: NDArray[np.int64], strips: Iterable[NDArray[np.unsignedinteger[Any]]]
) -> Iterator[NDArray[np.unsignedinteger[Any]]]:
    """Strips of labels where all that are not chosen are nodata."""
    for strip in strips:
        nodata = np.iinfo(strip.dtype).max
        table = np.full(int(nodata) + 1, nodata, dtype=strip.dtype)
        table[chosen] = chosen
        yield table[strip]


def open_class_map(path: Path, *, band: int = 1, nodata: int | None = None, legend: Legend | None = None) -> ClassMap:
    """Look through a class raster for the codes that occur.

    Args:
        path: a raster of integers, in any CRS.
        band: which band of it, from 1.
        nodata: a code that is none; None = as the raster says.
        legend: the classes; None = as the raster tells, see `geoseg.io.legend.name_codes`.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster of integers with a CRS and a geotransform, has no such band, has more than
            65,535 classes, or codes that the legend lacks.
    """
    with open_raster(path) as dataset:
        _check_band(dataset, path, band)
        grid = grid_of(dataset)
        masked = MaskFlags.per_dataset in dataset.mask_flag_enums[band - 1]
        told = dataset.nodatavals[band - 1]
    if nodata is None and told is not None and float(told).is_integer():
        nodata = int(told)
    codes = _codes_in(path, band, nodata, masked=masked)
    notes: tuple[str, ...] = ()
    if legend is None:
        named = name_codes(path, band, codes.tolist())
        legend, notes = named.legend, named.notes
    lacking = sorted(set(codes.tolist()) - {c.code for c in legend})
    if lacking:
        some = ", ".join(map(str, lacking[:10])) + (" and more" if len(lacking) > 10 else "")
        raise InputError(f"{path}: holds the codes {some}, which are not in the legend; add these classes to it")
    return ClassMap(
        path=path, band=band, grid=grid, codes=codes, legend=legend, nodata=nodata, masked=masked, notes=notes
    )


def _check_band(dataset: Dataset, path: Path, band: int) -> None:
    if not 1 <= band <= dataset.count:
        raise InputError(f"{path}: has no band {band}; it has {dataset.count}")
    dtype = dataset.dtypes[band - 1]
    if np.dtype(dtype).kind not in "iu":
        raise InputError(
            f"{path}: holds numbers of type {dtype}, needed are class codes, which are integers; where its numbers "
            f"are codes, convert it: gdal_translate -ot Int32 {path.name} codes.tif; else sort them into classes first"
        )


def _codes_in(path: Path, band: int, nodata: int | None, *, masked: bool) -> NDArray[np.int32]:
    """The codes that occur, rising."""
    found = np.empty(0, dtype=np.int64)
    for _, numbers, valid in _strips(path, band, nodata, masked=masked):
        begins = valid.copy()  # of runs of one code in a row: they hold all codes, and are few
        begins[:, 1:] &= (numbers[:, 1:] != numbers[:, :-1]) | ~valid[:, :-1]
        new = np.unique(numbers[begins])
        if new.size and (new[0] < _BITS.min or new[-1] > _BITS.max):
            raise InputError(f"{path}: holds the code {new[-1]}; needed are codes of at most 32 bits")
        found = np.union1d(found, new.astype(np.int64))
        if len(found) > _MOST_CLASSES:
            raise InputError(
                f"{path}: holds more than {_MOST_CLASSES:,} classes; if it is no class raster, sort its numbers into "
                "classes first; if it numbers segments, cut it into parts"
            )
    if not len(found):
        said = "no nodata value is told" if nodata is None else f"nodata is {nodata}"
        raise InputError(f"{path}: holds nothing but nodata ({said}); give the value with --nodata if it is another")
    return found.astype(np.int32)


def _strips(
    path: Path, band: int, nodata: int | None, *, masked: bool
) -> Iterator[tuple[Window, NDArray[np.integer[Any]], NDArray[np.bool_]]]:
    """Full-width strips of one band: the window, its numbers, and True where they are valid; shape (row, col)."""
    with open_raster(path) as dataset:
        for row in range(0, dataset.height, _ROWS):
            window = Window(row=row, col=0, height=min(_ROWS, dataset.height - row), width=dataset.width)
            with reading(str(path), window, cache_bytes=ONCE_BYTES):
                numbers = dataset.read(band, window=to_gdal(window))
                valid = dataset.read_masks(band, window=to_gdal(window)) > 0 if masked else None
            there = np.ones(numbers.shape, dtype=np.bool_) if nodata is None else numbers != nodata
            yield window, numbers, there if valid is None else there & valid


def _label_type(classes: int) -> np.dtype[np.unsignedinteger[Any]]:
    return np.dtype(np.uint8 if classes <= np.iinfo(np.uint8).max else np.uint16)


class _Recoding:
    """Codes to labels, by a table where that is small enough."""

    def __init__(self, codes: NDArray[np.int32], dtype: np.dtype[np.unsignedinteger[Any]]) -> None:
        self._codes = codes
        self._dtype = dtype
        self._lowest = int(codes[0])
        size = int(codes[-1]) - self._lowest + 1
        self._table = np.zeros(size, dtype=dtype) if size <= _TABLE else None
        if self._table is not None:
            self._table[codes.astype(np.int64) - self._lowest] = np.arange(len(codes))

    def __call__(self, numbers: NDArray[np.integer[Any]], valid: NDArray[np.bool_]) -> NDArray[np.unsignedinteger[Any]]:
        labels = np.full(numbers.shape, np.iinfo(self._dtype).max, dtype=self._dtype)
        codes = numbers[valid].astype(np.int64)
        if self._table is None:
            labels[valid] = np.searchsorted(self._codes, codes)
        else:
            labels[valid] = self._table[codes - self._lowest]
        return labels
