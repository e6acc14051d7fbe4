"""The legend that a class raster tells: names and colours of its codes."""

from __future__ import annotations

import colorsys
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree as ET

import rasterio.shutil
from rasterio.io import MemoryFile

from geoseg.core.legend import UNLABELLED, LandClass, Legend
from geoseg.io.dataset import Dataset, gdal_env, open_raster

_TAG = re.compile(r"CLASS_(\d+)")
_GOLDEN = 0.618034  # of the colour circle: neighbours differ, however many there are
_BLACK = "#000000"

# GDAL's codes (gdal_rat.h): field types and usages of a raster attribute table.
_STRING = "2"
_NAME, _LOWEST, _EXACTLY = "2", "3", "5"
_RGB = ("6", "7", "8")


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldLegend:
    """The legend of the codes in a raster, and what of it is made up, a sentence each."""

    legend: Legend
    notes: tuple[str, ...] = ()


def read_legend(path: str | Path) -> Legend | None:
    """The classes of a raster by its band tags CLASS_<code>, as `write_cog` writes them; None where there are none.

    Colours are those of the palette.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster, or two codes have one name.
    """
    with open_raster(path) as dataset:
        names = _tagged(dataset, 1)
        colours = _palette(dataset, 1) if names else {}
    if not names:
        return None
    return Legend(
        tuple(
            LandClass(code=code, name=name, colour=colours.get(code) or some_colour(code))
            for code, name in sorted(names.items())
        )
    )


def name_codes(path: str | Path, band: int, codes: Iterable[int]) -> ToldLegend:
    """The classes of a raster of anybody that occur, and those that its band tags CLASS_<code> name, by rising code.

    Names are those of the band tags, else of the raster attribute table in the side-car file <path>.aux.xml, else of
    GDAL's category names; "class 7" where all are silent. A name of several codes gets the code behind it. Colours are
    those of the attribute table, else of the palette; made up where all are silent, or where the palette paints several
    of the classes black, as it does with what it was not told.

    Raises:
        MissingFileError: if the file is not there.
        InputError: if it is no raster, or a code has more than 32 bits.
    """
    with open_raster(path) as dataset:
        tagged, palette = _tagged(dataset, band), _palette(dataset, band)
        names, colours = _attribute_table(Path(f"{path}.aux.xml"), band)
        names = tagged or names or _categories(dataset, band)
    every = sorted({*codes, *tagged})
    nameless = [code for code in every if not names.get(code)]
    said = Counter(names[code] for code in every if names.get(code))
    painted = {code: colours.get(code) or palette.get(code) for code in every}
    blank = (None, _BLACK) if list(painted.values()).count(_BLACK) > 1 else (None,)
    colourless = [code for code in every if painted[code] in blank]
    notes = []
    if nameless:
        notes.append(
            f"the raster does not name {_listed(nameless)}: called {_name(nameless[0], names, said)!r} and so on"
        )
    if colourless:
        notes.append(f"the raster has no colour for {_listed(colourless)}: made up")
    classes = (
        LandClass(
            code=code,
            name=_name(code, names, said),
            colour=some_colour(code) if painted[code] in blank else str(painted[code]),
        )
        for code in every
    )
    return ToldLegend(legend=Legend(tuple(classes)), notes=tuple(notes))


def some_colour(number: int) -> str:
    """A colour (#rrggbb) for a class that has none."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.55, 0.8)
    return f"#{round(red * 255):02x}{round(green * 255):02x}{round(blue * 255):02x}"


def _name(code: int, names: Mapping[int, str], said: Counter[str]) -> str:
    name = names.get(code)
    if not name:
        return f"class {code}"
    return name if said[name] == 1 else f"{name} ({code})"


def _listed(codes: list[int]) -> str:
    word = "code" if len(codes) == 1 else "codes"
    more = f" and {len(codes) - 5} more" if len(codes) > 5 else ""
    return f"{word} {', '.join(map(str, codes[:5]))}{more}"


def _tagged(dataset: Dataset, band: int) -> dict[int, str]:
    tags = ((_TAG.fullmatch(key), name) for key, name in dataset.tags(band).items())
    found = {int(match[1]): name for match, name in tags if match}
    return {code: name for code, name in found.items() if code < UNLABELLED}


def _palette(dataset: Dataset, band: int) -> dict[int, str]:
    try:
        palette = dataset.colormap(band)
    except ValueError:  # rasterio's word for a band without one
        return {}
    return {code: f"#{red:02x}{green:02x}{blue:02x}" for code, (red, green, blue, _) in palette.items()}


def _categories(dataset: Dataset, band: int) -> dict[int, str]:
    """GDAL's category names, for which rasterio has no function; a virtual copy of the raster tells them as XML."""
    with gdal_env(), MemoryFile(ext=".vrt") as file:
        rasterio.shutil.copy(dataset, file.name, driver="VRT")
        tree = ET.fromstring(file.read())  # noqa: S314  (GDAL wrote it a moment ago)
    names = tree.findall(f"VRTRasterBand[@band='{band}']/CategoryNames/Category")
    return {code: name.text for code, name in enumerate(names) if name.text}


def _attribute_table(side_car: Path, band: int) -> tuple[dict[int, str], dict[int, str]]:
    """Names and colours in the raster attribute table of GDAL's side-car file, by code; none where it has no table."""
    try:
        root = ET.fromstring(side_car.read_bytes())  # noqa: S314  (Python's parser limits entities)
    except (OSError, ET.ParseError):
        return {}, {}
    table = root.find(f"PAMRasterBand[@band='{band}']/GDALRasterAttributeTable")
    if table is None:
        return {}, {}
    fields = [(field.findtext("Type", ""), field.findtext("Usage", "")) for field in table.findall("FieldDefn")]
    usages, kinds = [usage for _, usage in fields], [kind for kind, _ in fields]
    value = next((usages.index(usage) for usage in (_EXACTLY, _LOWEST) if usage in usages), None)
    name = usages.index(_NAME) if _NAME in usages else kinds.index(_STRING) if _STRING in kinds else None
    names, colours = {}, {}
    for number, row in enumerate(table.findall("Row")):
        cells = [cell.text or "" for cell in row.findall("F")]
        try:
            code = number if value is None else int(float(cells[value]))
            if name is not None and cells[name].strip():
                names[code] = cells[name].strip()
            if set(_RGB) <= set(usages):
                red, green, blue = (int(float(cells[usages.index(usage)])) for usage in _RGB)
                colours[code] = f"#{red:02x}{green:02x}{blue:02x}"
        except (ValueError, IndexError):
            continue
    return names, {code: colour for code, colour in colours.items() if len(colour) == len(_BLACK)}
