"""An evaluation in words, on one screen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.grouping import Grouping
from geoseg.evaluation.intervals import Interval

_HEADLINES = {
    "mean_iou": "mean IoU",
    "accuracy": "accuracy",
    "mean_f1": "mean F1",
    "frequency_weighted_iou": "frequency-weighted IoU",
    "kappa": "kappa",
}
_BORDERS = {"boundary_f1": "boundary F1", "boundary_iou": "boundary IoU"}


def summary_lines(evaluation: Evaluation) -> Iterator[str]:
    """The result for a terminal: classes, scores with intervals, borders, calibration, groups, what is unsure."""
    total, found = evaluation.total, evaluation.total.overall
    cases = ", ".join(case.name for case in evaluation.cases)
    yield f"{cases}: {total.confusion.pixels:,} labelled px, {evaluation.ground}"
    yield from _classes(evaluation)
    intervals: Mapping[str, Interval] = {} if evaluation.intervals is None else evaluation.intervals.overall
    for score, name in _HEADLINES.items():
        yield f"{name} {_with_interval(found[score], intervals.get(score))}"
    if evaluation.tolerance_m is not None:
        scores = ", ".join(
            f"{name} {_with_interval(found[score], intervals.get(score))}" for score, name in _BORDERS.items()
        )
        yield f"borders within {evaluation.tolerance_m:g} m: {scores}"
    if "ece" in found:
        yield _calibration(found, intervals.get("ece"))
    if evaluation.intervals is not None:
        known = evaluation.intervals
        yield f"[{known.confidence:.0%} intervals: {known.blocks} blocks resampled, {known.unit}]"
    for grouping in evaluation.groupings:
        yield _spread(grouping)
    for note in evaluation.notes:
        yield f"note: {note}"


def _classes(evaluation: Evaluation) -> Iterator[str]:
    scores, support = evaluation.total.by_class, evaluation.total.confusion.support.tolist()
    width = max(map(len, evaluation.names))
    yield f"  {'class':<{width}}     IoU      F1  precision  recall   labelled px"
    for i, name in enumerate(evaluation.names):
        iou, f1, precision, recall = (_text(scores[score][i]) for score in ("iou", "f1", "precision", "recall"))
        yield f"  {name:<{width}}  {iou:>6}  {f1:>6}  {precision:>9}  {recall:>6}  {support[i]:>12,}"


def _calibration(found: Mapping[str, float], interval: Interval | None) -> str:
    surplus = found["overconfidence"]
    how = "more sure than right" if surplus > 0 else "less sure than right"
    return f"calibration error (ECE) {_with_interval(found['ece'], interval)}, on average {abs(surplus):.3f} {how}"


def _spread(grouping: Grouping) -> str:
    count = len(grouping.groups)
    spread = grouping.spread()
    if spread is None:
        return f"by {grouping.by}: {count} groups, too few with enough pixels to compare"
    return (
        f"by {grouping.by}: mean IoU of {spread.groups} groups from {spread.worst_value:.3f} ({spread.worst}, the "
        f"worst) to {spread.best_value:.3f} ({spread.best}), standard deviation {spread.deviation:.3f}"
    )


def _with_interval(value: float, interval: Interval | None) -> str:
    return _text(value) if interval is None else f"{_text(value)} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _text(value: float) -> str:
    return f"{value:.3f}" if math.isfinite(value) else "-"
