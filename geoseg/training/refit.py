"""Decoupled training: the last layer learns again, from balanced chips, while the features stay as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

import torch
from segmentation_models_pytorch.base.initialization import initialize_head
from torch import Tensor, nn

from geoseg.training.config import TrainConfig

_HEAD = "segmentation_head"


class HeadOnly(nn.Module):
    """A network of which only the last layer learns, from new random weights.

    Everything before it is in evaluation mode at all times, so that statistics of batch norm stay as they are, too
    (classifier re-training, Kang et al. 2020, arXiv:1910.09217).
    """

    def __init__(self, network: nn.Module, seed: int) -> None:
        super().__init__()
        self.network = network.requires_grad_(requires_grad=False)
        head = network.get_submodule(_HEAD).requires_grad_(requires_grad=True)
        torch.manual_seed(seed)
        initialize_head(head)
        self.train()

    def train(self, mode: bool = True) -> Self:
        """Training mode, for the last layer."""
        super().train(mode=False)
        self.network.get_submodule(_HEAD).train(mode)
        return self

    def forward(self, pixels: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.network(pixels)
        return logits


def refit_config(config: TrainConfig) -> TrainConfig | None:
    """The config of the second training, of a network whose features are learned; None where none is wanted.

    Every class is drawn alike, as far as it occurs, hard ground no more often than other ground.
    """
    wanted = config.fit.refit
    if wanted is None:
        return None
    changes = {"epochs": wanted.epochs, "learning_rate": wanted.learning_rate}
    plain = {"refit": None, "ema": None, "patience": None, "encoder_rate": 1.0}
    return config.model_copy(
        update={
            "fit": config.fit.model_copy(update=changes | plain),
            "sampling": replace(config.sampling, class_share=1.0, minimum_share=0.0, hard=0.0),
        }
    )
