"""A loss that is not a number: which chips it came from, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.stack import Stack
from geoseg.errors import InputError

_NAMED = 4  # more chips than this are counted only


def not_finite(where: str, batch: Stack, chips: Batch, losses: Tensor, scenes: Sequence[str]) -> InputError:
    """The error for a loss that is NaN or infinite.

    Args:
        where: epoch and step, in words.
        batch: the chips as they are stored.
        chips: the same, augmented.
        losses: of the chips, one by one, shape (chip,).
        scenes: names by number.
    """
    values = torch.isfinite(chips.values).flatten(1).all(dim=1)
    numbers = torch.isfinite(batch.data.float()).flatten(1).all(dim=1)
    good = torch.isfinite(losses)
    if not numbers.all():
        bad, reason = ~numbers, "they hold values that are not numbers; name them as `nodata` of the scene, or mend it"
    elif not values.all():
        bad, reason = ~values, "augmentation made values of them that are not numbers; leave it out"
    elif good.any() and not good.all():
        bad, reason = ~good, "look at their values and labels, or lower fit.learning_rate"
    else:
        bad, reason = torch.ones_like(values), "the network has diverged; lower fit.learning_rate"
    chosen = bad.nonzero().flatten().tolist()
    places = [_place(batch, i, scenes) for i in chosen[:_NAMED]]
    more = f" and {len(chosen) - _NAMED} more" if len(chosen) > _NAMED else ""
    return InputError(f"the loss is not a finite number in {where}, at {'; '.join(places)}{more}: {reason}")


def _place(batch: Stack, i: int, scenes: Sequence[str]) -> str:
    """Scene, rows and columns of a chip, from 0, the last ones included."""
    scene, row, col = batch.places[i].tolist()
    height, width = batch.data.shape[-2:]
    name = scenes[scene] if 0 <= scene < len(scenes) else "an unknown scene"
    return f"{name} rows {row}-{row + height - 1}, cols {col}-{col + width - 1}"


def losses_by_chip(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    """The loss of every chip alone, shape (chip,)."""
    return torch.stack([loss(one[None], truth[None]) for one, truth in zip(logits, target, strict=True)])
