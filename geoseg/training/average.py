"""The running mean of a network's weights, which is often better than the last ones."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class AverageNetwork(nn.Module):
    """A copy of a network whose weights are the exponential moving average of those that it is shown.

    After step t the average is d * average + (1 - d) * weights, with d = min(decay, (1 + t) / (10 + t)): the warm-up
    keeps the random first weights from lingering (Polyak and Juditsky 1992, https://doi.org/10.1137/0330046; the
    warm-up is that of TensorFlow's ExponentialMovingAverage). Statistics of batch norm are averaged likewise, whole
    numbers are copied.
    """

    steps: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = deepcopy(network).requires_grad_(requires_grad=False)
        self._decay = decay
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits by the averaged weights."""
        logits: Tensor = self.network(pixels)
        return logits

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Take in the weights after a step, counted from 1; a step that is known already makes no difference."""
        if step <= int(self.steps):
            return
        self.steps.fill_(step)
        decay = min(self._decay, (1 + step) / (10 + step))
        new = network.state_dict()
        for name, mean in self.network.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(new[name].to(mean.dtype), 1 - decay)
            else:
                mean.copy_(new[name])
