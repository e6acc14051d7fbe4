"""Dealing: each block goes to a part, so that every part holds about its share of every class."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_TIE = 1e-9


def deal(pixels: NDArray[np.int64], shares: Sequence[float], seed: int) -> NDArray[np.int64]:
    """Give every block to a part: stratified by class content, deterministic by seed.

    Blocks that hold most of some class are dealt first, each to the part that lacks most of what it holds: the
    stratification by greatest need of Sechidis, Tsoumakas and Vlahavas (2011, ECML PKDD, p. 145-158,
    doi:10.1007/978-3-642-23808-6_10), with the part of a class's pixels that a block holds in place of single
    labels, and less what would be too much: a block with most of a rare class goes to a large part. Blocks whose
    largest such part is alike within a factor of two are dealt in random order, so that each seed gives another
    split. Every part gets a block.

    Args:
        pixels: labelled pixels of each class in every block, shape (block, class); no block without any.
        shares: of the parts, all above 0, summing to 1; not more of them than blocks.
        seed: of the order.

    Returns:
        The part of every block, shape (block,).
    """
    rng = np.random.default_rng(seed)
    holds = pixels / np.maximum(pixels.sum(axis=0), 1)
    octave = np.floor(-np.log2(holds.max(axis=1)))
    order = np.lexsort((rng.random(len(holds)), octave))
    target = np.asarray(shares, dtype=np.float64)[:, None]
    have = np.zeros((len(target), pixels.shape[1]))
    parts = np.zeros(len(holds), dtype=np.int64)
    for position, i in enumerate(order):
        parts[i] = _neediest(target, have, holds[i], left=len(order) - position)
        have[parts[i]] += holds[i]
    return parts


def _neediest(target: NDArray[np.float64], have: NDArray[np.float64], block: NDArray[np.float64], *, left: int) -> int:
    """The part whose chi-squared distance from its target falls most; among equals, the one that lacks most of all.

    The distance is Σ (have - target)² / target over parts and classes.
    """
    lacks = (target - have) / target
    need = lacks @ block - (block**2 / target).sum(axis=1) / 2
    empty = ~have.any(axis=1)
    if empty.sum() >= left:  # the last blocks are kept for the parts that have none
        need[~empty] = -np.inf
    candidates = np.flatnonzero(need >= need.max() - _TIE * block.sum())
    return int(candidates[np.argmax(lacks.sum(axis=1)[candidates])])
