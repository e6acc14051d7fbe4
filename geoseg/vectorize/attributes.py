"""What a file of polygons tells of each: the columns, in their order.

`id` (the number of its first pixel, row by row from 1: unique, and the same whatever else is mapped), `code`, `class`
(name), `parent` where the legend has parents (and `parent_2`, ... where these have some), `area_m2` (the areas of its
pixels on the ground; after simplification in proportion to its planar area), `perimeter_m` (the length of its rings on
the ground), `polygons` (how many, if dissolved), what the layers of the strips give, such as `confidence` (null where
nothing is known), `tile_row` and `tile_col` (if split, from 0), `scene` and `date` (if told).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoseg.core.legend import Legend
from geoseg.errors import InputError
from geoseg.vectorize.part import Figures
from geoseg.vectorize.sweep import HIGHEST, KNOWN, LOWEST, SQUARES, SUM

_SLACK = 1e-6  # of a probability: what rounding to float32 leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """The columns that a layer of numbers gives: name and statistic over the pixels of an area where it is known.

    `probability` = its numbers must be 0 to 1.
    """

    columns: Mapping[str, Literal["mean", "min", "max", "std"]]
    probability: bool = False


CONFIDENCE = Measure(columns={"confidence": "mean", "confidence_min": "min"}, probability=True)
"""The probability of the mapped class."""

ENTROPY = Measure(columns={"entropy": "mean"}, probability=True)
"""Of the probabilities of all classes, from 0 to 1."""

MARGIN = Measure(columns={"margin": "mean"}, probability=True)
"""Between the probabilities of the two most probable classes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeOptions:
    """What to tell besides class and size.

    `measures` are those of the layers of the strips, in their order. `scene` and `date` are columns of one value; None
    = no such column.
    """

    measures: tuple[Measure, ...] = ()
    scene: str | None = None
    date: str | None = None


class Attributes:
    """Makes the columns of areas with labels on a grid of so many columns.

    `codes` are the codes of labels. `tile` is the shape of the tiles that the map is cut into, in pixels, None = it is
    not; `dissolved` = areas are of several polygons.
    """

    def __init__(
        self,
        legend: Legend,
        codes: NDArray[np.int32],
        options: AttributeOptions,
        *,
        width: int,
        tile: tuple[int, int] | None = None,
        dissolved: bool = False,
    ) -> None:
        self._options = options
        self._codes = codes
        self._width = width
        self._tile = tile
        self._dissolved = dissolved
        parents = {c.name: c.parent for c in legend}
        names = {c.code: _line(c.name, parents) for c in legend}
        self._ranks = max(map(len, names.values()))
        self._names = np.full((len(codes), self._ranks), None, dtype=object)
        for label, code in enumerate(codes.tolist()):
            self._names[label, : len(names.get(code, ()))] = names.get(code, ())

    @property
    def fields(self) -> pa.Schema:
        """Names and types.

        Raises:
            InputError: for two columns of one name.
        """
        fields = [
            pa.field("id", pa.int64(), nullable=False),
            pa.field("code", pa.int32(), nullable=False),
            pa.field("class", pa.string(), nullable=False),
            *(pa.field(_parent(rank), pa.string()) for rank in range(1, self._ranks)),
            pa.field("area_m2", pa.float64(), nullable=False),
            pa.field("perimeter_m", pa.float64(), nullable=False),
        ]
        fields += [pa.field("polygons", pa.int64(), nullable=False)] if self._dissolved else []
        fields += [pa.field(name, pa.float32()) for measure in self._options.measures for name in measure.columns]
        if self._tile is not None:
            fields += [pa.field(name, pa.int32(), nullable=False) for name in ("tile_row", "tile_col")]
        fields += [pa.field(name, pa.string(), nullable=False) for name, _ in self._constants()]
        names = [field.name for field in fields]
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise InputError(f"two columns are called {', '.join(sorted(twice))}; give other names")
        return pa.schema(fields)

    def columns(self, figures: Figures) -> dict[str, Any]:
        """The columns by name.

        Raises:
            InputError: for probabilities outside of 0 to 1.
        """
        row, col = figures.first_pixels.T
        columns: dict[str, Any] = {
            "id": row * self._width + col + 1,
            "code": self._codes[figures.labels],
            "class": self._names[figures.labels, 0],
            "area_m2": figures.area_m2,
            "perimeter_m": figures.perimeter_m,
            "polygons": figures.polygons,
        }
        columns |= {_parent(rank): self._names[figures.labels, rank] for rank in range(1, self._ranks)}
        for layer, measure in enumerate(self._options.measures):
            stats = figures.stats[:, layer]
            for name, statistic in measure.columns.items():
                values = _statistic(stats, statistic)
                if measure.probability:
                    _check_probabilities(name, values)
                columns[name] = pa.array(values.astype(np.float32), from_pandas=True)  # NaN to null
        if self._tile is not None:
            columns |= {"tile_row": row // self._tile[0], "tile_col": col // self._tile[1]}
        return columns | {name: [value] * len(figures) for name, value in self._constants()}

    def _constants(self) -> list[tuple[str, str]]:
        values = {"scene": self._options.scene, "date": self._options.date}
        return [(name, value) for name, value in values.items() if value is not None]


def _line(name: str, parents: Mapping[str, str | None]) -> tuple[str, ...]:
    """The names of a class, its parent, the parent's parent, ..."""
    line = [name]
    while (parent := parents.get(line[-1])) and parent not in line:
        line.append(parent)
    return tuple(line)


def _parent(rank: int) -> str:
    return "parent" if rank == 1 else f"parent_{rank}"


def _statistic(stats: NDArray[np.float64], kind: str) -> NDArray[np.float64]:
    """A statistic of a layer by area; NaN where the layer is known nowhere in it."""
    with np.errstate(invalid="ignore"):  # 0 / 0
        mean = stats[:, SUM] / stats[:, KNOWN]
        values = {
            "mean": mean,
            "min": stats[:, LOWEST],
            "max": stats[:, HIGHEST],
            "std": np.sqrt(np.maximum(stats[:, SQUARES] / stats[:, KNOWN] - mean**2, 0)),
        }[kind]
    return np.where(stats[:, KNOWN] > 0, values, np.nan)


def _check_probabilities(name: str, values: NDArray[np.float64]) -> None:
    if (values < 0).any() or (values > 1 + _SLACK).any():
        worst = np.nanmax(np.abs(values))
        raise InputError(f"the {name} of a polygon is {worst:g}; needed are probabilities of 0 to 1")
