"""Losses that judge the overlap of whole regions, over the whole batch, mean of the classes that occur in it.

For logits and targets see `geoseg.losses.pixel`; unlabelled pixels have no influence.
"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.options import STRICT, NotNegative
from geoseg.errors import InputError
from geoseg.losses.drawn import Drawn
from geoseg.losses.schedule import Weight
from geoseg.losses.target import as_shares, labelled

_OVER = (0, 2, 3)


def dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient: Milletari et al. 2016, doi:10.1109/3DV.2016.79, without its squares.

    `smooth` is added to numerator and denominator, in pixels.
    """
    # with half the weights and half the smoothing, Tversky's index is Dice's
    return tversky(logits, target, false_alarms=0.5, misses=0.5, smooth=smooth / 2)


def tversky(
    logits: Tensor,
    target: Tensor,
    *,
    false_alarms: float = 0.3,
    misses: float = 0.7,
    smooth: float = 1.0,
    exponent: float = 1.0,
) -> Tensor:
    """(1 - hits / (hits + a * false alarms + b * misses))^exponent, with `smooth` pixels added to both.

    Salehi et al. 2017, arXiv:1706.05721; with an exponent below 1 (focal Tversky) classes that are nearly right keep
    learning, with one above 1 they hardly count: Abraham and Khan 2019, arXiv:1810.07842, where it is 3/4.
    """
    truth = as_shares(target, logits)
    guess = logits.softmax(dim=1) * labelled(target)[:, None]
    hits = (guess * truth).sum(_OVER)
    wrong = false_alarms * (guess.sum(_OVER) - hits) + misses * (truth.sum(_OVER) - hits)
    occurs = truth.sum(_OVER) > 0
    loss = (wrong / (hits + wrong + smooth).clamp(min=torch.finfo(logits.dtype).tiny)).clamp(min=0)
    if exponent != 1:
        loss = loss.clamp(min=1e-6) ** exponent  # at 0 its slope may be endless
    return (loss * occurs).sum() / occurs.sum().clamp(min=1)


def lovasz(logits: Tensor, target: Tensor) -> Tensor:
    """The Lovasz extension of one minus IoU: Berman et al. 2018, arXiv:1705.08790 (Lovasz-softmax).

    Raises:
        InputError: for labels that are shares, for which it is not defined.
    """
    if target.is_floating_point():
        raise InputError(
            "the loss lovasz needs certain labels, found class shares; use dice or tversky for soft labels"
        )
    known = labelled(target)
    chances, truth = (
        tensor.movedim(1, -1)[known] for tensor in (logits.softmax(dim=1), as_shares(target, logits))
    )  # (pixel, class)
    if not len(truth):
        return logits.sum() * 0
    losses = [_lovasz_hinge(chances[:, c], truth[:, c]) for c in range(truth.shape[1]) if truth[:, c].any()]
    return torch.stack(losses).mean()


def _lovasz_hinge(chance: Tensor, truth: Tensor) -> Tensor:
    """Errors, largest first, times by how much each makes 1 - IoU grow: the paper's algorithm 1."""
    errors, order = (truth - chance).abs().sort(descending=True)
    found = truth[order]
    missed = found.cumsum(0)
    alarms = (1 - found).cumsum(0)
    jaccard = 1 - (found.sum() - missed) / (found.sum() + alarms)
    return (errors * jaccard.diff(prepend=jaccard.new_zeros(1))).sum()


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Dice:
    """Overlap of regions: every class counts alike, however small."""

    weight: Weight = 1.0
    smooth: NotNegative = 1.0
    """Pixels added to both sides of the fraction: against the noise of classes of few pixels."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return dice(logits, target, self.smooth)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Tversky:
    """Overlap in which misses weigh otherwise than false alarms: for small things that must not be missed."""

    weight: Weight = 1.0
    false_alarms: NotNegative = 0.3
    misses: NotNegative = 0.7
    smooth: NotNegative = 1.0

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return tversky(logits, target, false_alarms=self.false_alarms, misses=self.misses, smooth=self.smooth)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class FocalTversky:
    """Tversky to a power: which classes, those nearly right or those quite wrong, drive the learning."""

    weight: Weight = 1.0
    false_alarms: NotNegative = 0.3
    misses: NotNegative = 0.7
    smooth: NotNegative = 1.0
    exponent: Annotated[float, Field(gt=0)] = 0.75

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return tversky(
            logits,
            target,
            false_alarms=self.false_alarms,
            misses=self.misses,
            smooth=self.smooth,
            exponent=self.exponent,
        )


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Lovasz:
    """IoU itself, made smooth: best beside cross-entropy, late in a training. Not for soft labels."""

    weight: Weight = 1.0

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return lovasz(logits, target)
