"""Numbers as people read them."""

from __future__ import annotations

import math

from geoseg.evaluation.intervals import Interval


def score(value: float) -> str:
    """Three digits, - where undefined."""
    return f"{value:.3f}" if math.isfinite(value) else "-"


def percent(value: float) -> str:
    """A share in percent with as many digits as it needs, - where undefined."""
    if not math.isfinite(value):
        return "-"
    return f"{100 * value:.{0 if value >= 0.1 or value == 0 else 1}f}\N{NO-BREAK SPACE}%"


def span(interval: Interval | None) -> str:
    """An interval in brackets, empty where there is none."""
    return "" if interval is None else f"[{score(interval[0])}, {score(interval[1])}]"


def hectares(square_metres: float) -> str:
    """An area in ha, - where undefined."""
    return f"{square_metres / 1e4:,.2f}" if math.isfinite(square_metres) else "-"
