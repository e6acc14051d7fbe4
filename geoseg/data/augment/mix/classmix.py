"""Class-mix: half of the classes of another chip, put over this one."""

from __future__ import annotations

import torch
from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.mix.paste import of_classes, paste
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class ClassMix:
    """All valid pixels of half of a partner's classes are put over a chip, with their labels, where they were there.

    Olsson et al. 2021 (doi:10.1109/WACV48630.2021.00141), with true labels. The partner is another chip that was
    chosen from the same batch; one that was chosen alone stays as it is.
    """

    chance: Chance = 0.3
    """Share of the chips that it is applied to."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips under parts of each other."""
        other = batch.take(random.partners(len(batch)))
        indices = torch.arange(batch.classes, device=batch.device)
        present = torch.stack([((other.labels == i) & other.valid).flatten(1).any(dim=1) for i in indices], dim=1)
        scores = random.uniform(len(batch), batch.classes).masked_fill(~present, 2.0)
        ranks = scores.argsort(dim=1).argsort(dim=1)
        wanted = present & (ranks < (present.sum(dim=1, keepdim=True) + 1) // 2)
        return paste(batch, other, of_classes(other, wanted))
