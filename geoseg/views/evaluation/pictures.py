"""Pictures of a case: the scene, the reference, the map, and where they differ."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from geoseg.core.bands import Band
from geoseg.core.grid import Grid
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.data.labels import as_label_options, open_labels
from geoseg.errors import GeosegError
from geoseg.evaluation.evaluation import CaseRecord, Evaluation
from geoseg.evaluation.maps import open_map
from geoseg.io.png import palette_png, png
from geoseg.io.raster import plan_labels, read_grid
from geoseg.io.scene import Scene, open_scene

Classes = NDArray[np.uint8]
"""Class indices, shape (row, col), 255 = none."""

RIGHT, WRONG, UNMAPPED = range(3)
ERROR_COLOURS = {RIGHT: "#c4d4ce", WRONG: "#b3003c", UNMAPPED: "#30343b"}
ERROR_NAMES = {RIGHT: "right", WRONG: "wrong", UNMAPPED: "no class in the map"}
CASES = 6
"""More cases than these are not shown."""
_PIXELS = 1000  # of the longer side, of a single case
_FEWEST_PIXELS = 400
_STRETCH = (2.0, 98.0)  # percentiles that become black and white
_TRUE_COLOUR = ("red", "green", "blue")


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture with a title and a description; `crisp` where its pixels are classes, and may not be smoothed."""

    title: str
    alt: str
    png: bytes
    crisp: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePictures:
    """What can be shown of a case; `notes` say what cannot, and why."""

    name: str
    pictures: tuple[Picture, ...]
    notes: tuple[str, ...] = ()


def read_pictures(evaluation: Evaluation, scenes: Sequence[Scene | None] = ()) -> tuple[CasePictures, ...]:
    """The pictures of the first cases, from the files that they name, at a size that keeps the report small.

    Args:
        evaluation: names the files.
        scenes: of the cases, in order, where they are open already.
    """
    shown = evaluation.cases[:CASES]
    size = max(_FEWEST_PIXELS, round(_PIXELS / max(1, len(shown)) ** 0.5))
    opened = [*scenes, *[None] * len(shown)]
    return tuple(_case(case, opened[i], evaluation.legend, size) for i, case in enumerate(shown))


def _case(case: CaseRecord, scene: Scene | None, legend: Legend, size: int) -> CasePictures:
    """What can be read, and a note for what cannot."""
    pictures: list[Picture] = []
    try:
        if scene is None and case.scene:
            scene = open_scene(case.scene)
        grid = read_grid(case.map) if case.map is not None else None if scene is None else scene.grid
        if grid is None:
            return CasePictures(name=case.name, pictures=(), notes=("neither its map nor its scene is kept",))
        pictures.extend(_draw(case, scene, _coarse(grid, size), legend))
    except (GeosegError, ValidationError) as error:
        return CasePictures(name=case.name, pictures=tuple(pictures), notes=(f"not all can be shown: {error}",))
    return CasePictures(name=case.name, pictures=tuple(pictures))


def _draw(case: CaseRecord, scene: Scene | None, grid: Grid, legend: Legend) -> Iterator[Picture]:
    """One after the other, so that those before a mistake are shown."""
    if scene is not None:
        yield _image(scene, grid)
    with open_labels(as_label_options(case.labels), grid, legend).reader() as reader:
        truth = reader.read(grid.window).classes
    yield _classes("Reference", truth, legend)
    if case.map is None:
        return
    mapped = _mapped(Path(case.map), grid, legend)
    yield _classes("Map", mapped, legend)
    yield _errors(truth, mapped)


def _coarse(grid: Grid, size: int) -> Grid:
    """The same ground in at most so many rows and columns."""
    factor = max(1.0, max(grid.shape) / size)
    return grid.rescaled(factor, factor)


def _mapped(path: Path, grid: Grid, legend: Legend) -> Classes:
    with replace(open_map(path, legend), codes=plan_labels(path, grid)).reader() as reader:
        return reader.classes(grid.window)


def _image(scene: Scene, grid: Grid) -> Picture:
    """True colour where the scene has it, else its first three bands, else its first one in grey."""
    found = [scene.bands.find(Band(name=name, common_name=name)) for name in _TRUE_COLOUR]
    known = [position for position in found if position is not None]
    chosen = known if len(known) == len(found) else list(range(min(3, len(scene.bands))))
    if len(chosen) < len(_TRUE_COLOUR):
        chosen = chosen[:1] * 3
    raster = scene.select(dict.fromkeys(chosen)).on_grid(grid).read(grid.window)
    values = raster.bands.physical(raster.data)
    order = list(dict.fromkeys(chosen))
    bands = [_stretched(values[order.index(position)], raster.valid) for position in chosen]
    opacity = np.where(raster.valid, 255, 0).astype(np.uint8)
    names = ", ".join(scene.bands[position].name for position in chosen)
    how = "true colour" if chosen == known else "false colour"
    return Picture(
        title=f"Scene ({how})",
        alt=f"The scene {scene.name} with the bands {names} as red, green and blue",
        png=png(np.stack([*bands, opacity])),
        crisp=False,
    )


def _stretched(values: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    known = values[valid & np.isfinite(values)]
    low, high = np.percentile(known, _STRETCH).tolist() if known.size else (0.0, 1.0)
    scaled = (np.nan_to_num(values, nan=low, posinf=high, neginf=low) - low) / max(high - low, 1e-12)
    return np.rint(255 * np.clip(scaled, 0, 1)).astype(np.uint8)


def _classes(title: str, classes: Classes, legend: Legend) -> Picture:
    colours = {i: (*c.rgb, 255) for i, c in enumerate(legend)} | {UNLABELLED: (0, 0, 0, 0)}
    counts = np.bincount(classes[classes != UNLABELLED], minlength=len(legend))
    order = [i for i in np.argsort(-counts, kind="stable").tolist() if counts[i]]
    shares = ", ".join(f"{legend[i].name} {counts[i] / counts.sum():.0%}" for i in order)
    alt = f"{title}: {shares or 'no class anywhere'}"
    return Picture(title=title, alt=alt, png=palette_png(classes, colours))


def _errors(truth: Classes, mapped: Classes) -> Picture:
    codes = np.where(mapped == UNLABELLED, UNMAPPED, np.where(truth == mapped, RIGHT, WRONG))
    codes = np.where(truth == UNLABELLED, UNLABELLED, codes).astype(np.uint8)
    colours = {code: _rgba(colour) for code, colour in ERROR_COLOURS.items()} | {UNLABELLED: (0, 0, 0, 0)}
    compared = codes[codes != UNLABELLED]
    wrong = np.count_nonzero(compared == WRONG) / max(1, compared.size)
    return Picture(
        title="Errors", alt=f"Errors: {wrong:.0%} of what is labelled is wrong", png=palette_png(codes, colours)
    )


def _rgba(colour: str) -> tuple[int, int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16), 255
