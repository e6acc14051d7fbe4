"""The verdict: what an evaluation says, in a few plain sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from geoseg.evaluation.evaluation import Evaluation
from geoseg.views.evaluation.numbers import percent, score, span


def verdict(evaluation: Evaluation) -> Iterator[str]:
    """Sentences: overall, best and worst class, calibration, worst group, what is unsure."""
    yield _overall(evaluation)
    yield from _classes(evaluation)
    yield from _calibration(evaluation)
    for grouping in evaluation.groupings:
        spread = grouping.spread()
        if spread is not None:
            yield (
                f"By {grouping.by}, mean IoU goes from {score(spread.worst_value)} ({spread.worst}, the worst) to "
                f"{score(spread.best_value)} ({spread.best})."
            )
    yield _unsure(evaluation)


def _overall(evaluation: Evaluation) -> str:
    found = evaluation.total.overall
    intervals = {} if evaluation.intervals is None else evaluation.intervals.overall
    accuracy = intervals.get("accuracy")
    between = "" if accuracy is None else f" (between {percent(accuracy[0])} and {percent(accuracy[1])})"
    iou = f"{score(found['mean_iou'])} {span(intervals.get('mean_iou'))}".strip()
    pixels = evaluation.total.confusion.pixels
    return f"Map and reference agree on {percent(found['accuracy'])}{between} of {pixels:,} pixels; mean IoU is {iou}."


def _classes(evaluation: Evaluation) -> Iterator[str]:
    """Of the classes that occur in the reference."""
    total, names = evaluation.total, evaluation.names
    scores, support = total.by_class, total.confusion.support
    there = [i for i in range(len(names)) if support[i] and math.isfinite(scores["iou"][i])]
    if len(there) < 2:
        return
    best, worst = (pick(there, key=lambda i: float(scores["iou"][i])) for pick in (max, min))
    row = total.confusion.counts[worst].copy()
    row[worst] = 0
    taken = int(np.argmax(row))
    most = f", and most of the rest is mapped as {names[taken]}" if row[taken] else ""
    yield (
        f"The best class is {names[best]} (IoU {score(scores['iou'][best])}), the worst is {names[worst]} "
        f"(IoU {score(scores['iou'][worst])}): {percent(scores['recall'][worst])} of it is found{most}; "
        f"{percent(scores['precision'][worst])} of what the map calls so is right."
    )


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    found = evaluation.total.overall
    if not math.isfinite(found.get("ece", math.nan)):
        return
    how = "more" if found["overconfidence"] > 0 else "less"
    yield (
        f"Confidence is off by {score(found['ece'])} on average (ECE); on the whole the map is {how} sure than right, "
        f"by {score(abs(found['overconfidence']))}."
    )


def _unsure(evaluation: Evaluation) -> str:
    known = evaluation.intervals
    if known is None:
        return "There are no confidence intervals: how far these numbers would move on other ground is unknown."
    level = f"Intervals are of {100 * known.confidence:g} %, from {known.blocks} blocks"
    return f"{level}; they are unsure: {known.unsure}." if known.unsure else f"{level}."
