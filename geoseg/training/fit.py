"""The loop: a network, ground truth and a config in, a trained network out."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch import nn

from geoseg.data.loader import Loader, LoaderOptions
from geoseg.data.splits.split import VAL
from geoseg.evaluation.confusion import Confusion
from geoseg.inference.engine import Progress
from geoseg.models.build import EncoderWeights, build_model
from geoseg.training.config import TrainConfig
from geoseg.training.task import SegmentationTask, count
from geoseg.training.truth import GroundTruth, TrainingGround


def fit(truth: GroundTruth, config: TrainConfig, folder: Path, progress: Progress) -> tuple[nn.Module, float]:
    """Build a network and train it; for one seed the result on CPU is the same every time.

    Args:
        truth: what is learned; the validation fold chooses the best epoch.
        config: how.
        folder: for the log and the checkpoints.
        progress: told the stage "train", the steps done and the steps in all.

    Returns:
        The network of the best epoch, in evaluation mode, and its validation mIoU.
    """
    seed_everything(config.seed, verbose=False)
    start = EncoderWeights(pretrained=config.model.pretrained, allow_download=config.model.allow_download)
    network = build_model(truth.spec, weights=start)
    ground = TrainingGround(truth, config)
    weights = _class_weights(ground, config.fit.class_weight_power)
    difficulty = ground.difficulty if config.sampling.hard else None
    task = SegmentationTask(network, truth.spec, config, class_weights=weights, difficulty=difficulty)
    checkpoint = ModelCheckpoint(
        dirpath=folder / "checkpoints", filename="best", monitor="val_miou", mode="max", enable_version_counter=False
    )
    trainer = _trainer(config, folder, [checkpoint, _NewChipsEachEpoch(ground), _Report(progress)])
    size = config.fit.batch_size
    reading = LoaderOptions(batch_size=size, workers=config.fit.workers, drop_last=True)
    train_loader = Loader(ground.chips, truth.spec.classes, reading)
    val_loader = Loader(truth.evaluation_chips(VAL), truth.spec.classes, LoaderOptions(batch_size=size))
    with warnings.catch_warnings():
        # lightning 2.6 asks torch's pytree by class; theirs to mend, and nothing to a user
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        # with --overwrite it is meant
        warnings.filterwarnings("ignore", message=".*Checkpoint directory .* exists and is not empty.*")
        trainer.fit(task, train_loader, val_loader)
    state = torch.load(checkpoint.best_model_path, weights_only=True, map_location="cpu")["state_dict"]
    task.load_state_dict(state)
    score = checkpoint.best_model_score
    return network.eval(), float("nan") if score is None else float(score)


def evaluate_fold(network: nn.Module, truth: GroundTruth, fold: int, batch_size: int = 8) -> Confusion:
    """Count truth against prediction over all labelled pixels of a fold, each exactly once."""
    confusion = Confusion.empty(truth.spec.legend)
    with torch.inference_mode():
        for chips in Loader(truth.evaluation_chips(fold), truth.spec.classes, LoaderOptions(batch_size=batch_size)):
            confusion = confusion + count(network, chips, truth.spec)
    return confusion


class _NewChipsEachEpoch(Callback):
    """Draws the chips of every epoch but the first, which are drawn already."""

    def __init__(self, ground: TrainingGround) -> None:
        self._ground = ground

    def on_train_epoch_start(self, trainer: Trainer, *_: object) -> None:
        """Before the loader starts its workers."""
        if trainer.current_epoch > 0:
            self._ground.start_epoch(trainer.current_epoch)


class _Report(Callback):
    """Passes the step count on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """After every step."""
        self._progress("train", trainer.global_step, int(trainer.estimated_stepping_batches))


def _trainer(config: TrainConfig, folder: Path, callbacks: list[Callback]) -> Trainer:
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    return Trainer(
        max_epochs=config.fit.epochs,
        devices=1,
        deterministic="warn" if torch.cuda.is_available() else True,  # some losses have no such kernel on CUDA
        gradient_clip_val=1.0,
        callbacks=callbacks,
        enable_progress_bar=False,
        logger=CSVLogger(folder, name="", version="log"),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )


def _class_weights(ground: TrainingGround, power: float) -> torch.Tensor | None:
    """(share of a class among the drawn pixels)^-power, scaled to a mean of one over those pixels."""
    if power == 0:
        return None
    share = ground.shares
    weights = np.where(share > 0, np.maximum(share, 1e-6) ** -power, 0)
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)
