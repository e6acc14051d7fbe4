"""Charts as inline SVG, each with a text for those who cannot see it."""

from __future__ import annotations

import math
from collections.abc import Iterator

from geoseg.evaluation.intervals import Interval
from geoseg.evaluation.reliability import Reliability
from geoseg.views.evaluation.markup import Html, element, tag

_BAR, _THICK = 200.0, 16.0
_SIDE, _LEFT, _BOTTOM = 300.0, 44.0, 44.0
_INK, _LIGHT, _BLUE, _RED = "#1b1b1f", "#c9ced6", "#1f5fa8", "#b3003c"


def bar(value: float, interval: Interval | None, colour: str, alt: str) -> Html:
    """A bar of 0 to 1 with a whisker over its interval."""
    parts = [_rect(0, 2, _BAR, _THICK - 4, "#eef0f3")]
    if math.isfinite(value):
        parts.append(_rect(0, 2, value * _BAR, _THICK - 4, colour))
        parts.append(_line(value * _BAR, 2, value * _BAR, _THICK - 2, _INK, 1))
    if interval is not None:
        low, high = (end * _BAR for end in interval)
        middle = _THICK / 2
        parts += [
            _line(low, middle, high, middle, _INK, 1.5),
            *(_line(x, 4, x, _THICK - 4, _INK, 1.5) for x in (low, high)),
        ]
    return _svg(_BAR, _THICK, "bar", alt, parts)


def reliability_curve(found: Reliability) -> Html:
    """Share of right pixels over confidence, a dot for each bin whose size follows its pixels, and the diagonal."""
    ece = f"Reliability curve: expected calibration error {found.ece:.3f}"
    parts = [*_axes(), _line(*_place(0, 0), *_place(1, 1), _LIGHT, 2)]
    known = [
        (confidence, accuracy, pixels)
        for confidence, accuracy, pixels in zip(found.confidence, found.accuracy, found.pixels.tolist(), strict=True)
        if pixels
    ]
    points = " ".join(f"{_px(x)},{_px(y)}" for x, y in (_place(c, a) for c, a, _ in known))
    parts.append(element("polyline", {"points": points, "fill": "none", "stroke": _BLUE, "stroke-width": 1.5}))
    total = sum(pixels for *_, pixels in known)
    for confidence, accuracy, pixels in known:
        x, y = _place(confidence, accuracy)
        radius = 3 + 12 * math.sqrt(pixels / total)
        note = f"confidence {confidence:.3f}, right {accuracy:.3f}, {pixels:,} pixels"
        circle: dict[str, str | float] = {
            "cx": _px(x),
            "cy": _px(y),
            "r": _px(radius),
            "fill": _BLUE,
            "fill-opacity": 0.55,
            "stroke": _BLUE,
        }
        parts.append(element("circle", circle, tag("title", note)))
    return _svg(_LEFT + _SIDE + 16, _SIDE + _BOTTOM + 16, "curve", ece, parts)


def _axes() -> Iterator[Html]:
    """Frame, ticks and names of a unit square."""
    for tick in (0, 0.25, 0.5, 0.75, 1):
        x, y = _place(tick, tick)
        bottom, left = _place(0, 0)[1], _place(0, 0)[0]
        yield _line(x, bottom, x, bottom - _SIDE, "#eef0f3", 1)
        yield _line(left, y, left + _SIDE, y, "#eef0f3", 1)
        yield _text(x, bottom + 16, f"{tick:g}", "middle")
        yield _text(left - 6, y + 4, f"{tick:g}", "end")
    middle = _place(0.5, 0.5)
    yield _text(middle[0], _SIDE + _BOTTOM + 6, "confidence of the map", "middle")
    attributes: dict[str, str | float] = {
        "transform": f"translate(12 {_px(middle[1])}) rotate(-90)",
        "text-anchor": "middle",
        "font-size": 13,
    }
    yield element("text", attributes, "share that is right")


def _place(x: float, y: float) -> tuple[float, float]:
    return _LEFT + x * _SIDE, 8 + (1 - y) * _SIDE


def _svg(width: float, height: float, kind: str, alt: str, parts: list[Html]) -> Html:
    attributes = {"class": kind, "viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": alt}
    return element("svg", attributes, *parts)


def _rect(x: float, y: float, width: float, height: float, fill: str) -> Html:
    return element("rect", {"x": _px(x), "y": _px(y), "width": _px(width), "height": _px(height), "fill": fill})


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, width: float) -> Html:
    ends = {"x1": _px(x1), "y1": _px(y1), "x2": _px(x2), "y2": _px(y2)}
    return element("line", {**ends, "stroke": colour, "stroke-width": width})


def _text(x: float, y: float, content: str, anchor: str) -> Html:
    return element("text", {"x": _px(x), "y": _px(y), "text-anchor": anchor, "font-size": 12}, content)


def _px(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
