"""Losses that know how far a pixel lies from a border; distances are in pixels of the chip.

For logits and targets see `geoseg.losses.pixel`. Soft labels have their border where the likeliest class changes.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.options import STRICT, NotNegative
from geoseg.losses.distance import border_distance, near_border, signed_distance
from geoseg.losses.drawn import Drawn
from geoseg.losses.schedule import Weight
from geoseg.losses.target import as_shares, labelled, likeliest, mean_over


def boundary_cross_entropy(logits: Tensor, target: Tensor, *, factor: float = 3.0, width: int = 2) -> Tensor:
    """Cross-entropy whose mean weighs pixels within `width` pixels of another class by `factor`.

    Above 1 for sharp outlines, below 1 where outlines are not to be trusted, 0 to leave them out.
    """
    shares = as_shares(target, logits)
    near = near_border(likeliest(target), logits.shape[1], width)
    weights = labelled(target).to(logits.dtype) * (1 + (factor - 1) * near)
    return mean_over(-(shares * logits.log_softmax(dim=1)).sum(dim=1), weights)


def boundary(logits: Tensor, target: Tensor) -> Tensor:
    """Probability times signed distance to the true border, in sides of the chip: Kervadec et al. 2021.

    doi:10.1016/j.media.2020.101851 (arXiv:1812.07032), equation 5, mean over labelled pixels, sum over classes. It is
    negative for good maps, and flat where all is wrong: for use beside another loss, with a weight that grows.
    """
    distances = signed_distance(likeliest(target), logits.shape[1], logits) / max(logits.shape[2:])
    return mean_over((logits.softmax(dim=1) * distances).sum(dim=1), labelled(target).to(logits.dtype))


def hausdorff(logits: Tensor, target: Tensor, *, alpha: float = 2.0) -> Tensor:
    """Squared error times distance to the power of `alpha`, to the true and to the mapped border, in sides of the chip.

    Karimi and Salcudean 2019, arXiv:1904.10030, equation 8: a smooth stand-in for the Hausdorff distance. Mean over
    labelled pixels, sum over classes. The mapped border is that of the likeliest class, and as good as constant for
    the gradient.
    """
    chances, known = logits.softmax(dim=1), labelled(target)
    truth, count, side = as_shares(target, logits), logits.shape[1], max(logits.shape[2:])
    mapped = logits.detach().argmax(dim=1).to(target.device).byte().masked_fill(~known, 255)
    apart = sum((border_distance(classes, count, logits) / side) ** alpha for classes in (likeliest(target), mapped))
    return mean_over(((chances - truth) ** 2 * apart).sum(dim=1), known.to(logits.dtype))


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class BoundaryCrossEntropy:
    """Cross-entropy with more, or less, weight along the borders between classes."""

    weight: Weight = 1.0
    factor: NotNegative = 3.0
    """Weight of pixels along borders: above 1 for sharp outlines, below 1 where outlines are not to be trusted."""
    width: Annotated[int, Field(ge=1)] = 2
    """How far from another class, in pixels."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return boundary_cross_entropy(logits, target, factor=self.factor, width=self.width)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Boundary:
    """Distance by which probability lies outside of its class: beside another loss, with a weight that grows."""

    weight: Weight = 1.0

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return boundary(logits, target)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Hausdorff:
    """Errors weigh the more the farther they lie from a border: against islands and gaps. Beside another loss."""

    weight: Weight = 1.0
    alpha: Annotated[float, Field(gt=0)] = 2.0
    """Power of the distance."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn) -> Tensor:
        """The loss of a batch."""
        del drawn
        return hausdorff(logits, target, alpha=self.alpha)
