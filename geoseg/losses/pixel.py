"""Losses that judge each pixel on its own: means over the labelled pixels, 0 where none is labelled.

All take logits (chip, class, row, col) and a target as in `geoseg.losses.target`; `class_weights`, shape (class,),
weigh the classes in the mean, None = alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn import functional

from geoseg.core.legend import UNLABELLED
from geoseg.data.options import STRICT, Chance, NotNegative
from geoseg.losses.drawn import ClassWeights, Drawn, effective_number, inverse_frequency
from geoseg.losses.schedule import Weight
from geoseg.losses.target import as_shares, labelled, mean_over

Beta = Annotated[float, Field(gt=0, lt=1)]


def cross_entropy(
    logits: Tensor, target: Tensor, class_weights: Tensor | None = None, *, smoothing: float = 0.0
) -> Tensor:
    """Minus the logarithm of the truth's probability.

    With `smoothing` s (Szegedy et al. 2016, arXiv:1512.00567, section 7) the truth is 1 - s sure, and s is spread
    evenly over all classes.
    """
    if target.is_floating_point() or smoothing:
        shares = as_shares(target, logits)
        weight = _weighted(shares, class_weights).sum()
        known = labelled(target)[:, None]
        smooth = shares if not smoothing else (1 - smoothing) * shares + smoothing / logits.shape[1] * known
        losses = -(_weighted(smooth, class_weights) * logits.log_softmax(dim=1)).sum()
    else:
        losses = functional.cross_entropy(
            logits, target.long(), weight=class_weights, ignore_index=UNLABELLED, reduction="sum"
        )
        classes = target[target != UNLABELLED].long()
        weights = torch.ones_like(classes, dtype=logits.dtype) if class_weights is None else class_weights[classes]
        weight = weights.sum()
    return losses / weight.clamp(min=torch.finfo(logits.dtype).tiny)


def focal(logits: Tensor, target: Tensor, class_weights: Tensor | None = None, *, gamma: float = 2.0) -> Tensor:
    """Cross-entropy times (1 - p)^gamma: what is right already counts little (Lin et al. 2017, arXiv:1708.02002)."""
    log = logits.log_softmax(dim=1)
    shares = _weighted(as_shares(target, logits), class_weights)
    # 1 - p can be 0 to the last bit, where a power has no finite slope
    return mean_over(-((-torch.expm1(log)).clamp(min=1e-12) ** gamma) * log, shares)


def generalised_cross_entropy(logits: Tensor, target: Tensor, *, q: float = 0.7) -> Tensor:
    """(1 - p^q) / q, between cross-entropy (q = 0) and mean absolute error (q = 1), which wrong labels move less.

    Zhang and Sabuncu 2018, arXiv:1805.07836.
    """
    log = logits.log_softmax(dim=1)
    return mean_over(-torch.expm1(q * log) / q, as_shares(target, logits))


def bootstrapped(logits: Tensor, target: Tensor, *, kind: str = "soft", beta: float = 0.95) -> Tensor:
    """Cross-entropy with labels that are believed by `beta`, and the network's own opinion by the rest.

    Its opinion is its probabilities ("soft") or its likeliest class ("hard"): Reed et al. 2015, arXiv:1412.6596, whose
    values of beta are 0.95 and 0.8.
    """
    log = logits.log_softmax(dim=1)
    opinion = log.exp() if kind == "soft" else as_shares(logits.argmax(dim=1).to(torch.uint8), logits)
    believed = beta * as_shares(target, logits) + (1 - beta) * opinion
    known = labelled(target).to(logits.dtype)
    return mean_over(-(believed * log).sum(dim=1), known)


def hardest(logits: Tensor, target: Tensor, *, share: float = 0.25) -> Tensor:
    """Mean cross-entropy over the share of a batch's labelled pixels that have the highest (at least one pixel)."""
    losses = -(as_shares(target, logits) * logits.log_softmax(dim=1)).sum(dim=1)[labelled(target)]
    if not losses.numel():
        return logits.sum() * 0
    return losses.topk(max(1, round(share * losses.numel()))).values.mean()


def _weighted(shares: Tensor, class_weights: Tensor | None) -> Tensor:
    return shares if class_weights is None else shares * class_weights[:, None, None]


def class_weights_of(how: ClassWeights, power: float, beta: float, drawn: Drawn, like: Tensor) -> Tensor | None:
    """Weights of the classes as a tensor like the logits; None = alike."""
    if how == "none":
        return None
    weights = inverse_frequency(drawn, power) if how == "inverse_frequency" else effective_number(drawn, beta)
    return torch.as_tensor(weights, dtype=like.dtype, device=like.device)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class CrossEntropy:
    """Minus the logarithm of the truth's probability: the usual loss."""

    weight: Weight = 1.0
    """Of this loss in the sum; a number or a schedule."""
    class_weights: ClassWeights = "none"
    """Rare classes weigh more: by (share among the drawn pixels)^-power, or by the effective number of pixels."""
    power: Chance = 1.0
    """Of `inverse_frequency`; 0 = all alike, 1 = every class weighs as much in all."""
    beta: Beta = 0.99999
    """Of `effective_number`: at most 1 / (1 - beta) pixels of a class count."""
    smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """So much of the truth is spread evenly over all classes."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        weights = class_weights_of(self.class_weights, self.power, self.beta, drawn, logits)
        return cross_entropy(logits, target, weights, smoothing=self.smoothing)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Focal:
    """Cross-entropy in which pixels that are right already count little: for rare and hard classes."""

    weight: Weight = 1.0
    gamma: NotNegative = 2.0
    """How little; 0 = cross-entropy."""
    class_weights: ClassWeights = "none"
    """As in `cross_entropy`."""
    power: Chance = 1.0
    beta: Beta = 0.99999

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        weights = class_weights_of(self.class_weights, self.power, self.beta, drawn, logits)
        return focal(logits, target, weights, gamma=self.gamma)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeneralisedCrossEntropy:
    """Between cross-entropy and mean absolute error: for labels of which many are wrong."""

    weight: Weight = 1.0
    q: Annotated[float, Field(gt=0, le=1)] = 0.7
    """Towards 0 cross-entropy, 1 = mean absolute error, which is surest against wrong labels and slowest to learn."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return generalised_cross_entropy(logits, target, q=self.q)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Bootstrapped:
    """Cross-entropy that believes labels only in part, or looks at the hardest pixels only."""

    weight: Weight = 1.0
    kind: Literal["soft", "hard", "hardest"] = "soft"
    """What stands beside the labels: the network's probabilities or its likeliest class, for wrong labels; or nothing,
    and only the hardest pixels of a batch count, for rare and small things."""
    beta: Chance = 0.95
    """How far labels are believed, for `soft` and `hard`."""
    share: Annotated[float, Field(gt=0, le=1)] = 0.25
    """Of the pixels that count, for `hardest`."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        if self.kind == "hardest":
            return hardest(logits, target, share=self.share)
        return bootstrapped(logits, target, kind=self.kind, beta=self.beta)
