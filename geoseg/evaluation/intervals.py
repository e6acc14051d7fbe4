"""Confidence intervals of scores, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

Interval: TypeAlias = tuple[float, float]
"""Low and high end."""

ASSUMPTION = (
    "blocks of ground are resampled with replacement, as if they were independent draws from the ground that the map "
    "is for: errors that reach beyond a block, errors of the reference itself, and other ground are not in the interval"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Percentile intervals of the block bootstrap at the level `confidence`, such as 0.95.

    `overall` by score, `by_class` by score and class (None: the class lies in too few blocks). `unit` tells what the
    blocks are, `blocks` how many of them hold counted pixels; `unsure` says why the intervals may be too narrow, empty
    where nothing speaks against them.
    """

    confidence: float
    unit: str
    blocks: int
    replicates: int
    seed: int
    overall: Mapping[str, Interval] = field(default_factory=dict)
    by_class: Mapping[str, tuple[Interval | None, ...]] = field(default_factory=dict)
    unsure: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "confidence": self.confidence,
            "unit": self.unit,
            "blocks": self.blocks,
            "replicates": self.replicates,
            "seed": self.seed,
            "overall": {name: list(pair) for name, pair in self.overall.items()},
            "by_class": {
                name: [None if pair is None else list(pair) for pair in pairs] for name, pairs in self.by_class.items()
            },
            "unsure": self.unsure,
            "assumption": ASSUMPTION,
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Self:
        """The inverse of `to_dict`."""
        by_class = {
            name: tuple(None if pair is None else _interval(pair) for pair in pairs)
            for name, pairs in content["by_class"].items()
        }
        return cls(
            confidence=content["confidence"],
            unit=content["unit"],
            blocks=content["blocks"],
            replicates=content["replicates"],
            seed=content["seed"],
            overall={name: _interval(pair) for name, pair in content["overall"].items()},
            by_class=by_class,
            unsure=content["unsure"],
        )


def _interval(pair: list[float]) -> Interval:
    low, high = pair
    return low, high
