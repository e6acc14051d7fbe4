"""Styles of Mapbox and MapLibre for vector tiles: https://maplibre.org/maplibre-style-spec, version 8."""

from __future__ import annotations

from typing import Any

from geoseg.core.legend import Legend

_ELSE = "#888888"


def tile_style(legend: Legend | None, layer: str, url: str, *, points: bool = False) -> dict[str, Any]:
    """A style that shows one layer of vector tiles in the legend's colours, grey where there is none.

    Polygons are coloured by their field `code`, points by `class`. The legend itself stands in the style's metadata.

    Args:
        legend: codes, names and colours.
        layer: the name of the layer in the tiles.
        url: where the tiles are, as in pmtiles://map.pmtiles.
        points: of points instead of polygons.
    """
    colour = _by_class(legend, points=points)
    look: dict[str, Any] = (
        {"type": "circle", "paint": {"circle-color": colour, "circle-radius": 4}}
        if points
        else {"type": "fill", "paint": {"fill-color": colour, "fill-antialias": False}}
    )
    classes = [{"code": c.code, "name": c.name, "colour": c.colour.lower()} for c in legend or ()]
    return {
        "version": 8,
        "name": layer,
        "metadata": {"geoseg:classes": classes},
        "sources": {"geoseg": {"type": "vector", "url": url}},
        "layers": [{"id": layer, "source": "geoseg", "source-layer": layer, **look}],
    }


def _by_class(legend: Legend | None, *, points: bool) -> Any:  # noqa: ANN401  (a string or an expression)
    if legend is None:
        return _ELSE
    pairs = [value for c in legend for value in (c.name if points else c.code, c.colour.lower())]
    return ["match", ["get", "class" if points else "code"], *pairs, _ELSE]
