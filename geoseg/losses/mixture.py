"""The losses there are, by name, and their weighted sum."""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from dataclasses import fields
from typing import Protocol, Self

import torch
from pydantic import model_validator
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.options import STRICT
from geoseg.losses.boundary import Boundary, BoundaryCrossEntropy, Hausdorff
from geoseg.losses.drawn import Drawn
from geoseg.losses.pixel import Bootstrapped, CrossEntropy, Focal, GeneralisedCrossEntropy
from geoseg.losses.region import Dice, FocalTversky, Lovasz, Tversky
from geoseg.losses.schedule import Weight, largest, weight_at
from geoseg.losses.soft import Divergence


class Loss(Protocol):
    """One loss with its options."""

    @property
    def weight(self) -> Weight:
        """In the sum."""

    def __call__(self, logits: Tensor, target: Tensor, drawn: Drawn, /) -> Tensor:
        """The loss of a batch; for logits and target see `geoseg.losses.pixel`."""


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Losses:
    """Losses by name; one that is not named is not used, `{}` takes its defaults. What counts is their weighted sum."""

    cross_entropy: CrossEntropy | None = None
    focal: Focal | None = None
    generalised_cross_entropy: GeneralisedCrossEntropy | None = None
    bootstrapped: Bootstrapped | None = None
    boundary_cross_entropy: BoundaryCrossEntropy | None = None
    divergence: Divergence | None = None
    dice: Dice | None = None
    tversky: Tversky | None = None
    focal_tversky: FocalTversky | None = None
    lovasz: Lovasz | None = None
    boundary: Boundary | None = None
    hausdorff: Hausdorff | None = None

    @model_validator(mode="after")
    def _something_to_learn_from(self) -> Self:
        if not self.chosen:
            msg = f"no loss is named; choose from {', '.join(field.name for field in fields(Losses))}"
            raise ValueError(msg)
        if not any(largest(loss.weight) for loss in self.chosen.values()):
            msg = f"the weight of {' and '.join(self.chosen)} is always 0: nothing would be learned"
            raise ValueError(msg)
        return self

    @property
    def chosen(self) -> dict[str, Loss]:
        """The named losses."""
        named = {field.name: getattr(self, field.name) for field in fields(Losses)}
        return {name: loss for name, loss in named.items() if loss is not None}


USUAL = Losses(cross_entropy=CrossEntropy(), dice=Dice())


@plain_dataclass(frozen=True, slots=True, kw_only=True)
class Summed:
    """The weighted sum of losses, and each alone, without its weight."""

    total: Tensor
    parts: dict[str, Tensor]


def summed(losses: Losses, logits: Tensor, target: Tensor, drawn: Drawn, progress: float = 0.0) -> Summed:
    """All losses of a batch whose weight is not 0 after this share of the training's steps, in float32 or finer.

    Args:
        losses: which.
        logits: (chip, class, row, col).
        target: class indices or shares; see `geoseg.losses.target`.
        drawn: what the training draws.
        progress: from 0 to 1.
    """
    weights = {name: weight_at(loss.weight, progress) for name, loss in losses.chosen.items()}
    with torch.autocast(logits.device.type, enabled=False):
        exact = logits if logits.dtype == torch.float64 else logits.float()
        parts = {name: loss(exact, target, drawn) for name, loss in losses.chosen.items() if weights[name]}
        total = sum((weights[name] * part for name, part in parts.items()), start=exact.sum() * 0)
    return Summed(total=total, parts=parts)
