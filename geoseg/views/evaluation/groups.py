"""The same scores apart, for scenes, blocks, states, ..."""

from __future__ import annotations

import math

from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.grouping import ENOUGH_PIXELS, Group, Grouping
from geoseg.views.evaluation.charts import bar
from geoseg.views.evaluation.markup import Html, details, join, number, of_class, table, tag
from geoseg.views.evaluation.numbers import score

_SHOWN = 12
_LISTED = 200  # in all; the rest is in the JSON


def groups_section(evaluation: Evaluation) -> Html:
    """A table for each grouping, the worst groups first; empty without groupings."""
    if not evaluation.groupings:
        return Html("")
    return tag("section", tag("h2", "Groups"), *map(_grouping, evaluation.groupings))


def _grouping(grouping: Grouping) -> Html:
    spread = grouping.spread()
    parts = [tag("h3", f"By {grouping.by}")]
    if spread is None:
        parts.append(tag("p", f"{len(grouping.groups)} groups, too few with enough pixels to compare."))
    else:
        worst = join(("The worst of ", str(spread.groups), " is ", tag("strong", spread.worst)))
        rest = (
            f" (mean IoU {score(spread.worst_value)}), the best is {spread.best} ({score(spread.best_value)}); the "
            f"standard deviation is {score(spread.deviation)}. The worst of many small groups is bad by chance alone."
        )
        parts.append(tag("p", worst, rest))
    ordered = sorted(grouping.groups, key=_order)
    parts.append(_table(ordered[:_SHOWN], f"Groups by {grouping.by}, the worst first"))
    more = ordered[_SHOWN:_LISTED]
    if more:
        parts.append(details(f"{len(more)} more", _table(more, f"Further groups by {grouping.by}")))
    if len(ordered) > _LISTED:
        parts.append(of_class("p", "small", f"{len(ordered) - _LISTED} better ones are in the JSON."))
    return join(parts)


def _order(group: Group) -> tuple[bool, float]:
    """Those with enough pixels first, by mean IoU."""
    iou = group.tally.overall["mean_iou"]
    return group.tally.confusion.pixels < ENOUGH_PIXELS, iou if math.isfinite(iou) else 2.0


def _table(groups: list[Group], caption: str) -> Html:
    rows = []
    for group in groups:
        found, pixels = group.tally.overall, group.tally.confusion.pixels
        iou, accuracy = found["mean_iou"], found["accuracy"]
        few = " (few)" if pixels < ENOUGH_PIXELS else ""
        numbers = [number(cell) for cell in (f"{pixels:,}{few}", score(iou), score(accuracy))]
        chart = bar(iou, None, "#1f5fa8", f"mean IoU of {group.name}: {score(iou)}")
        rows.append((group.name, numbers[0], chart, *numbers[1:]))
    return table(("group", "pixels", "", "mean IoU", "accuracy"), rows, caption)
