"""Synthetic scenes: a made-up landscape of any size, with its truth, for trials, tests and benchmarks.

Every number is a function of the seed, the scene's size and the pixel's own coordinates (value noise: random numbers
on lattices, hashed from their coordinates and interpolated). So a scene is the same however it is cut into windows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from pyproj import CRS

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import UNLABELLED, LandClass, Legend
from geoseg.errors import OutputError
from geoseg.io.output import check_writable, folder_beside
from geoseg.io.raster import BLOCK, RasterSpec, RasterWriter, write_cog

SYNTH_LEGEND = Legend(
    (
        LandClass(code=1, name="water", colour="#476ba0"),
        LandClass(code=2, name="developed", colour="#d60000"),
        LandClass(code=3, name="barren", colour="#b2ada3"),
        LandClass(code=4, name="forest", colour="#38814e"),
        LandClass(code=5, name="shrubland", colour="#d1bb82"),
        LandClass(code=6, name="herbaceous", colour="#edeccd"),
        LandClass(code=7, name="cultivated", colour="#ca9146"),
        LandClass(code=8, name="wetlands", colour="#64b3d5"),
    )
)
"""The eight level-1 classes of the US National Land Cover Database, with its codes."""

_BANDS = ("blue", "green", "red", "nir", "swir16", "swir22")
# Reflectance by class, made up after usual spectra; the last column is the spread of fields, roofs and stands.
_SPECTRA = np.array(
    [
        [0.070, 0.055, 0.038, 0.022, 0.012, 0.008, 0.08],
        [0.125, 0.125, 0.135, 0.190, 0.205, 0.180, 0.22],
        [0.150, 0.170, 0.205, 0.255, 0.310, 0.280, 0.16],
        [0.072, 0.068, 0.052, 0.225, 0.110, 0.055, 0.14],
        [0.098, 0.104, 0.122, 0.210, 0.240, 0.175, 0.12],
        [0.095, 0.112, 0.118, 0.280, 0.250, 0.150, 0.12],
        [0.085, 0.105, 0.085, 0.360, 0.200, 0.105, 0.26],
        [0.078, 0.080, 0.066, 0.200, 0.085, 0.042, 0.14],
    ],
    dtype=np.float32,
)
_TEXTURE = 0.006  # standard deviation of the noise of single pixels, reflectance
_SCALE, _OFFSET = 2e-5, -0.1
_NODATA = 65535
_GSD_M = 30.0
_TILT = math.radians(13)
_FIELD, _TOWN = 28, 320  # pixels between the middles of fields and of possible towns

Field = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynthOptions:
    """Size in rows and columns, seed, 4 or 6 bands, where to write the truth (None: nowhere), and overwriting."""

    size: int = 2048
    seed: int = 0
    bands: Literal[4, 6] = 4
    truth: Path | None = None
    overwrite: bool = False


def synthesise(path: str | Path, *, options: SynthOptions = SynthOptions()) -> None:
    """Write a synthetic scene, and its truth where `options.truth` asks for it, as Cloud Optimized GeoTIFFs.

    The scene has the bands blue, green, red, nir (and swir16, swir22) as uint16 DN with GDAL scale 2e-5 and offset
    -0.1 to reflectance, nodata 65535, 30 m pixels in EPSG:32612. The truth has the codes of `SYNTH_LEGEND`, uint8,
    nodata 255. About an eighth is nodata around a tilted footprint.

    Raises:
        OutputError: if an output exists already (without `overwrite`), is no .tif, or cannot be written.
    """
    scene, truth = Path(path), options.truth
    _check_outputs((scene,) if truth is None else (scene, truth), overwrite=options.overwrite)
    landscape = Landscape(size=options.size, seed=options.seed, bands=options.bands)
    scene_spec, truth_spec = _specs(landscape)
    with folder_beside(scene) as folder:
        working_scene, working_truth = folder / "scene.tif", folder / "truth.tif"
        with RasterWriter(working_scene, scene_spec) as pixels, RasterWriter(working_truth, truth_spec) as codes:
            for window in landscape.grid.windows(BLOCK, BLOCK):
                data, labels = landscape.render(window)
                pixels.write(window, data)
                codes.write(window, labels)
        if truth is not None:
            write_cog(working_truth, truth, truth_spec)
        write_cog(working_scene, scene, scene_spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Landscape:
    """A square of made-up ground whose windows can be rendered in any order and size."""

    size: int
    seed: int = 0
    bands: Literal[4, 6] = 4

    @property
    def grid(self) -> Grid:
        """Where it claims to be: UTM zone 12 north, 30 m pixels."""
        transform = Affine(_GSD_M, 0, 300_000, 0, -_GSD_M, 4_200_000)
        return Grid(crs=CRS.from_epsg(32612), transform=transform, height=self.size, width=self.size)

    def render(self, window: Window) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
        """DN (band, row, col) and class codes (row, col) of a window inside of the grid."""
        place = _Place.of(window, self.seed)
        height = place.fractal(1, spacing=512, octaves=7)
        fields = place.cells(_FIELD)
        codes = _classes(place, height, fields)
        reflectance = _reflectance(place, height, fields, codes, self.bands)
        numbers = np.rint((reflectance - np.float32(_OFFSET)) / np.float32(_SCALE))
        data = np.clip(numbers, 1, _NODATA - 1).astype(np.uint16)
        outside = ~self._footprint(place)
        data[:, outside] = _NODATA
        codes[outside] = UNLABELLED
        return data, codes

    def _footprint(self, place: _Place) -> NDArray[np.bool_]:
        """Inside of a swath that crosses the square at a tilt, with slightly ragged borders."""
        half = self.size / 2
        y, x = (place.rows[:, None] + 0.5 - half) / half, (place.cols[None, :] + 0.5 - half) / half
        ragged = (place.fractal(2, spacing=32, octaves=3) - np.float32(0.5)) * np.float32(16 / max(self.size, 256))
        across = x * math.cos(_TILT) + y * math.sin(_TILT) + ragged
        along = y * math.cos(_TILT / 4) - x * math.sin(_TILT / 4) + ragged
        inside: NDArray[np.bool_] = (np.abs(across) < 0.94) & (np.abs(along) < 0.97)
        return inside


@dataclass(frozen=True, slots=True, kw_only=True)
class _Place:
    """The coordinates of a window's pixels, and noise at them: every layer of noise has its own number."""

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    seed: int

    @classmethod
    def of(cls, window: Window, seed: int) -> _Place:
        rows, cols = np.arange(window.row, window.row_end), np.arange(window.col, window.col_end)
        return cls(rows=rows, cols=cols, seed=seed)

    def moved(self, rows: int, cols: int) -> _Place:
        return _Place(rows=self.rows + rows, cols=self.cols + cols, seed=self.seed)

    def white(self, layer: int) -> Field:
        """Independent numbers in [0, 1), one a pixel."""
        return _uniform(self.rows, self.cols, self.seed, layer)

    def smooth(self, layer: int, spacing: int) -> Field:
        """Value noise in [0, 1): numbers on a lattice, interpolated with a smooth step."""
        row, down = _lattice(self.rows, spacing)
        col, along = _lattice(self.cols, spacing)
        first_row, first_col = row[0], col[0]
        nodes = _uniform(
            np.arange(first_row, row[-1] + 2), np.arange(first_col, col[-1] + 2), self.seed, layer * 101 + spacing
        )
        upper, lower = nodes[row - first_row], nodes[row - first_row + 1]
        strips = upper + (lower - upper) * down[:, None]
        left, right = strips[:, col - first_col], strips[:, col - first_col + 1]
        values: Field = left + (right - left) * along[None, :]
        return values

    def fractal(self, layer: int, *, spacing: int, octaves: int) -> Field:
        """Octaves of value noise, each at half the spacing and 0.55 of the strength; spread out around 0.5."""
        total = np.zeros((len(self.rows), len(self.cols)), dtype=np.float32)
        strength, norm = 1.0, 0.0
        for octave in range(octaves):
            total += np.float32(strength) * (self.smooth(layer, max(1, spacing >> octave)) - np.float32(0.5))
            norm += strength**2
            strength *= 0.55
        return total / np.float32(math.sqrt(norm)) + np.float32(0.5)

    def cells(self, spacing: int) -> _Cells:
        """Square cells of `spacing` pixels."""
        return _Cells(place=self, spacing=spacing)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cells:
    """Square cells: a random number each, and the distance of every pixel from a point in its own cell."""

    place: _Place
    spacing: int

    def number(self, layer: int) -> Field:
        """A number in [0, 1) for each cell, given to all of its pixels."""
        row, col = self.place.rows // self.spacing, self.place.cols // self.spacing
        firsts = row[0], col[0]
        numbers = _uniform(
            np.arange(row[0], row[-1] + 1), np.arange(col[0], col[-1] + 1), self.place.seed, layer * 101 + self.spacing
        )
        values: Field = numbers[(row - firsts[0])[:, None], (col - firsts[1])[None, :]]
        return values

    def distance(self, row: Field | float = 0.5, col: Field | float = 0.5) -> Field:
        """Distance in pixels from the point at these fractions of the cell."""
        down = (self.place.rows % self.spacing)[:, None] + 0.5 - row * self.spacing
        along = (self.place.cols % self.spacing)[None, :] + 0.5 - col * self.spacing
        distance: Field = np.hypot(down, along).astype(np.float32)
        return distance


def _classes(place: _Place, height: Field, fields: _Cells) -> NDArray[np.uint8]:
    """Class codes from height, moisture, rivers, towns and fields; later rules cover earlier ones."""
    moisture = place.fractal(3, spacing=384, octaves=6)
    river = np.abs(place.fractal(4, spacing=512, octaves=5) - np.float32(0.5))
    farmed = place.fractal(5, spacing=256, octaves=3) > 0.5
    low = height < 0.52
    wet = moisture + (np.float32(0.5) - height) * np.float32(0.3)
    is_field = farmed & low & (height > 0.36) & (fields.number(6) < 0.8) & _inside_field(fields)
    rules: tuple[tuple[int, NDArray[np.bool_]], ...] = (
        (6, np.ones_like(low)),
        (5, wet < 0.46),
        (3, (wet < 0.24) | ((height > 0.82) & (moisture < 0.5))),
        (4, (wet > 0.62) | ((height > 0.6) & (moisture > 0.46))),
        (7, is_field),
        (2, _town(place)),
        (8, ((height < 0.3) | (low & (river < 0.022))) & (wet > 0.56)),
        (1, (height < 0.26) | (low & (river < 0.009 + (np.float32(0.52) - height) * 0.02))),
    )
    codes = np.zeros(height.shape, dtype=np.uint8)
    for code, where in rules:
        codes[where] = code
    return codes


def _inside_field(fields: _Cells) -> NDArray[np.bool_]:
    """A third of the fields are circles of centre-pivot irrigation, the others rectangles with a border."""
    is_circle = fields.number(7) < 0.33
    row, col = fields.place.rows % fields.spacing, fields.place.cols % fields.spacing
    rectangle = (row > 0)[:, None] & (col > 0)[None, :]
    return np.where(is_circle, fields.distance() < fields.spacing * 0.48, rectangle)


def _town(place: _Place) -> NDArray[np.bool_]:
    """Towns that thin out from the middle, and the roads between them."""
    towns = place.cells(_TOWN)
    radius = (towns.number(8) - np.float32(0.45)) * np.float32(0.5 * _TOWN)  # none in almost half of the cells
    distance = towns.distance(0.35 + 0.3 * towns.number(9), 0.35 + 0.3 * towns.number(10))
    houses = distance + 90 * (place.smooth(11, 8) - np.float32(0.5)) < radius
    wiggle = 30 * (place.smooth(12, 128) - np.float32(0.5))
    road = np.abs((place.rows[:, None] + wiggle) % (2 * _TOWN) - _TOWN) < 1.1
    road |= np.abs((place.cols[None, :] + wiggle) % (2 * _TOWN) - _TOWN) < 1.1
    is_town: NDArray[np.bool_] = houses | road
    return is_town


def _reflectance(
    place: _Place, height: Field, fields: _Cells, codes: NDArray[np.uint8], bands: int
) -> NDArray[np.float32]:
    """Spectra of the classes, varied by stand, field and slope towards the sun, with noise of single pixels."""
    spread = _SPECTRA[codes - 1, -1]
    stands = place.fractal(13, spacing=64, octaves=4)
    patches = np.where(codes == 7, fields.number(14), np.where(codes == 2, place.cells(3).number(15), stands))
    tone = 1 + spread * (patches - np.float32(0.5)) * 2
    slope = height - place.moved(-2, -2).fractal(1, spacing=512, octaves=7)
    sun = 1 + np.clip(slope * np.float32(4), -0.3, 0.3) * (codes != 1)
    ripe = np.where(codes == 7, fields.number(16), np.float32(0.5))  # from bare soil to full crop
    values = np.empty((bands, *codes.shape), dtype=np.float32)
    for band in range(bands):
        values[band] = _SPECTRA[codes - 1, band] * tone * sun
        values[band] *= 1 + (ripe - np.float32(0.5)) * np.float32(0.7 if band == 3 else -0.5)
        values[band] += (place.white(20 + band) + place.white(30 + band) - 1) * np.float32(_TEXTURE * math.sqrt(6))
    return values


def _lattice(positions: NDArray[np.int64], spacing: int) -> tuple[NDArray[np.int64], Field]:
    """Index of the node before each position, and the smooth step (3t² - 2t³) towards the next."""
    node = positions // spacing
    t = ((positions - node * spacing) / spacing).astype(np.float32)
    return node, t * t * (3 - 2 * t)


def _uniform(rows: NDArray[np.int64], cols: NDArray[np.int64], seed: int, layer: int) -> Field:
    """Numbers in [0, 1) for all pairs of rows and columns, hashed from seed, layer and coordinates."""
    key = _mix(_mix(np.array([seed & 0xFFFFFFFF], dtype=np.uint32)) + np.uint32(layer * 7919 + 1))
    by_row = _mix(rows.astype(np.uint32) ^ key)[:, None]
    by_both = _mix(by_row + cols.astype(np.uint32)[None, :] * np.uint32(0x9E3779B1))
    return (by_both >> np.uint32(8)).astype(np.float32) * np.float32(2**-24)


def _mix(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Scramble 32-bit numbers (the finaliser of MurmurHash3, A. Appleby 2011, public domain)."""
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        x = (x ^ (x >> np.uint32(shift))) * np.uint32(factor)
    return x ^ (x >> np.uint32(16))


def _specs(landscape: Landscape) -> tuple[RasterSpec, RasterSpec]:
    scene = RasterSpec(
        grid=landscape.grid,
        dtype="uint16",
        band_names=_BANDS[: landscape.bands],
        nodata=_NODATA,
        scale=_SCALE,
        offset=_OFFSET,
        tags={"DESCRIPTION": f"synthetic scene made by geoseg, seed {landscape.seed}"},
        overviews="average",
    )
    truth = RasterSpec(
        grid=landscape.grid,
        dtype="uint8",
        band_names=("class",),
        nodata=UNLABELLED,
        palette={c.code: (*c.rgb, 255) for c in SYNTH_LEGEND},
        class_names={c.code: c.name for c in SYNTH_LEGEND},
        overviews="mode",
    )
    return scene, truth


def _check_outputs(paths: tuple[Path, ...], *, overwrite: bool) -> None:
    if len({path.resolve() for path in paths}) < len(paths):
        raise OutputError(f"{paths[0]}: found one path for scene and truth, needed two; choose another name")
    for path in paths:
        if path.suffix.lower() not in (".tif", ".tiff"):
            raise OutputError(f"{path}: found the suffix {path.suffix!r}, needed .tif; scenes are written as GeoTIFF")
        check_writable(path, overwrite=overwrite)
