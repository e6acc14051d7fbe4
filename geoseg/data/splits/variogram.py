"""Variograms of labels: how far two places must lie apart until one tells nothing about the other's class."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, optimize

from geoseg.core.grid import Grid
from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import ClassMap
from geoseg.data.splits.blocks import MAX_BLOCKS, strip_windows
from geoseg.errors import InputError

MAX_SIDE = 2048
"""Pixels a side of a map after decimation."""
MIN_BLOCKS_PER_FOLD = 5
"""So few blocks still give a fold several places of the landscape."""

_SILL_REACHED = 0.95  # of the sill at the practical range: Chilès and Delfiner 2012, section 2.5.1
_REACHED = (0.63, 0.95)  # of the sill: one scale, and three scales, of an exponential away
_NESTED_GAIN = 1 / 3
_GOOD_ENOUGH = 0.005  # of the sill
_FINE_BINS = 24  # of one pixel's width; then each is wider than the one before
_GROWTH = 1.08


@dataclass(frozen=True, slots=True, kw_only=True)
class Structure:
    """One scale of a variogram's rise: its kind, its share of the sill, and its scale in m."""

    kind: str
    share: float
    scale_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class VariogramModel:
    """A model of a variogram: at lag h it is `sill * (nugget + Σ share * f(h / scale_m))` over its structures.

    A structure of kind "exponential" has f(r) = 1 - exp(-r), a "spherical" one f(r) = (3r - r³) / 2 up to r = 1
    (Chilès and Delfiner 2012, Geostatistics, section 2.5.1); the `nugget` is the share of the sill that is there
    between neighbours. Nugget and shares sum to 1.
    """

    sill: float
    structures: tuple[Structure, ...]

    @property
    def nugget(self) -> float:
        """Share of the sill that no structure has."""
        return max(0.0, 1 - sum(structure.share for structure in self.structures))

    def at(self, lags_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """The variogram at these lags in m."""
        rise = sum((part.share * _SHAPES[part.kind](lags_m / part.scale_m) for part in self.structures), self.nugget)
        return self.sill * np.asarray(rise)

    @property
    def range_m(self) -> float:
        """The practical range in m: the lag where 95 % of the sill is reached; 0 for a nugget of as much."""
        if self.nugget >= _SILL_REACHED:
            return 0.0
        longest = max(part.scale_m for part in self.structures)  # where an exponential has 95 % after 3 scales

        def lacks(lag: float) -> float:
            return float(self.at(np.array([lag]))[0]) / self.sill - _SILL_REACHED

        root: Any = optimize.brentq(lacks, 0.0, 4 * longest)
        return float(root)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Variogram:
    """The empirical indicator variogram of labels over all directions, and the model that fits it best.

    `gamma` is half the probability that two pixels at a lag differ in class, shape (bin,); `by_class` is half the
    probability that exactly one of the two is of a class, shape (class, bin). `lags_m` are the mean lags of the bins
    and `pairs` the pairs of pixels in each. `sill` is ½(1 - Σp²), what `gamma` is where classes are independent, and
    `extent_m` the longer side of the ground with labels, `labelled_m2` its labelled area.
    """

    lags_m: NDArray[np.float64]
    gamma: NDArray[np.float64]
    by_class: NDArray[np.float64]
    pairs: NDArray[np.int64]
    shares: NDArray[np.float64]
    sill: float
    model: VariogramModel
    extent_m: float
    labelled_m2: float

    @property
    def range_m(self) -> float:
        """The model's practical range in m."""
        return self.model.range_m

    @property
    def at_least(self) -> bool:
        """True where the range is more than half of the extent: longer than the labels can show."""
        return self.range_m > self.extent_m / 2

    def lines(self) -> tuple[str, ...]:
        """The result in words."""
        model, half = self.model, self.extent_m / 2
        if self.at_least:
            found = f"autocorrelation range: at least {half:.0f} m (half of the labelled extent, all it can show)"
        else:
            found = f"autocorrelation range: {self.range_m:.0f} m (95 % of the sill)"
        parts = [f"{part.share:.0%} {part.kind} of scale {part.scale_m:.0f} m" for part in model.structures]
        fit = f"model of the sill {self.sill:.3f}: {model.nugget:.0%} nugget, {', '.join(parts)}"
        return found, fit


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAdvice:
    """A block size in m, and the reason for it in words."""

    block_m: float
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Sample:
    """A decimated class map, cropped to its labels: (row, col), 255 = unlabelled, and its spacing (down, along) in m.

    `pixels` counts the labelled ones, `pixel_m2` is the area that each stands for.
    """

    labels: NDArray[np.uint8]
    spacing: tuple[float, float]

    @property
    def extent_m(self) -> float:
        height, width = map(int, self.labels.shape)
        return max(height * self.spacing[0], width * self.spacing[1])

    @property
    def labelled_m2(self) -> float:
        return float(np.count_nonzero(self.labels != UNLABELLED)) * self.spacing[0] * self.spacing[1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tally:
    """Sums over the pairs in each lag bin: pairs, their distances, and those where a class differs (class, bin)."""

    pairs: NDArray[np.float64]
    distance: NDArray[np.float64]
    differing: NDArray[np.float64]

    def __add__(self, other: _Tally) -> _Tally:
        return _Tally(
            pairs=self.pairs + other.pairs,
            distance=self.distance + other.distance,
            differing=self.differing + other.differing,
        )


def variogram(maps: Sequence[ClassMap], classes: int, *, max_side: int = MAX_SIDE) -> Variogram:
    """Measure the indicator variogram of labels, pooled over maps by their pairs of pixels, and fit a model to it.

    Pairs within each map are counted by Fourier transform over all directions, unlabelled pixels masked (Marcotte
    1996, Computers & Geosciences 22, 1175-1186, doi:10.1016/S0098-3004(96)00026-X). The model's sill is the labels'
    own, ½(1 - Σp²) averaged over maps by area; nugget and scale are fitted with weights pairs / lag² (Pebesma 2004,
    Computers & Geosciences 30, 683-691, doi:10.1016/j.cageo.2004.03.012).

    Args:
        maps: class maps; each is decimated to at most `max_side` pixels a side, read strip by strip.
        classes: how many there are.
        max_side: smaller is faster; lags shorter than a pixel after decimation are not seen.

    Raises:
        InputError: labels of fewer than two classes, or of less than 4 pixels along both sides.
    """
    samples = [sample for sample in (_decimate(classes_of, max_side) for classes_of in maps) if sample is not None]
    if not samples:
        raise InputError("no pixel is labelled: a variogram needs labels; set block_m instead")
    extent = max(sample.extent_m for sample in samples)
    edges = _edges(max(max(sample.spacing) for sample in samples), extent / 2)
    tally = _sum([_tally(sample, classes, edges) for sample in samples])
    counts = np.array([np.bincount(s.labels.ravel(), minlength=256)[:classes] for s in samples], dtype=np.float64)
    areas = np.array([sample.labelled_m2 for sample in samples])
    within = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    sill = float(np.average((1 - (within**2).sum(axis=1)) / 2, weights=areas))
    used = tally.pairs > 0
    if sill <= 0 or used.sum() < 3:
        raise InputError("the labels are of one class or too few for a variogram; set block_m instead")
    pairs = tally.pairs[used]
    lags, by_class = tally.distance[used] / pairs, tally.differing[:, used] / pairs / 2
    gamma = by_class.sum(axis=0) / 2  # a pair that differs does so in two classes
    return Variogram(
        lags_m=lags,
        gamma=gamma,
        by_class=by_class,
        pairs=pairs.astype(np.int64),
        shares=np.average(within, axis=0, weights=areas),
        sill=sill,
        model=fit_model(lags, gamma, pairs, sill),
        extent_m=extent,
        labelled_m2=float(areas.sum()),
    )


def fit_model(
    lags_m: NDArray[np.float64], gamma: NDArray[np.float64], pairs: NDArray[np.float64], sill: float
) -> VariogramModel:
    """The model with the least weighted squares among one exponential, one spherical, and two exponential structures.

    Two structures, which nearly always fit a little better, are taken only where they leave less than a third of the
    squares of the better single one, and where that one is off by more than half a percent of the sill. Weights are
    as `variogram` says.
    """
    weights = pairs / lags_m**2
    cost, single = min((_fit(kinds, lags_m, gamma, weights, sill) for kinds in _SINGLE), key=lambda fit: fit[0])
    if cost <= (_GOOD_ENOUGH * sill) ** 2:
        return single
    nested_cost, nested = _fit(_NESTED, lags_m, gamma, weights, sill)
    return nested if nested_cost < _NESTED_GAIN * cost else single


def _fit(
    kinds: tuple[str, ...],
    lags_m: NDArray[np.float64],
    gamma: NDArray[np.float64],
    weights: NDArray[np.float64],
    sill: float,
) -> tuple[float, VariogramModel]:
    """The weighted mean of the squared misfit, and the model of these structures that makes it least."""
    roots = np.sqrt(weights / weights.sum())

    def misfit(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
        residuals: NDArray[np.float64] = roots * (_model(kinds, sill, parameters).at(lags_m) - gamma) / sill
        return residuals

    n = len(kinds)
    shortest, longest = math.log(lags_m[0] / 100), math.log(lags_m[-1] * 100)
    bounds = ([0.0] * n + [shortest] * n, [1.0] * n + [longest] * n)
    fits = []
    for reached in _REACHED:  # where the search starts: a structure far from its scale feels no slope
        scale = math.log(_first_above(reached * sill, lags_m, gamma))
        start = [0.05, scale] if n == 1 else [0.2, 0.5, scale - 1, scale + 1]
        fits.append(optimize.least_squares(misfit, start, bounds=bounds))
    best = min(fits, key=lambda fit: float(fit.cost))
    return 2 * float(best.cost) * sill**2, _model(kinds, sill, best.x)


def _first_above(level: float, lags_m: NDArray[np.float64], gamma: NDArray[np.float64]) -> float:
    above = gamma >= level
    return float(lags_m[np.argmax(above)] if above.any() else lags_m[-1])


def suggest_block_m(found: Variogram, shares: Sequence[float]) -> BlockAdvice:
    """A side for square blocks: the range, as far as every fold still gets blocks enough.

    Blocks as long as the range make neighbouring blocks nearly independent (Roberts et al. 2017,
    doi:10.1111/ecog.02881). At most it is as long as leaves `MIN_BLOCKS_PER_FOLD` blocks of labelled ground to the
    smallest fold; at least as long as `MAX_BLOCKS` allow.

    Args:
        found: the labels' variogram.
        shares: of the folds or parts; those of 0 count for nothing.
    """
    needed = math.ceil(MIN_BLOCKS_PER_FOLD / min(share for share in shares if share > 0) - 1e-9)
    longest = math.sqrt(found.labelled_m2 / needed)
    shortest = math.sqrt(4 * found.labelled_m2 / MAX_BLOCKS)
    wanted = found.extent_m / 2 if found.at_least else found.range_m
    seen = f"the range is {'at least ' if found.at_least else ''}{wanted:.0f} m"
    if wanted > longest:
        block = _two_digits(longest, math.floor)
        reason = (
            f"{seen}, but blocks longer than {block:g} m would be fewer than {needed} on the labelled "
            f"{found.labelled_m2 / 1e6:.4g} km², and the smallest fold would get fewer than {MIN_BLOCKS_PER_FOLD}"
        )
    elif wanted < shortest:
        block = _two_digits(shortest, math.ceil)
        reason = f"{seen}, but blocks shorter than {block:g} m would be too many to deal"
    else:
        block, reason = _two_digits(wanted, round), f"{seen}, rounded to two digits"
    return BlockAdvice(block_m=block, reason=f"blocks of {block:g} m: {reason}")


def _two_digits(length: float, rounding: Callable[[float], int]) -> float:
    unit = 10.0 ** (math.floor(math.log10(length)) - 1)
    return round(rounding(length / unit) * unit, 9)


def _decimate(classes_of: ClassMap, max_side: int) -> _Sample | None:
    """Every n-th pixel of every n-th row, which keeps classes and shares as they are; cropped to the labels."""
    grid = classes_of.grid
    step = math.ceil(max(grid.shape) / max_side)
    rows = []
    with classes_of.reader() as reader:
        for window in strip_windows(grid):
            first = (step // 2 - window.row) % step
            rows.append(reader.read(window)[first::step, step // 2 :: step])
    labels = np.concatenate(rows)
    known = labels != UNLABELLED
    if not known.any():
        return None
    row, col = (np.flatnonzero(known.any(axis=axis)) for axis in (1, 0))
    labels = labels[row[0] : row[-1] + 1, col[0] : col[-1] + 1]
    return _Sample(labels=labels, spacing=_spacing(grid, step))


def _spacing(grid: Grid, step: int) -> tuple[float, float]:
    down, along = grid.gsd_m
    return down * step, along * step


def _edges(pixel: float, longest: float) -> NDArray[np.float64]:
    """Borders of lag bins: about each multiple of the pixel, then each bin wider than the one before."""
    edges = [(i + 0.5) * pixel for i in range(_FINE_BINS + 1)]
    while edges[-1] < longest:
        edges.append(edges[-1] * _GROWTH)
    return np.array([edge for edge in edges if edge < longest * _GROWTH])


def _sum(tallies: Sequence[_Tally]) -> _Tally:
    total = tallies[0]
    for tally in tallies[1:]:
        total += tally
    return total


def _tally(sample: _Sample, classes: int, edges: NDArray[np.float64]) -> _Tally:
    """Sums over all pairs of labelled pixels, each counted once."""
    lags = [
        min(n - 1, math.ceil(edges[-1] / step)) for n, step in zip(sample.labels.shape, sample.spacing, strict=True)
    ]
    size = [fft.next_fast_len(n + lag, real=True) for n, lag in zip(sample.labels.shape, lags, strict=True)]
    down, along = np.arange(-lags[0], lags[0] + 1), np.arange(lags[1] + 1)
    distance = np.hypot(down[:, None] * sample.spacing[0], along * sample.spacing[1])
    bins = np.digitize(distance, edges)  # 0 = too near (the pixel itself), len(edges) = too far
    bins[: lags[0] + 1, 0] = 0  # straight up is straight down, seen from the other pixel

    def binned(spectrum: NDArray[np.complex128], weight: NDArray[np.float64] | float = 1.0) -> NDArray[np.float64]:
        pairs = np.rint(fft.irfft2(spectrum, size)[down, : lags[1] + 1]) * weight
        sums = np.bincount(bins.ravel(), weights=pairs.ravel(), minlength=len(edges) + 1)
        return np.asarray(sums, dtype=np.float64)[1:-1]

    mask = fft.rfft2(sample.labels != UNLABELLED, size)
    power = (mask * mask.conj()).real
    differing = np.zeros((classes, len(edges) - 1))
    for index in np.unique(sample.labels[sample.labels < classes]):
        own = fft.rfft2(sample.labels == index, size)
        # pairs with one of the class and one of any, from both ends, less those of two of the class
        differing[index] = binned(2 * (own * mask.conj()).real - 2 * (own * own.conj()).real)
    return _Tally(pairs=binned(power), distance=binned(power, distance), differing=differing)


def _model(kinds: tuple[str, ...], sill: float, parameters: NDArray[np.float64]) -> VariogramModel:
    """Of the nugget's share, then of each structure but the last its share of what is left, then the log scales."""
    n = len(kinds)
    left, structures = 1.0 - float(parameters[0]), []
    for i, kind in enumerate(kinds):
        share = left if i == n - 1 else left * float(parameters[1 + i])
        left -= share
        structures.append(Structure(kind=kind, share=share, scale_m=math.exp(parameters[n + i])))
    return VariogramModel(sill=sill, structures=tuple(structures))


def _exponential(r: NDArray[np.float64]) -> NDArray[np.float64]:
    rise: NDArray[np.float64] = 1 - np.exp(-r)
    return rise


def _spherical(r: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.minimum(r, 1)
    rise: NDArray[np.float64] = (3 * inside - inside**3) / 2
    return rise


_SHAPES: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "exponential": _exponential,
    "spherical": _spherical,
}
_SINGLE = (("exponential",), ("spherical",))
_NESTED = ("exponential", "exponential")
