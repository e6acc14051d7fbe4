"""Area estimates in words, on one screen."""

from __future__ import annotations

import math
from collections.abc import Iterator

from geoseg.evaluation.areas.design import M2_PER_HA
from geoseg.evaluation.areas.estimates import AreaEstimates, Estimate


def area_lines(estimates: AreaEstimates) -> Iterator[str]:
    """The result for a terminal: areas, accuracies, strata, what is unsure."""
    total = estimates.total_m2 / M2_PER_HA
    yield (
        f"{estimates.points} points in {len(estimates.strata)} strata ({estimates.strata_from}), {total:,.2f} ha; "
        f"{100 * estimates.confidence:g}% intervals"
    )
    width = max(5, *(len(c.name) for c in estimates.classes))
    head = f"{'mapped ha':>16} {'estimated ha':>16} {'±':>14}  user's accuracy      producer's accuracy"
    yield f"  {'class':<{width}} {head}"
    for c in estimates.classes:
        mapped, area, margin = (v / M2_PER_HA for v in (c.mapped_m2, c.area_m2.value, c.area_m2.margin))
        yield (
            f"  {c.name:<{width}} {mapped:>16,.2f} {area:>16,.2f} {number(margin, ',.2f'):>14}  "
            f"{accuracy(c.users):<20}  {accuracy(c.producers)}"
        )
    yield f"overall accuracy {accuracy(estimates.overall)}"
    for note in estimates.notes:
        yield f"note: {note}"


def accuracy(estimate: Estimate) -> str:
    """A share with its interval, - where undefined."""
    if not math.isfinite(estimate.value):
        return "-"
    return f"{estimate.value:.3f} [{number(estimate.low, '.3f')}, {number(estimate.high, '.3f')}]"


def number(value: float, form: str) -> str:
    """A number in a form, - where undefined."""
    return format(value, form) if math.isfinite(value) else "-"
