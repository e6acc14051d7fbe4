"""Early stopping: no more epochs where the last ones brought nothing."""

from __future__ import annotations

from collections.abc import Sequence

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from geoseg.training.checkpoint import Checkpoints
from geoseg.training.history import Epoch


def epochs_since_best(epochs: Sequence[Epoch]) -> int:
    """How many epochs there were after the (first) one of the highest validation mIoU."""
    scores = [epoch.val_miou for epoch in epochs]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


class Patience(Callback):
    """Stops after `patience` epochs without a better one; it stands after `checkpoints`, whose epochs it reads."""

    def __init__(self, checkpoints: Checkpoints, patience: int) -> None:
        self._checkpoints = checkpoints
        self._patience = patience

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """A training that is resumed may be over already."""
        self.on_train_epoch_end(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Decide."""
        del pl_module
        if epochs_since_best(self._checkpoints.epochs) >= self._patience:
            trainer.should_stop = True
