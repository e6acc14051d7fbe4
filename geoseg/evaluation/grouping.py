"""One evaluation taken apart: the same counts for every scene, block, state, season, ..."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from geoseg.core.legend import Legend
from geoseg.evaluation.tally import Tally

ENOUGH_PIXELS = 100
"""Groups with fewer counted pixels are listed, but not judged: none of them is called best or worst."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Group:
    """A part of the evaluated ground and what was counted there."""

    name: str
    tally: Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How a score differs between groups: the worst and the best by name, and the standard deviation (n - 1).

    Only groups with `ENOUGH_PIXELS` and a defined score take part, each with equal weight; `groups` counts them.
    """

    score: str
    groups: int
    worst: str
    worst_value: float
    best: str
    best_value: float
    deviation: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Grouping:
    """The evaluated ground in groups `by` something ("scene", "block", a column); they sum to all of it."""

    by: str
    groups: tuple[Group, ...]

    def spread(self, score: str = "mean_iou") -> Spread | None:
        """The spread of a score over all classes (see `Tally.overall`); None with fewer than two groups to judge."""
        judged = [g for g in self.groups if g.tally.confusion.pixels >= ENOUGH_PIXELS]
        values = {g.name: g.tally.overall.get(score, math.nan) for g in judged}
        defined = {name: value for name, value in values.items() if math.isfinite(value)}
        if len(defined) < 2:
            return None
        falls = score in ("ece", "overconfidence")
        worst, best = (pick(defined, key=lambda name: defined[name]) for pick in ((max, min) if falls else (min, max)))
        return Spread(
            score=score,
            groups=len(defined),
            worst=worst,
            worst_value=defined[worst],
            best=best,
            best_value=defined[best],
            deviation=float(np.std(list(defined.values()), ddof=1)),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"by": self.by, "groups": [{"name": g.name, "tally": g.tally.to_dict()} for g in self.groups]}

    @classmethod
    def from_dict(cls, content: Mapping[str, Any], legend: Legend) -> Self:
        """The inverse of `to_dict`."""
        groups = (Group(name=g["name"], tally=Tally.from_dict(g["tally"], legend)) for g in content["groups"])
        return cls(by=content["by"], groups=tuple(groups))
