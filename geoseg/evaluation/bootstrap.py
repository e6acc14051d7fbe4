"""The block bootstrap: how far scores would move if other ground of the same kind had been labelled.

Neighbouring pixels are wrong together, so pixels must not be resampled one by one: whole blocks are (Lahiri 2003,
Resampling Methods for Dependent Data, section 12, doi:10.1007/978-1-4757-3803-2). Intervals are percentiles of the
replicates' scores (Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13.3).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.evaluation.intervals import Interval, Intervals
from geoseg.evaluation.scores import Floats, mapped, support
from geoseg.evaluation.tally import Arrays, Tally, by_class, overall

FEWEST_BLOCKS = 10
"""Fewer blocks give no interval: percentiles of so few draws say nothing about their tails."""
ENOUGH_BLOCKS = 30
"""Fewer blocks give an interval that is called unsure."""
_CLASS_BLOCKS = 5  # a class that lies in fewer has no interval of its own
_DEFINED = 0.9  # of the replicates must define a score
_NUMBERS = 2**23  # in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True)
class BootstrapOptions:
    """The level of the intervals, how often blocks are resampled, and the seed of the draws."""

    confidence: float = 0.95
    replicates: int = 1000
    seed: int = 0


def block_bootstrap(tallies: Sequence[Tally], unit: str, options: BootstrapOptions) -> Intervals | None:
    """Percentile intervals of all scores, from blocks drawn with replacement; None with fewer than `FEWEST_BLOCKS`.

    Args:
        tallies: one a block; blocks without counted pixels are left out.
        unit: what the blocks are, in words.
        options: see there.
    """
    used = [tally for tally in tallies if tally.confusion.pixels]
    if len(used) < FEWEST_BLOCKS:
        return None
    arrays = _stack(used)
    scored = [(overall(counts), by_class(counts)) for counts in _replicates(arrays, options)]
    totals, classes = (_merge(parts) for parts in zip(*scored, strict=True))
    blocks_with = np.count_nonzero(support(arrays.confusion) + mapped(arrays.confusion), axis=0)
    tail = (1 - options.confidence) / 2
    percentiles = {name: _percentiles(values, tail) for name, values in totals.items()}
    return Intervals(
        confidence=options.confidence,
        unit=unit,
        blocks=len(used),
        replicates=options.replicates,
        seed=options.seed,
        overall={name: pair for name, pair in percentiles.items() if pair is not None},
        by_class={
            name: tuple(
                _percentiles(values[:, i], tail) if blocks_with[i] >= _CLASS_BLOCKS else None
                for i in range(values.shape[1])
            )
            for name, values in classes.items()
        },
        unsure=_doubt(used, blocks_with),
    )


def _stack(tallies: Sequence[Tally]) -> Arrays:
    """Counts of all blocks, each of shape (block, ...)."""
    confusions, *others = zip(*(tally.arrays for tally in tallies), strict=True)
    return Arrays(np.stack(confusions), *(None if any(a is None for a in part) else np.stack(part) for part in others))


def _replicates(counts: Arrays, options: BootstrapOptions) -> Iterator[Arrays]:
    """Counts of resampled ground, some replicates at a time, each of shape (replicate, ...)."""
    blocks = len(counts.confusion)
    rng = np.random.default_rng(options.seed)
    at_a_time = max(1, _NUMBERS // (blocks + sum(a[0].size for a in counts if a is not None)))
    for first in range(0, options.replicates, at_a_time):
        some = min(at_a_time, options.replicates - first)
        times = rng.multinomial(blocks, np.full(blocks, 1 / blocks), size=some).astype(np.float64)
        confusion, *others = (None if a is None else _weighted(times, a) for a in counts)
        assert confusion is not None  # noqa: S101  (every tally has one)
        yield Arrays(confusion, *others)


def _weighted(times: Floats, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums in which block i counts `times[:, i]` times; whole numbers below 2**53 are exact in floating point."""
    flat = counts.reshape(len(counts), -1).astype(np.float64)
    return np.rint(times @ flat).astype(np.int64).reshape(len(times), *counts.shape[1:])


def _merge(parts: Sequence[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _percentiles(values: Floats, tail: float) -> Interval | None:
    defined = values[np.isfinite(values)]
    if len(defined) < _DEFINED * len(values):
        return None
    low, high = np.quantile(defined, [tail, 1 - tail]).tolist()
    return low, high


def _doubt(used: Sequence[Tally], blocks_with: NDArray[np.int64]) -> str:
    """Why the intervals may be too narrow."""
    legend = used[0].confusion.legend
    rare = [c.name for c, n in zip(legend, blocks_with.tolist(), strict=True) if 0 < n < _CLASS_BLOCKS]
    doubts = []
    if len(used) < ENOUGH_BLOCKS:
        doubts.append(f"only {len(used)} blocks, fewer than {ENOUGH_BLOCKS}: intervals tend to be too narrow")
    if rare:
        doubts.append(f"{', '.join(rare)} in fewer than {_CLASS_BLOCKS} blocks: means over classes hang on few places")
    return "; ".join(doubts)
