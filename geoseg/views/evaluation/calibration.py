"""Whether probabilities come true."""

from __future__ import annotations

from geoseg.evaluation.evaluation import Evaluation
from geoseg.views.evaluation.charts import reliability_curve
from geoseg.views.evaluation.markup import Html, details, number, of_class, table, tag
from geoseg.views.evaluation.numbers import score


def calibration_section(evaluation: Evaluation) -> Html:
    """The reliability curve and its numbers; empty without probabilities."""
    found = evaluation.total.reliability
    if found is None or not found.pixels.any():
        return Html("")
    bins = len(found.pixels)
    rows = [
        (f"{i / bins:.2f} to {(i + 1) / bins:.2f}", *(number(cell) for cell in cells))
        for i, cells in enumerate(
            zip(
                (f"{n:,}" for n in found.pixels.tolist()),
                map(score, found.confidence.tolist()),
                map(score, found.accuracy.tolist()),
                strict=True,
            )
        )
    ]
    text = (
        f"Expected calibration error {score(found.ece)}. Dots on the diagonal: what the map says with 80 % confidence "
        "is right in 80 %. Below it the map is too sure of itself. Dots grow with the pixels they stand for."
    )
    numbers = table(("confidence", "pixels", "mean confidence", "right"), rows, "Bins of confidence")
    return tag(
        "section",
        tag("h2", "Calibration"),
        of_class("div", "beside", reliability_curve(found), tag("div", tag("p", text), details("Numbers", numbers))),
    )
