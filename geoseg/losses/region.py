"""Losses that judge the overlap of whole regions."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from geoseg.core.legend import UNLABELLED


def dice(logits: Tensor, target: Tensor, smooth: float = 1.0) -> Tensor:
    """One minus the soft Dice coefficient, over the whole batch, mean of the classes that occur in it.

    Milletari et al. 2016, doi:10.1109/3DV.2016.79, without squares in the denominator.

    Args:
        logits: (chip, class, row, col).
        target: class indices, uint8 (chip, row, col), 255 = unlabelled and without influence; or class shares, floating
            point (chip, class, row, col), all 0 where unlabelled.
        smooth: added to numerator and denominator, in pixels.
    """
    truth = target if target.is_floating_point() else _shares(target, logits.shape[1])
    guess = logits.softmax(dim=1) * (truth.sum(dim=1, keepdim=True) > 0)
    over = (0, 2, 3)
    overlap, total = (guess * truth).sum(over), (guess + truth).sum(over)
    occurs = truth.sum(over) > 0
    coefficient = (2 * overlap + smooth) / (total + smooth)
    return ((1 - coefficient) * occurs).sum() / occurs.sum().clamp(min=1)


def _shares(target: Tensor, classes: int) -> Tensor:
    """Class indices as shares of 0 and 1, all 0 where unlabelled."""
    labelled = target != UNLABELLED
    return functional.one_hot(target.long() * labelled, classes).movedim(-1, 1) * labelled[:, None]
