"""The classes of a legend as STAC tells them."""

from __future__ import annotations

import re
from typing import Any

from geoseg.core.legend import Legend


def classification(legend: Legend) -> list[dict[str, Any]]:
    """The `classification:classes` of STAC (classification extension v2.0): one dict a class, in the legend's order."""
    names = [re.sub(r"[^0-9a-z]+", "-", c.name.lower()).strip("-") for c in legend]
    return [
        {
            "value": c.code,
            "name": name if name and names.count(name) == 1 else f"{name or 'class'}-{c.code}",
            "title": c.name,
            "description": f"{c.name} (part of {c.parent})" if c.parent else c.name,
            "color_hint": c.colour[1:].upper(),
        }
        for c, name in zip(legend, names, strict=True)
    ]
