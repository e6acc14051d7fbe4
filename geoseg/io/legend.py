"""The legend that a class raster tells: names and colours of its codes."""

from __future__ import annotations

import colorsys
import re
from pathlib import Path

from geoseg.core.legend import UNLABELLED, LandClass, Legend
from geoseg.io.dataset import Dataset, open_raster

_TAG = re.compile(r"CLASS_(\d+)")
_GOLDEN = 0.618034  # of the colour circle: neighbours differ, however many there are


def read_legend(path: str | Path) -> Legend | None:
    """The classes of a raster by its band tags CLASS_<code>, as `write_cog` writes them; None where there are none.

    Colours are those of the palette.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster, or two codes have one name.
    """
    with open_raster(path) as dataset:
        names = _names(dataset)
        colours = _colours(dataset) if names else {}
    if not names:
        return None
    return Legend(
        tuple(
            LandClass(code=code, name=name, colour=colours.get(code) or some_colour(code))
            for code, name in sorted(names.items())
        )
    )


def some_colour(number: int) -> str:
    """A colour (#rrggbb) for a class that has none."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.55, 0.8)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _names(dataset: Dataset) -> dict[int, str]:
    tags = ((_TAG.fullmatch(key), name) for key, name in dataset.tags(1).items())
    found = {int(match[1]): name for match, name in tags if match}
    return {code: name for code, name in found.items() if code < UNLABELLED}


def _colours(dataset: Dataset) -> dict[int, str]:
    try:
        palette = dataset.colormap(1)
    except ValueError:  # rasterio's word for a band without one
        return {}
    return {code: f"#{red:02x}{green:02x}{blue:02x}" for code, (red, green, blue, _) in palette.items()}
