"""One network learning: the loss, the optimiser and the validation of a LightningModule."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.technique import augment
from geoseg.data.sampling import Difficulty
from geoseg.data.stack import Stack
from geoseg.evaluation.confusion import Confusion
from geoseg.losses.pixel import cross_entropy
from geoseg.losses.region import dice
from geoseg.models.spec import ModelSpec
from geoseg.training.average import AverageNetwork
from geoseg.training.config import TrainConfig
from geoseg.training.faults import losses_by_chip, not_finite
from geoseg.training.rates import parameter_groups


class SegmentationTask(LightningModule):
    """Trains a network that maps (chip, channel, row, col) to logits; the best epoch is that of highest `val_miou`.

    Chips are augmented and become model input where the network is. `difficulty`, where given, is told the mean
    cross-entropy of every chip. `scenes` are names by number.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        config: TrainConfig,
        *,
        class_weights: Tensor | None = None,
        difficulty: Difficulty | None = None,
        scenes: Sequence[str] = (),
    ) -> None:
        super().__init__()
        self.network = network
        self._average = None if config.fit.ema is None else AverageNetwork(network, config.fit.ema)
        self._spec = spec
        self._fit = config.fit
        self._techniques = tuple(config.augment.techniques.values())
        self._seed = config.seed
        self.register_buffer("_class_weights", class_weights, persistent=False)
        self._difficulty = difficulty
        self._scenes = tuple(scenes)
        self._confusion = Confusion.empty(spec.legend)

    @property
    def judged(self) -> nn.Module:
        """The network that is validated and kept: the average of all steps, if there is one."""
        return self.network if self._average is None else self._average.network

    def transfer_batch_to_device(self, batch: Stack, device: torch.device, dataloader_idx: int) -> Stack:
        """Chips go to the device as they are stored, which is less than their physical values."""
        del dataloader_idx
        return batch.to(device)

    def training_step(self, batch: Stack, batch_index: int) -> Tensor:
        """The weighted sum of the losses on one batch; the difficulty is that of the main logits.

        Raises:
            InputError: a loss that is not finite; it names the chips.
        """
        chips = augment(physical(batch, self._spec), self._techniques, self._random(batch_index))
        outputs = self.network(chips.model_input(self._spec.indices))
        logits, *auxiliary = outputs if isinstance(outputs, tuple) else (outputs,)
        if self._difficulty is not None:
            self._difficulty.update(batch.cells, _loss_by_chip(logits.detach(), chips.target).cpu().numpy())
        loss = self._loss(logits, chips.target)
        if auxiliary:
            losses = torch.stack([self._loss(coarser, chips.target) for coarser in auxiliary])
            loss = loss + self._fit.auxiliary * losses.mean()
        if not torch.isfinite(loss):
            where = f"epoch {self.current_epoch}, step {batch_index}"
            raise not_finite(
                where, batch, chips, losses_by_chip(self._loss, logits.detach(), chips.target), self._scenes
            )
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(chips))
        return loss

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        weights = self._class_weights if isinstance(self._class_weights, Tensor) else None
        loss = self._fit.cross_entropy * cross_entropy(logits, target, weights)
        return loss + self._fit.dice * dice(logits, target)

    def _random(self, batch_index: int) -> Random:
        """Numbers that depend on the seed, the epoch and the batch alone, so that nothing before matters."""
        state = np.random.SeedSequence((self._seed, self.current_epoch, batch_index)).generate_state(1, np.uint64)
        return Random.seeded(int(state[0] >> 1), self.device)

    def on_train_batch_end(self, *_: object) -> None:
        """Take the weights into the average, where a step was made."""
        if self._average is not None:
            self._average.update(self.network, self.trainer.global_step)

    def on_validation_epoch_start(self) -> None:
        """Start to count anew."""
        self._confusion = Confusion.empty(self._spec.legend)

    def validation_step(self, batch: Stack, _batch_index: int) -> None:
        """Count one batch."""
        self._confusion = self._confusion + count(self.judged, batch, self._spec)

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of the validation fold; 0 where it is undefined."""
        self.log("val_miou", float(np.nan_to_num(self._confusion.mean_iou)))

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW with one warm-up cosine cycle over all steps."""
        groups = parameter_groups(self.network, self._fit.learning_rate, self._fit.encoder_rate)
        optimiser = torch.optim.AdamW(groups, weight_decay=self._fit.weight_decay)
        rates = [group["lr"] for group in groups]
        steps = int(self.trainer.estimated_stepping_batches)
        warm_up = max(0.1, 1.5 / steps)  # of two steps neither may be the border, else torch divides by zero
        schedule = OneCycleLR(optimiser, max_lr=rates, total_steps=steps, pct_start=warm_up)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def physical(stack: Stack, spec: ModelSpec) -> Batch:
    """Chips in physical values, for a model."""
    return stack.batch(spec.bands, spec.classes, spec.gsd_m)


def count(network: nn.Module, stack: Stack, spec: ModelSpec) -> Confusion:
    """Truth against the network's most likely class, over the labelled pixels of chips."""
    chips = physical(stack, spec)
    guess = network(chips.model_input(spec.indices)).argmax(dim=1).to(torch.uint8)
    return Confusion.count(chips.labels.cpu().numpy(), guess.cpu().numpy(), spec.legend)


def _loss_by_chip(logits: Tensor, target: Tensor) -> Tensor:
    return torch.stack([cross_entropy(one[None], truth[None]) for one, truth in zip(logits, target, strict=True)])
