"""One label from many: later sources over earlier ones, and what several annotators agree on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.core.legend import UNLABELLED
from geoseg.data.ground import LabelWindow


def one_hot(classes: NDArray[np.uint8], count: int) -> NDArray[np.float32]:
    """Shares of certain labels: 1 for the class, shape (class, row, col); 0 for all where unlabelled."""
    shares: NDArray[np.float32] = (classes == np.arange(count, dtype=np.uint8)[:, None, None]).astype(np.float32)
    return shares


def likeliest(shares: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The class with the largest share, shape (row, col), of equals the first; 255 where all are 0."""
    return np.where(shares.any(axis=0), shares.argmax(axis=0), UNLABELLED).astype(np.uint8)


def shares_of(labels: LabelWindow, count: int) -> NDArray[np.float32]:
    """The shares of soft or certain labels, shape (class, row, col)."""
    return one_hot(labels.classes, count) if labels.shares is None else labels.shares


def cover(layers: Sequence[LabelWindow], count: int) -> LabelWindow:
    """Labels of several layers: each covers the ones before it wherever it is labelled.

    Args:
        layers: of one window, at least one; soft if one of them is.
        count: of classes.
    """
    if len(layers) == 1:
        return layers[0]
    classes = layers[0].classes
    silent = layers[0].silent
    for layer in layers[1:]:
        classes = np.where(layer.classes == UNLABELLED, classes, layer.classes)
        silent = silent & layer.silent
    ignored = (classes == UNLABELLED) & ~silent
    if all(layer.shares is None for layer in layers):
        return LabelWindow(classes=classes, ignored=ignored)
    shares = shares_of(layers[0], count)
    for layer in layers[1:]:
        shares = np.where(layer.classes == UNLABELLED, shares, shares_of(layer, count))
    return LabelWindow(classes=classes, shares=shares, ignored=ignored)


def fill(labels: LabelWindow, where: NDArray[np.bool_], index: int) -> LabelWindow:
    """Labels with a class where `where` is True, shape (row, col)."""
    shares = labels.shares
    if shares is not None:
        shares = np.where(where, (np.arange(len(shares)) == index)[:, None, None], shares).astype(np.float32)
    return LabelWindow(classes=np.where(where, index, labels.classes).astype(np.uint8), shares=shares)


def majority(opinions: Sequence[LabelWindow], count: int) -> LabelWindow:
    """The class that most annotators chose who labelled a pixel; 255 where two classes have as many votes."""
    votes = np.zeros((count, *opinions[0].classes.shape), dtype=np.uint16)
    for opinion in opinions:
        for i in np.unique(opinion.classes):
            if i != UNLABELLED:
                votes[i] += opinion.classes == i
    most = votes.max(axis=0)
    decided = (most > 0) & ((votes == most).sum(axis=0) == 1)
    return LabelWindow(classes=np.where(decided, votes.argmax(axis=0), UNLABELLED).astype(np.uint8))


def unanimous(opinions: Sequence[LabelWindow], count: int) -> LabelWindow:  # noqa: ARG001  (all rules are called alike)
    """The class that all annotators chose who labelled a pixel; 255 where two of them differ."""
    classes = opinions[0].classes
    same = np.ones(classes.shape, dtype=np.bool_)
    for opinion in opinions[1:]:
        same &= (opinion.classes == classes) | (opinion.classes == UNLABELLED) | (classes == UNLABELLED)
        classes = np.where(classes == UNLABELLED, opinion.classes, classes)
    return LabelWindow(classes=np.where(same, classes, UNLABELLED).astype(np.uint8))


def mean_shares(opinions: Sequence[LabelWindow], count: int) -> LabelWindow:
    """The mean of the annotators' shares, over those who labelled a pixel."""
    total = np.zeros((count, *opinions[0].classes.shape), dtype=np.float32)
    votes = np.zeros(opinions[0].classes.shape, dtype=np.float32)
    for opinion in opinions:
        total += shares_of(opinion, count)
        votes += opinion.classes != UNLABELLED
    shares: NDArray[np.float32] = (total / np.maximum(votes, 1)).astype(np.float32)
    return LabelWindow(classes=likeliest(shares), shares=shares)


RULES: dict[str, Callable[[Sequence[LabelWindow], int], LabelWindow]] = {
    "majority": majority,
    "unanimous": unanimous,
    "shares": mean_shares,
}
