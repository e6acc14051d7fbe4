"""One network learning: the loss, the optimiser and the validation of a LightningModule."""

from __future__ import annotations

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from geoseg.core.legend import Legend
from geoseg.evaluation.confusion import Confusion
from geoseg.losses.pixel import cross_entropy
from geoseg.losses.region import dice
from geoseg.training.config import FitConfig


class SegmentationTask(LightningModule):
    """Trains a network that maps (chip, channel, row, col) to logits; the best epoch is that of highest `val_miou`."""

    def __init__(self, network: nn.Module, legend: Legend, fit: FitConfig, class_weights: Tensor | None) -> None:
        super().__init__()
        self.network = network
        self._legend = legend
        self._fit = fit
        self.register_buffer("_class_weights", class_weights, persistent=False)
        self._confusion = Confusion.empty(legend)

    def training_step(self, batch: tuple[Tensor, Tensor], _batch_index: int) -> Tensor:
        """The weighted sum of the losses on one batch."""
        channels, labels = batch
        logits = self.network(channels)
        weights = self._class_weights if isinstance(self._class_weights, Tensor) else None
        loss = self._fit.cross_entropy * cross_entropy(logits, labels, weights) + self._fit.dice * dice(logits, labels)
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(channels))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Start to count anew."""
        self._confusion = Confusion.empty(self._legend)

    def validation_step(self, batch: tuple[Tensor, Tensor], _batch_index: int) -> None:
        """Count one batch."""
        channels, labels = batch
        guess = self.network(channels).argmax(dim=1).to(torch.uint8)
        self._confusion = self._confusion + Confusion.count(labels.cpu().numpy(), guess.cpu().numpy(), self._legend)

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of the validation fold; 0 where it is undefined."""
        self.log("val_miou", float(np.nan_to_num(self._confusion.mean_iou)))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with one warm-up cosine cycle over all steps."""
        optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=self._fit.learning_rate, weight_decay=self._fit.weight_decay
        )
        steps = int(self.trainer.estimated_stepping_batches)
        warm_up = max(0.1, 2 / steps)  # at least two steps, else torch divides by zero
        schedule = OneCycleLR(optimiser, max_lr=self._fit.learning_rate, total_steps=steps, pct_start=warm_up)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
