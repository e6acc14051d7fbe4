"""What losses compare with: class indices or class shares, with pixels that say nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from geoseg.core.legend import UNLABELLED


def as_shares(target: Tensor, like: Tensor) -> Tensor:
    """A target as class shares (chip, class, row, col) of the type of the logits `like`, all 0 where unlabelled.

    `target` are class indices, uint8 (chip, row, col), 255 = unlabelled, or such shares already.
    """
    if target.is_floating_point():
        return target.to(like.dtype)
    known = target != UNLABELLED
    shares = torch.zeros_like(like, requires_grad=False)
    return shares.scatter_(1, (target * known)[:, None].long(), known[:, None].to(like.dtype))


def labelled(target: Tensor) -> Tensor:
    """Where a target says something, shape (chip, row, col), bool."""
    return target.sum(dim=1) > 0 if target.is_floating_point() else target != UNLABELLED


def likeliest(target: Tensor) -> Tensor:
    """A target as class indices, uint8 (chip, row, col), 255 = unlabelled: of shares the largest."""
    if not target.is_floating_point():
        return target
    return target.argmax(dim=1).to(torch.uint8).masked_fill(~labelled(target), UNLABELLED)


def mean_over(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean of values of one shape; 0, with a gradient of 0, where all weights are 0."""
    return (values * weights).sum() / weights.sum().clamp(min=torch.finfo(values.dtype).tiny)
