"""Legends of maps: from the map itself, a YAML file, a config, or a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from geoseg.core.legend import LandClass, Legend
from geoseg.errors import InputError
from geoseg.io.legend import read_legend, some_colour
from geoseg.io.yamlfile import read_yaml
from geoseg.models.bundle import load_bundle

_FORM = "give classes as `1: water`, or as a list of code, name and colour, alone or under `classes`"


def legend_of_map(path: Path) -> Legend:
    """The legend that a map carries.

    Raises:
        MissingFileError: no such file.
        InputError: no raster, or one that does not name its classes.
    """
    legend = read_legend(path)
    if legend is None:
        raise InputError(f"{path}: does not name its classes; say what its codes mean with --legend legend.yaml")
    return legend


def legend_from_file(path: Path) -> Legend:
    """The legend in a YAML file (also a training config), or of a bundle.

    Raises:
        MissingFileError: no such file.
        InputError: neither, or a legend that cannot be.
    """
    if path.suffix.lower() == ".geoseg":
        return load_bundle(path).spec.legend
    content = read_yaml(path)
    if isinstance(content, Mapping) and "classes" in content:
        content = content["classes"]
    try:
        return Legend(tuple(_class(entry) for entry in _entries(content)))
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        reason = f"a class has no {error}" if isinstance(error, KeyError) else error
        raise InputError(f"{path}: holds no legend ({reason}); {_FORM}") from error


def refuse_another_legend(legend: Legend, other: Legend, what: str) -> None:
    """Refuse a raster in which a code means another class than in the legend of the map.

    Raises:
        InputError: naming the codes.
    """
    meant = {c.code: c.name for c in legend}
    differing = [f"{c.code} {c.name} (not {meant[c.code]})" for c in other if meant.get(c.code, c.name) != c.name]
    if differing:
        raise InputError(
            f"{what}: has another legend than the map: {', '.join(differing)}; map its codes to the map's classes, "
            "as in `classes: {water: [1, 2]}` of a labels file"
        )


def _entries(content: Any) -> list[Any]:  # noqa: ANN401
    if isinstance(content, Mapping):
        return [{"code": code, "name": name} for code, name in content.items()]
    if isinstance(content, list) and content:
        return content
    msg = f"found {'nothing' if not content else type(content).__name__}"
    raise TypeError(msg)


def _class(entry: Any) -> LandClass:  # noqa: ANN401
    code = int(entry["code"])
    return LandClass(
        code=code, name=str(entry["name"]), colour=entry.get("colour") or some_colour(code), parent=entry.get("parent")
    )
