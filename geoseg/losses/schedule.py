"""How much a loss weighs while the training goes on."""

from __future__ import annotations

from typing import TypeAlias

from pydantic.dataclasses import dataclass

from geoseg.data.options import STRICT, NotNegative, ShareRange


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Schedule:
    """A weight that moves in a straight line from `start` to `end` and stays there."""

    start: NotNegative
    end: NotNegative
    within: ShareRange = (0.0, 1.0)
    """From, to: the share of the training's steps after which it begins to move, and after which it has arrived."""


Weight: TypeAlias = NotNegative | Schedule
"""A number for the whole training, or a schedule."""


def weight_at(weight: Weight, progress: float) -> float:
    """The weight after a share of the training's steps, from 0 to 1."""
    if not isinstance(weight, Schedule):
        return weight
    first, last = weight.within
    if progress >= last:
        return weight.end
    if progress <= first:
        return weight.start
    return weight.start + (weight.end - weight.start) * (progress - first) / (last - first)


def largest(weight: Weight) -> float:
    """The most that a weight comes to."""
    return max(weight.start, weight.end) if isinstance(weight, Schedule) else weight
