"""The options of labels: the `labels` of a scene in a config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeAlias

import numpy as np
from pydantic import BeforeValidator, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass

from geoseg.data.options import STRICT, LocalPath

Value: TypeAlias = int | float | str
"""A class in a source: a number in a raster, a number or text in an attribute."""
Metres: TypeAlias = Annotated[float, Field(gt=0, allow_inf_nan=False)]


def _listed(value: Any) -> Any:  # noqa: ANN401
    return [value] if isinstance(value, (int, float, str)) else value


Values: TypeAlias = Annotated[tuple[Value, ...], BeforeValidator(_listed)]


def value_text(value: object) -> str:
    """A value of a source as text, by which values are compared: 21, 21.0 and "21" are one; None and NaN "missing"."""
    if isinstance(value, (int, float, np.number)):
        number = float(value)
        return "missing" if number != number else str(int(number)) if number.is_integer() else str(number)  # noqa: PLR0124
    return "missing" if value is None else str(value)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class LabelSource:
    """Where labels come from: a raster of codes, a layer of features with a class each, or class probabilities."""

    path: LocalPath
    """A raster, or a vector file: GeoPackage, FlatGeobuf, GeoParquet, GeoJSON, Shapefile, ... in any CRS."""
    column: str | None = None
    """The attribute that holds the class; needed for vector files."""
    layer: str | None = None
    """The layer of a vector file, where several have the column."""
    classes: dict[str, Values] | None = None
    """For each class of the legend, the values of the source that mean it; null = the legend's own codes (in
    attributes also its names). A value may be any whole number, or text; a missing attribute is called "missing"."""
    ignore: Values | Literal["rest"] = ()
    """Values that become unlabelled ground; or "rest": all that are not mapped say nothing, as if not there."""
    buffer_m: Metres | dict[str, Metres] | None = None
    """Half the width in m of lines, and the radius of points, or one for each class. It is at least half a pixel's
    diagonal, so that none falls between the pixels' centres."""
    priority: tuple[str, ...] = ()
    """Classes, the first of which wins where features overlap; all others come after them, later features over earlier
    ones."""
    boundary_m: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Pixels become unlabelled whose centre is closer than this, in m, to an edge between pixels of two classes. Of
    features, the edge to unlabelled ground counts, too."""
    probabilities: bool = False
    """The raster has one band a class with probabilities of 0 to 1: bands named after classes, or as many bands as
    classes in the legend's order. Classes without a band have 0."""
    annotator: str = ""
    """Who made the labels; sources of one annotator are one opinion."""

    @model_validator(mode="after")
    def _fit_each_other(self) -> Self:
        twice = _repeated([value_text(v) for vs in (self.classes or {}).values() for v in vs])
        both = sorted({value_text(v) for v in self.ignored} & set(self.mapped))
        if twice or both:
            msg = f"each value can mean one thing only; found {', '.join(twice + both)} twice"
            raise ValueError(msg)
        vector = {"column": self.column, "layer": self.layer, "buffer_m": self.buffer_m, "priority": self.priority}
        if self.probabilities:
            unfit = [n for n, v in (vector | {"classes": self.classes, "ignore": self.ignore}).items() if v]
            if unfit:
                msg = f"probabilities are of bands named after classes; leave out {', '.join(unfit)}"
                raise ValueError(msg)
        return self

    @property
    def mapped(self) -> dict[str, str]:
        """Class name of each mapped value, as text."""
        return {value_text(value): name for name, values in (self.classes or {}).items() for value in values}

    @property
    def ignored(self) -> tuple[Value, ...]:
        """The values that are listed as unlabelled."""
        return () if self.ignore == "rest" else tuple(self.ignore)

    @property
    def named_classes(self) -> tuple[str, ...]:
        """Every class name that the options mention."""
        buffered = tuple(self.buffer_m) if isinstance(self.buffer_m, Mapping) else ()
        return tuple(dict.fromkeys((*(self.classes or {}), *self.priority, *buffered)))


def _repeated(values: list[str]) -> list[str]:
    return sorted({value for value in values if values.count(value) > 1})


def _as_source(value: Any) -> Any:  # noqa: ANN401
    return {"path": value} if isinstance(value, (str, Path)) else value


SourceField: TypeAlias = Annotated[LabelSource, BeforeValidator(_as_source, json_schema_input_type=str | LabelSource)]


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class LabelOptions:
    """All labels of a scene."""

    sources: Annotated[tuple[SourceField, ...], Field(min_length=1)]
    """Where labels come from; of one annotator, later sources cover earlier ones wherever they are labelled."""
    aoi: LocalPath | None = None
    """A vector file of polygons outside of which all is unlabelled."""
    background: str | None = None
    """The class of ground that no source says anything about, inside of `aoi`. What a source ignores (values under
    `ignore`, the band along boundaries) stays unlabelled, as does what annotators disagree on."""
    consensus: Literal["majority", "unanimous", "shares"] = "majority"
    """What several annotators agree on: the class that most of those chose who labelled a pixel (ties are unlabelled);
    the class that all of them chose; or shares of classes, as soft labels."""


def _as_options(value: Any) -> Any:  # noqa: ANN401
    if isinstance(value, (list, tuple)):
        return {"sources": value}
    if isinstance(value, (str, Path, LabelSource)) or (isinstance(value, Mapping) and "sources" not in value):
        return {"sources": [value]}
    return value


LabelsField: TypeAlias = Annotated[
    LabelOptions,
    BeforeValidator(_as_options, json_schema_input_type=str | LabelSource | list[str | LabelSource] | LabelOptions),
]
"""Label options that may also be given as a path, as one source, or as a list of them."""

_ADAPTER: TypeAdapter[LabelOptions] = TypeAdapter(LabelsField)


def as_label_options(value: object, folder: Path | None = None) -> LabelOptions:
    """Label options from a path, a source, a list of them, or a mapping of all options.

    Args:
        value: as in a config's `labels`.
        folder: from which relative paths count; None = the current one.

    Raises:
        pydantic.ValidationError: for what cannot be such options; it is a ValueError.
    """
    return _ADAPTER.validate_python(value, context={"folder": folder})
