"""Losses that judge each pixel on its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from geoseg.core.legend import UNLABELLED


def cross_entropy(logits: Tensor, target: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the labelled pixels; 0 (with a gradient of 0) where none is labelled.

    Args:
        logits: (chip, class, row, col).
        target: class indices, uint8 (chip, row, col), 255 = unlabelled; or class shares, floating point (chip, class,
            row, col), all 0 where unlabelled.
        class_weights: (class,), or None for equal weights; the mean is weighted by them too.
    """
    if target.is_floating_point():
        weighted = target if class_weights is None else target * class_weights[:, None, None]
        losses, weight = -(weighted * logits.log_softmax(dim=1)).sum(), weighted.sum()
    else:
        losses = functional.cross_entropy(
            logits, target.long(), weight=class_weights, ignore_index=UNLABELLED, reduction="sum"
        )
        labelled = target[target != UNLABELLED].long()
        weights = torch.ones_like(labelled, dtype=logits.dtype) if class_weights is None else class_weights[labelled]
        weight = weights.sum()
    return losses / weight.clamp(min=torch.finfo(logits.dtype).tiny)
