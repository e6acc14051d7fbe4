"""Contact sheets: what augmentations do to chips, side by side with the originals."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from pydantic.dataclasses import dataclass as options_dataclass

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import UNLABELLED, Legend
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.resample import identity, resample
from geoseg.data.augment.technique import Change, Warp
from geoseg.data.options import STRICT
from geoseg.errors import MissingExtraError, OutputError
from geoseg.io.output import check_writable, replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Picture = NDArray[np.uint8]
"""Red, green and blue of 0 to 255, shape (row, col, 3)."""

_STRETCH = (0.02, 0.98)  # quantiles of the original that become black and white
_MAGENTA, _PURPLE, _WHITE, _GREY = (255, 0, 255), (150, 0, 150), (255, 255, 255), (128, 128, 128)
_DPI = 128  # a power of two, so that pixels divided by it are exact
_FONT_PT = 7.0
# all in px of the sheet:
_HATCH = 8  # between the lines of a hatch
_GAP = 6  # between panels, and around everything
_LINE, _LETTER = 20, 7  # height of a line of text, width of a letter (generously)
_KEY = 14  # side of a legend's sample
_SUN = 11  # half of an arrow
_NARROWEST = 480  # width of a sheet with few panels, for its texts


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class SheetOptions:
    """How large a contact sheet is."""

    chips: Annotated[int, Field(ge=1)] = 1
    """How many chips of the batch are shown, from the first on."""
    draws: Annotated[int, Field(ge=1)] = 4
    """How often every technique is drawn for a chip."""
    panel: Annotated[int, Field(ge=16)] = 256
    """Pixels of the sheet for the longer side of a chip, which is enlarged by whole numbers and never made smaller."""
    labels: Literal["beside", "outlines", "none"] = "beside"
    """A small map of the labels beside every picture, or the borders between classes drawn into it (on either side in
    the colour of its class, unlabelled pixels hatched), or nothing."""
    seed: int = 0
    """The first seed; draw i of every technique has seed + i."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Look:
    """How one chip is shown: three positions of bands, and for each the values that are black and white."""

    positions: tuple[int, int, int]
    black: NDArray[np.float32]
    white: NDArray[np.float32]
    scale: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Panel:
    """A picture, and the direction to the sun in degrees clockwise from up; NaN = unknown."""

    picture: Picture
    azimuth: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Row:
    """A technique: its title and, chip by chip, the original and the draws."""

    title: str
    panels: tuple[_Panel, ...]


def contact_sheet(
    batch: Batch,
    techniques: Mapping[str, Change | Warp],
    legend: Legend,
    out: Path,
    *,
    options: SheetOptions = SheetOptions(),  # noqa: B008  (frozen)
    overwrite: bool = False,
) -> None:
    """Draw a PNG with a row for every technique: for each chip the original and several draws, whatever the chance.

    Chips are shown in true colour where the bands have red, green and blue, else by their first three bands, or the
    first as grey. Each chip's stretch is that of its original (2 to 98 % of the valid pixels), so that changes of
    brightness show. Invalid pixels are hatched magenta; an arrow shows where sunlight goes, where the sun is known.
    Techniques are applied to the whole batch, so that they find partners in it.

    Raises:
        OutputError: `out` does not end in .png, or cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_writable(out, overwrite=overwrite)
    if out.suffix.lower() != ".png":
        raise OutputError(f"{out}: contact sheets are PNG files; give a name that ends in .png")
    _require_matplotlib()
    rows = [_row(_title(name, technique), batch, technique, legend, options) for name, technique in techniques.items()]
    _save(_marks(rows, legend, 1 + options.draws), out)


def _require_matplotlib() -> None:
    try:
        import matplotlib.figure  # noqa: F401, PLC0415  (an extra, and heavy)
    except ImportError as error:
        raise MissingExtraError(
            "contact sheets need matplotlib, which is not installed; pip install 'geoseg[view]'"
        ) from error


def _title(name: str, technique: Change | Warp) -> str:
    """The name and the options, `chance` apart, which a sheet does not follow."""
    keys = [key for key in getattr(technique, "__dataclass_fields__", ()) if key != "chance"]
    return ", ".join([name, *(f"{key} {getattr(technique, key)}" for key in keys)])


def _row(title: str, batch: Batch, technique: Change | Warp, legend: Legend, options: SheetOptions) -> _Row:
    draws = [_applied(batch, technique, options.seed + i) for i in range(options.draws)]
    panels = []
    for chip in range(min(options.chips, len(batch))):
        look = _look(batch, chip, options.panel)
        panels += [_panel(b, chip, look, _colours(legend), options) for b in (batch, *draws)]
    return _Row(title=title, panels=tuple(panels))


def _applied(batch: Batch, technique: Change | Warp, seed: int) -> Batch:
    random = Random.seeded(seed, batch.device)
    if isinstance(technique, Warp):
        moved = resample(batch, technique.move(identity(batch), random))
        return replace(moved, sun=torch.full_like(moved.sun, torch.nan))  # nobody says where up is afterwards
    return technique.apply(batch, random)


def _look(batch: Batch, chip: int, panel: int) -> _Look:
    positions = _shown_bands(batch.bands)
    values, valid = batch.values[chip].cpu().numpy(), batch.valid[chip].cpu().numpy()
    seen = values[list(positions)][:, valid] if valid.any() else np.zeros((3, 1), dtype=np.float32)
    black, white = np.quantile(seen, _STRETCH, axis=1).astype(np.float32)
    return _Look(positions=positions, black=black, white=white, scale=max(1, panel // max(batch.shape)))


def _shown_bands(bands: BandSet) -> tuple[int, int, int]:
    red, green, blue = (bands.find(Band(name=name, common_name=name)) for name in ("red", "green", "blue"))
    if red is not None and green is not None and blue is not None:
        return red, green, blue
    return (0, 1, 2) if len(bands) >= 3 else (0, 0, 0)


def _panel(batch: Batch, chip: int, look: _Look, colours: Picture, options: SheetOptions) -> _Panel:
    labels = _enlarged(batch.labels[chip].cpu().numpy(), look.scale)
    valid = _enlarged(batch.valid[chip].cpu().numpy(), look.scale)
    picture = _enlarged(_stretched(batch.values[chip].cpu().numpy(), look), look.scale)
    if options.labels == "outlines":
        picture = _outlined(picture, labels, colours)
    hatch = _hatch(labels.shape)
    picture[~valid & ~hatch], picture[~valid & hatch] = _MAGENTA, _PURPLE
    if options.labels == "beside":
        picture = _beside(picture, _label_map(labels, colours)[::2, ::2])
    return _Panel(picture=picture, azimuth=float(batch.sun[chip, 0]))


def _outlined(picture: Picture, labels: NDArray[np.uint8], colours: Picture) -> Picture:
    outlined = picture.copy()
    faint = (labels == UNLABELLED) & _hatch(labels.shape)
    outlined[faint] = outlined[faint] // 2 + 127
    edge = _edges(labels) & (labels != UNLABELLED)
    outlined[edge] = colours[labels[edge]]
    return outlined


def _label_map(labels: NDArray[np.uint8], colours: Picture) -> Picture:
    picture = colours[labels]
    picture[(labels == UNLABELLED) & _hatch(labels.shape)] = _WHITE
    return picture


def _beside(first: Picture, second: Picture) -> Picture:
    """Two pictures next to each other, the second not higher than the first, with a white line between them."""
    rows, cols = first.shape[:2]
    both = np.full((rows, cols + 2 + second.shape[1], 3), 255, dtype=np.uint8)
    both[:, :cols] = first
    both[: second.shape[0], cols + 2 :] = second
    return both


def _enlarged(pixels: NDArray[np.uint8], scale: int) -> NDArray[np.uint8]:
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def _stretched(values: NDArray[np.float32], look: _Look) -> Picture:
    shown = np.nan_to_num(values[list(look.positions)], posinf=0, neginf=0)  # only invalid pixels are not finite
    width = np.maximum(look.white - look.black, 1e-6)[:, None, None]
    grey = ((shown - look.black[:, None, None]) / width).clip(0, 1)
    picture: Picture = (grey * 255).round().astype(np.uint8).transpose(1, 2, 0)
    return picture


def _hatch(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    rows, cols = np.indices(shape[:2], sparse=True)
    lines: NDArray[np.bool_] = (rows + cols) % _HATCH == 0
    return lines


def _edges(labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Pixels one of whose four neighbours is of another class."""
    edges = np.zeros(labels.shape, dtype=np.bool_)
    for axis in (0, 1):
        changes = np.diff(labels, axis=axis) != 0
        first, second = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        edges[first] |= changes
        edges[second] |= changes
    return edges


def _colours(legend: Legend) -> Picture:
    """Colour of every class index, shape (256, 3); indices without a class are grey."""
    table = np.full((256, 3), _GREY, dtype=np.uint8)
    table[: len(legend)] = [land_class.rgb for land_class in legend]
    return table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Image:
    """A picture whose upper left corner is at (x, y) in px of the sheet."""

    x: int
    y: int
    picture: Picture


@dataclass(frozen=True, slots=True, kw_only=True)
class _Text:
    """Text of one line whose upper left corner is at (x, y) in px of the sheet."""

    x: int
    y: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Arrow:
    """Sunlight that comes from `azimuth`, in degrees clockwise from up, and goes through (x, y) in px of the sheet."""

    x: int
    y: int
    azimuth: float


_Mark = _Image | _Text | _Arrow


def _marks(rows: Sequence[_Row], legend: Legend, per_chip: int) -> list[_Mark]:
    """Rows below each other, panels in columns of one width, the legend at the end."""
    panels = [panel for row in rows for panel in row.panels]
    height, width = (max((p.picture.shape[axis] for p in panels), default=0) + _GAP for axis in (0, 1))
    columns = max((len(row.panels) for row in rows), default=0)
    total = max(columns * width, _NARROWEST)
    marks: list[_Mark] = []
    for column in range(columns):
        draw = column % per_chip
        text = f"draw {draw}" if draw else "original"
        marks.append(_Text(x=_GAP + column * width, y=0, text=text))
    top = _LINE
    for row in rows:
        marks += _row_marks(row, top, width, total)
        top += height + _LINE
    return [*marks, *_legend_marks(legend, top, total)]


def _row_marks(row: _Row, top: int, width: int, total: int) -> Iterator[_Mark]:
    yield _Text(x=_GAP, y=top, text=row.title[: total // _LETTER])
    for column, panel in enumerate(row.panels):
        x, y = _GAP + column * width, top + _LINE
        yield _Image(x=x, y=y, picture=panel.picture)
        if np.isfinite(panel.azimuth):
            yield _Arrow(x=x + 2 * _SUN, y=y + 2 * _SUN, azimuth=panel.azimuth)


def _legend_marks(legend: Legend, top: int, total: int) -> Iterator[_Mark]:
    x = _GAP
    for text, sample in _keys(legend):
        length = sample.shape[1] + len(text) * _LETTER + 3 * _GAP
        if x > _GAP and x + length > total:
            x, top = _GAP, top + _LINE
        yield _Image(x=x, y=top + (_LINE - sample.shape[0]) // 2, picture=sample)
        yield _Text(x=x + sample.shape[1] + _GAP, y=top, text=text)
        x += length


def _keys(legend: Legend) -> Iterator[tuple[str, Picture]]:
    """Names and small pictures of the classes and of what is no class."""
    size = (_KEY, _KEY, 3)
    for land_class in legend:
        yield land_class.name, np.full(size, land_class.rgb, dtype=np.uint8)
    hatch = _hatch(size)[..., None]
    yield "unlabelled", np.where(hatch, np.array(_WHITE), np.array(_GREY)).astype(np.uint8)
    yield "invalid", np.where(hatch, np.array(_PURPLE), np.array(_MAGENTA)).astype(np.uint8)


def _save(marks: Sequence[_Mark], out: Path) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415  (an extra, and heavy)
    from matplotlib.figure import Figure  # noqa: PLC0415

    canvas = _canvas([mark for mark in marks if isinstance(mark, _Image)])
    height, width = canvas.shape[:2]
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.imshow(canvas, interpolation="nearest", aspect="auto", extent=(0, width, height, 0))
    for mark in marks:
        if isinstance(mark, _Text):
            axes.text(mark.x, mark.y + _LINE / 2, mark.text, fontsize=_FONT_PT, verticalalignment="center")
        elif isinstance(mark, _Arrow):
            _draw(axes, mark)
    with _writing(out), replacing(out) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)  # type: ignore[no-untyped-call]


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"{out}: cannot be written ({error.strerror}); choose another place") from error


def _canvas(images: Sequence[_Image]) -> Picture:
    """The pictures on white."""
    height, width = (
        max((image.y, image.x)[axis] + image.picture.shape[axis] for image in images) + _GAP for axis in (0, 1)
    )
    canvas = np.full((height, max(width, _NARROWEST), 3), 255, dtype=np.uint8)
    for image in images:
        rows, cols = image.picture.shape[:2]
        canvas[image.y : image.y + rows, image.x : image.x + cols] = image.picture
    return canvas


def _draw(axes: Axes, arrow: _Arrow) -> None:
    """An arrow from the sun through its place, light on dark, with a dot at the sun's end."""
    angle = math.radians(arrow.azimuth)
    east, south = _SUN * math.sin(angle), -_SUN * math.cos(angle)
    sun, ground = (arrow.x + east, arrow.y + south), (arrow.x - east, arrow.y - south)
    for colour, width in (("black", 2.5), ("yellow", 1.0)):
        line = {"arrowstyle": "-|>", "color": colour, "linewidth": width, "shrinkA": 0, "shrinkB": 0}
        axes.annotate("", xy=ground, xytext=sun, arrowprops=line)
        axes.plot(*sun, marker="o", color=colour, markersize=2 + width, zorder=4)  # above the arrows
