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
from geoseg.losses.drawn import Drawn
from geoseg.losses.mixture import Summed, summed
from geoseg.losses.pixel import cross_entropy
from geoseg.models.spec import ModelSpec
from geoseg.training.average import AverageNetwork
from geoseg.training.config import TrainConfig
from geoseg.training.devices import everyones, processes, share_buffers
from geoseg.training.faults import losses_by_chip, not_finite
from geoseg.training.rates import parameter_groups


class SegmentationTask(LightningModule):
    """Trains a network that maps (chip, channel, row, col) to logits; the best epoch is that of highest `val_miou`.

    Chips are augmented and become model input where the network is. `difficulty`, where given, is told the mean
    cross-entropy of every chip. `drawn` is how often the training shows each class; `losses` names those
    that the last step had. `scenes` are names by number.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        config: TrainConfig,
        *,
        drawn: Drawn | None = None,
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
        self._losses = config.loss
        self.losses: tuple[str, ...] = ()
        self._drawn = drawn or Drawn(shares=(1 / spec.classes,) * spec.classes)
        self._steps = 0
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
            losses = everyones(losses_by_chip(cross_entropy, logits.detach(), chips.target))
            cells = everyones(torch.from_numpy(batch.cells).to(losses.device))
            self._difficulty.update(cells.cpu().numpy(), losses.cpu().numpy())
        parts = self._sum(logits, chips.target)
        loss = parts.total
        if auxiliary:
            coarse = torch.stack([self._loss(coarser, chips.target) for coarser in auxiliary])
            loss = loss + self._fit.auxiliary * coarse.mean()
        if not torch.isfinite(loss):
            where = f"epoch {self.current_epoch}, step {batch_index}"
            raise not_finite(
                where, batch, chips, losses_by_chip(self._loss, logits.detach(), chips.target), self._scenes
            )
        self.losses = tuple(parts.parts)
        told = {"train_loss": loss, **{f"train_{name}": part for name, part in parts.parts.items()}}
        for name, value in told.items():
            self.log(name, value.detach(), on_step=False, on_epoch=True, batch_size=len(chips), sync_dist=True)
        return loss

    def on_fit_start(self) -> None:
        """Count the steps, by which the losses' weights move."""
        self._steps = int(self.trainer.estimated_stepping_batches)

    def _sum(self, logits: Tensor, target: Tensor) -> Summed:
        progress = self.global_step / self._steps if self._steps else 0.0
        return summed(self._losses, logits, target, self._drawn, progress)

    def _loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return self._sum(logits, target).total

    def _random(self, batch_index: int) -> Random:
        """Numbers that depend on the seed, the epoch and the batch alone, so that nothing before matters."""
        batch = batch_index * processes() + self.global_rank
        state = np.random.SeedSequence((self._seed, self.current_epoch, batch)).generate_state(1, np.uint64)
        return Random.seeded(int(state[0] >> 1), self.device)

    def on_train_batch_end(self, *_: object) -> None:
        """Take the weights into the average, where a step was made."""
        if self._average is not None:
            self._average.update(self.network, self.trainer.global_step)

    def on_validation_epoch_start(self) -> None:
        """Start to count anew."""
        share_buffers(self.judged)
        self._confusion = Confusion.empty(self._spec.legend)

    def validation_step(self, batch: Stack, _batch_index: int) -> None:
        """Count one batch."""
        self._confusion = self._confusion + count(self.judged, batch, self._spec)

    def on_validation_epoch_end(self) -> None:
        """Log the mean IoU of the validation fold; 0 where it is undefined."""
        counts = everyones(torch.from_numpy(self._confusion.counts)[None].to(self.device)).sum(dim=0)
        whole = Confusion(counts=counts.cpu().numpy(), legend=self._spec.legend)
        self.log("val_miou", float(np.nan_to_num(whole.mean_iou)), sync_dist=True)

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
