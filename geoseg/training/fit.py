"""The loop: a network, ground truth and a config in, a trained network out."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback
from torch import nn

from geoseg.data.loader import Loader, LoaderOptions
from geoseg.data.splits.split import VAL
from geoseg.evaluation.confusion import Confusion
from geoseg.inference.engine import Progress
from geoseg.losses.drawn import Drawn
from geoseg.models.build import EncoderWeights, build_model
from geoseg.training.checkpoint import Checkpoints
from geoseg.training.config import TrainConfig
from geoseg.training.devices import check_devices, together
from geoseg.training.patience import Patience
from geoseg.training.precision import precision_mode
from geoseg.training.refit import HeadOnly, refit_config
from geoseg.training.task import SegmentationTask, count
from geoseg.training.tensorboard import tensorboard_logger
from geoseg.training.truth import GroundTruth, TrainingGround


def fit(
    truth: GroundTruth,
    config: TrainConfig,
    folder: Path,
    progress: Progress,
    *,
    identity: Mapping[str, str] = MappingProxyType({}),
    resume: bool = False,
) -> tuple[nn.Module, float]:
    """Build a network and train it; for one seed the result on CPU is the same every time, interrupted or not.

    With several `fit.devices` as many processes train it together, from chips and batches that they share out. Such
    processes start Python anew: a script that calls this must do so under `if __name__ == "__main__":`.

    Args:
        truth: what is learned; the validation fold chooses the best epoch.
        config: how.
        folder: for the log and the checkpoints.
        progress: told the stage "train" or "refit", the steps done and the steps in all.
        identity: of the training, see `geoseg.training.identity`; kept in its checkpoints.
        resume: take up the training of the checkpoint in `folder`, where there is one.

    Returns:
        The network of the best epoch, in evaluation mode, and its validation mIoU.

    Raises:
        InputError: a loss that is not finite, a checkpoint of another training, or more devices than there are.
    """
    keeping = Keeping(folder, dict(identity), resume)
    if config.fit.devices > 1:
        check_devices(config.fit.devices)
        together(config.fit.devices, partial(_fit_part, truth, config, keeping), progress)
        keeping = keeping._replace(resume=True, done=True)
    return _fit(truth, config, keeping, progress)


class Keeping(NamedTuple):
    """Where a training keeps what it knows, what it is made of, and whether it goes on from there; or is done."""

    folder: Path
    identity: Mapping[str, str]
    resume: bool
    done: bool = False


def _fit(
    truth: GroundTruth, config: TrainConfig, keeping: Keeping, progress: Progress, rank: int = 0
) -> tuple[nn.Module, float]:
    """Train, as one of `fit.devices` processes; or, where that is done, take what it left."""
    parts = prepare(truth, config, rank)
    network = parts.task.network
    score = _learn(parts, config, keeping, partial(progress, "train"))
    again = refit_config(config)
    if again is not None:
        parts = _parts(truth, again, HeadOnly(network, config.seed), rank)
        keeping = keeping._replace(folder=keeping.folder / "refit")
        score = _learn(parts, again, keeping, partial(progress, "refit"))
    return network.eval(), score


def _fit_part(truth: GroundTruth, config: TrainConfig, keeping: Keeping, rank: int, progress: Progress) -> None:
    _fit(truth, config, keeping, progress, rank)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Parts:
    """What a training is put together from: who learns, from which ground, and how chips come from there."""

    task: SegmentationTask
    ground: TrainingGround
    train: Loader
    val: Loader


def prepare(truth: GroundTruth, config: TrainConfig, rank: int = 0) -> Parts:
    """Everything at its start, the same for the same seed, but for the chips: of these every process has its own."""
    seed_everything(config.seed, verbose=False)
    start = EncoderWeights(pretrained=config.model.pretrained, allow_download=config.model.allow_download)
    return _parts(truth, config, build_model(truth.spec, weights=start), rank)


def _parts(truth: GroundTruth, config: TrainConfig, network: nn.Module, rank: int) -> Parts:
    ground = TrainingGround(truth, config)
    drawn = Drawn(shares=tuple(ground.shares.tolist()), pixels=config.sampling.per_epoch * config.chips.size**2)
    difficulty = ground.difficulty if config.sampling.hard else None
    names = [scene.name for scene in truth.scenes]
    size, classes = config.fit.batch_size, truth.spec.classes
    mine = LoaderOptions(batch_size=size, shard=(rank, config.fit.devices))
    val = truth.evaluation_chips(VAL)
    few = len(val) < config.fit.devices  # then every process looks at all: so many times the counts, the same scores
    return Parts(
        task=SegmentationTask(network, truth.spec, config, drawn=drawn, difficulty=difficulty, scenes=names),
        ground=ground,
        train=Loader(ground.chips, classes, replace(mine, workers=config.fit.workers, drop_last=True)),
        val=Loader(val, classes, replace(mine, shard=(0, 1)) if few else mine),
    )


def _learn(parts: Parts, config: TrainConfig, keeping: Keeping, report: Callable[[int, int], None]) -> float:
    """Train; the network then has the weights of the best epoch, whose validation mIoU is returned."""
    ground = parts.ground
    checkpoints = Checkpoints(keeping.folder, keeping.identity, parts.task.judged, ground.difficulty)
    resume = keeping.resume and checkpoints.last.is_file()
    if resume:
        checkpoints.take_up()
    if not keeping.done:
        ground.start_epoch(len(checkpoints.epochs))
        callbacks = [_NewChipsEachEpoch(ground, config.seed), _Report(report), *_keepers(checkpoints, config)]
        trainer = make_trainer(config, callbacks, folder=keeping.folder)
        with quiet():
            path = checkpoints.last if resume else None
            trainer.fit(parts.task, parts.train, parts.val, ckpt_path=path, weights_only=True)
            trainer.strategy.barrier()  # the first process may still be writing
    checkpoints.load_best(parts.task.network)
    return checkpoints.best_score


def evaluate_fold(network: nn.Module, truth: GroundTruth, fold: int, batch_size: int = 8) -> Confusion:
    """Count truth against prediction over all labelled pixels of a fold, each exactly once."""
    confusion = Confusion.empty(truth.spec.legend)
    with torch.inference_mode():
        for chips in Loader(truth.evaluation_chips(fold), truth.spec.classes, LoaderOptions(batch_size=batch_size)):
            confusion = confusion + count(network, chips, truth.spec)
    return confusion


class _NewChipsEachEpoch(Callback):
    """Draws the chips of every epoch but the first, which are drawn already.

    Whatever the network itself draws, as dropout does, starts from a seed of the epoch.
    """

    def __init__(self, ground: TrainingGround, seed: int) -> None:
        self._ground = ground
        self._seed = seed

    def on_train_epoch_start(self, trainer: Trainer, *_: object) -> None:
        """Before the loader starts its workers."""
        state = np.random.SeedSequence((self._seed, trainer.current_epoch, trainer.global_rank))
        torch.manual_seed(int(state.generate_state(1, np.uint64)[0]))
        if trainer.current_epoch > 0:
            self._ground.start_epoch(trainer.current_epoch)


class _Report(Callback):
    """Passes the step count on."""

    def __init__(self, report: Callable[[int, int], None]) -> None:
        self._report = report

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """After every step."""
        self._report(trainer.global_step, int(trainer.estimated_stepping_batches))


def _keepers(checkpoints: Checkpoints, config: TrainConfig) -> list[Callback]:
    """What looks at an epoch when it is done."""
    patience = config.fit.patience
    return [checkpoints] if patience is None else [checkpoints, Patience(checkpoints, patience)]


@contextmanager
def quiet() -> Iterator[None]:
    """Without what Lightning says to its developers."""
    with warnings.catch_warnings():
        # lightning 2.6 asks torch's pytree by class; theirs to mend, and nothing to a user
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        # when the features are frozen, they are on purpose
        warnings.filterwarnings("ignore", message=".*in eval mode at the start of training.*")
        # processes exchange gradients in another order of channels than the network's: slower, by little
        warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket view strides.*")
        yield


def make_trainer(
    config: TrainConfig, callbacks: Sequence[Callback], steps: int | None = None, folder: Path | None = None
) -> Trainer:
    """What runs the loop; with `steps` so many only, and without validation; curves go to `folder`, if at all."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    return Trainer(
        max_epochs=config.fit.epochs,
        max_steps=-1 if steps is None else steps,
        limit_val_batches=None if steps is None else 0,
        devices=config.fit.devices,
        strategy="auto" if config.fit.devices == 1 else "ddp",
        use_distributed_sampler=False,  # a loader has the chips of its process already
        deterministic="warn" if torch.cuda.is_available() else True,  # some losses have no such kernel on CUDA
        gradient_clip_val=config.fit.clip,
        accumulate_grad_batches=config.fit.accumulate,
        precision=precision_mode(config.fit.precision),
        callbacks=list(callbacks),
        enable_progress_bar=False,
        logger=tensorboard_logger(folder) if folder is not None and config.fit.tensorboard else False,
        log_every_n_steps=1,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
