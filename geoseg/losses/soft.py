"""Losses for labels that are shares."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.options import STRICT
from geoseg.losses.drawn import Drawn
from geoseg.losses.schedule import Weight
from geoseg.losses.target import as_shares, labelled, mean_over


def divergence(logits: Tensor, target: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of the network's probabilities from the target's shares, in nats.

    Kullback and Leibler 1951, doi:10.1214/aoms/1177729694. It is cross-entropy less the entropy of the shares, so that
    its gradient is the same and its best value is 0. Over the labelled pixels; 0 where none is.
    """
    shares = as_shares(target, logits)
    each = (torch.xlogy(shares, shares) - shares * logits.log_softmax(dim=1)).sum(dim=1)
    return mean_over(each, labelled(target).to(logits.dtype))


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Divergence:
    """Kullback-Leibler divergence from class shares: cross-entropy whose best value is 0 for soft labels, too."""

    weight: Weight = 1.0

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return divergence(logits, target)
