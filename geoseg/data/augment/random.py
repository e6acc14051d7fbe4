"""Random numbers of one augmentation run: seeded, and drawn on the device where they are used."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Random:
    """A generator of torch with the few draws that augmentations need; all shapes may be empty, for one number."""

    generator: torch.Generator

    @classmethod
    def seeded(cls, seed: int, device: torch.device | str = "cpu") -> Random:
        """The same seed on the same kind of device gives the same numbers."""
        return cls(torch.Generator(device).manual_seed(seed))

    def uniform(self, *shape: int, within: tuple[float, float] = (0.0, 1.0)) -> Tensor:
        """float32, uniform between the two bounds."""
        low, high = within
        return torch.rand(shape, generator=self.generator, device=self.generator.device) * (high - low) + low

    def normal(self, *shape: int) -> Tensor:
        """float32, normal with mean 0 and standard deviation 1."""
        return torch.randn(shape, generator=self.generator, device=self.generator.device)

    def integers(self, *shape: int, below: int) -> Tensor:
        """int64, uniform from 0 to `below` - 1."""
        return torch.randint(below, shape, generator=self.generator, device=self.generator.device)

    def order(self, count: int) -> Tensor:
        """The numbers 0 to `count` - 1 in random order, int64."""
        return torch.randperm(count, generator=self.generator, device=self.generator.device)

    def partners(self, count: int) -> Tensor:
        """For each of so many another one, int64, all of them in one ring of random order; one alone has itself."""
        order = self.order(count)
        found = torch.empty_like(order)
        found[order] = order.roll(1)
        return found

    def chosen(self, count: int, chance: float) -> Tensor:
        """Positions, int64 and rising, of which each of 0 to `count` - 1 is one with the given chance."""
        return torch.nonzero(self.uniform(count) < chance).flatten()
