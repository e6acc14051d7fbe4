"""The scores: over all classes, and of each."""

from __future__ import annotations

from geoseg.evaluation.evaluation import Evaluation
from geoseg.evaluation.intervals import Interval
from geoseg.views.evaluation.charts import bar
from geoseg.views.evaluation.markup import Html, named, number, of_class, table, tag
from geoseg.views.evaluation.numbers import score, span

_OVERALL = {
    "accuracy": ("accuracy", "share of pixels whose class is right"),
    "mean_iou": ("mean IoU", "intersection over union, each class with equal weight"),
    "frequency_weighted_iou": ("frequency-weighted IoU", "classes weigh by their pixels"),
    "mean_f1": ("mean F1", "the same order as IoU, with higher numbers"),
    "kappa": ("kappa", "agreement beyond chance"),
    "boundary_f1": ("boundary F1", "how much of the borders is drawn where it should be"),
    "boundary_iou": ("boundary IoU", "overlap of the bands along the borders"),
    "ece": ("calibration error (ECE)", "mean gap between confidence and truth"),
}
_BY_CLASS = {
    "f1": "F1",
    "precision": "precision",
    "recall": "recall",
    "boundary_f1": "boundary F1",
    "boundary_iou": "boundary IoU",
}


def overall_section(evaluation: Evaluation) -> Html:
    """Every score over all classes with its interval and what it is."""
    found = evaluation.total.overall
    intervals = {} if evaluation.intervals is None else evaluation.intervals.overall
    rows = [
        (name, _number(found[key], intervals.get(key)), meaning)
        for key, (name, meaning) in _OVERALL.items()
        if key in found
    ]
    parts = [table(("score", "value", "meaning"), rows, "Scores over all classes")]
    if evaluation.tolerance_m is not None:
        parts.append(of_class("p", "small", f"Borders count as met within {evaluation.tolerance_m:g} m."))
    return tag("section", tag("h2", "Scores"), *parts)


def classes_section(evaluation: Evaluation) -> Html:
    """A row for each class, with its IoU as a bar."""
    total, legend = evaluation.total, evaluation.legend
    scores, support = total.by_class, total.confusion.support.tolist()
    shown = [key for key in _BY_CLASS if key in scores]
    rows = []
    for i, land_class in enumerate(legend):
        interval = _interval(evaluation, "iou", i)
        iou = float(scores["iou"][i])
        alt = f"IoU of {land_class.name}: {score(iou)} {span(interval)}"
        cells = [_number(float(scores[key][i]), _interval(evaluation, key, i)) for key in shown]
        name = named(land_class.colour, land_class.name)
        count = number(f"{support[i]:,}")
        rows.append((name, count, bar(iou, interval, land_class.colour, alt), _number(iou, interval), *cells))
    head = ("class", "labelled pixels", "", "IoU", *(_BY_CLASS[key] for key in shown))
    return tag("section", tag("h2", "Classes"), table(head, rows, "Scores of each class, with intervals in brackets"))


def _interval(evaluation: Evaluation, key: str, index: int) -> Interval | None:
    if evaluation.intervals is None or key not in evaluation.intervals.by_class:
        return None
    return evaluation.intervals.by_class[key][index]


def _number(value: float, interval: Interval | None) -> Html:
    between = span(interval)
    parts = [score(value), *([" ", of_class("span", "between", between)] if between else [])]
    return number(*parts)
