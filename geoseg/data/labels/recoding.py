"""What the values of a source mean in the legend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import UNLABELLED, Legend
from geoseg.data.labels.options import LabelSource, value_text
from geoseg.errors import InputError

_LISTED = 12  # unknown values that a message names


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Recoding:
    """Class index of each known value, as text; 255 = unlabelled ground. With `rest`, others say nothing."""

    path: Path
    legend: Legend
    indices: Mapping[str, int]
    mapped: bool
    rest: bool

    def numbers(self) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Known numbers in rising order, and the class index of each.

        Raises:
            InputError: a known value is no number.
        """
        wrong = [text for text in self.indices if not _is_number(text)]
        if wrong:
            raise InputError(f"{self.path}: a raster holds numbers, `classes` or `ignore` name {', '.join(wrong)}")
        table = sorted((float(text), index) for text, index in self.indices.items())
        return np.array([n for n, _ in table]), np.array([i for _, i in table], dtype=np.uint8)

    def unknown_codes(self, codes: Iterable[Any]) -> InputError:
        """The error for numbers of a raster that nothing says anything about."""
        known = ", ".join(map(str, self.legend.codes))
        found = _listing(map(value_text, codes))
        return InputError(f"{self.path}: found the codes {found}, the legend has {known}; {self._advice('recode')}")

    def unknown_values(self, column: str, values: Iterable[str]) -> InputError:
        """The error for values of a column that nothing says anything about."""
        known = ", ".join(f"{c.code} {c.name}" for c in self.legend)
        found = _listing(values)
        return InputError(
            f"{self.path}: column {column!r} holds {found}, the legend has {known}; {self._advice('rename')}"
        )

    def _advice(self, verb: str) -> str:
        if self.mapped:
            return "map them in `classes`, or list them under `ignore`"
        return f"add the missing classes, map them in `classes`, or {verb} the labels"


def recoding(source: LabelSource, legend: Legend, *, names: bool) -> Recoding:
    """What the values of a source mean; without a mapping, the legend's codes and, with `names`, its class names."""
    index = {c.name: i for i, c in enumerate(legend)}
    if source.classes is not None:
        indices = {value: index[name] for value, name in source.mapped.items()}
    else:
        indices = (index if names else {}) | {str(c.code): i for i, c in enumerate(legend)}
    indices |= {value_text(value): UNLABELLED for value in source.ignored}
    return Recoding(
        path=source.path,
        legend=legend,
        indices=indices,
        mapped=source.classes is not None,
        rest=source.ignore == "rest",
    )


def check_class_names(sources: Iterable[LabelSource], legend: Legend) -> None:
    """Refuse names of classes that the legend does not have, all at once.

    Raises:
        InputError: see above.
    """
    known = {c.name for c in legend}
    named = {f"{name!r} ({s.path.name})": None for s in sources for name in s.named_classes if name not in known}
    if named:
        raise InputError(f"labels: found the classes {', '.join(named)}, the legend has {', '.join(sorted(known))}")


def _listing(values: Iterable[str]) -> str:
    found = list(values)
    more = f" and {len(found) - _LISTED} more" if len(found) > _LISTED else ""
    return ", ".join(found[:_LISTED]) + more


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
