"""The second sentence: label, split, sample, augment, fit, evaluate, bundle."""

from __future__ import annotations

import json
import logging
import warnings
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from torch.utils.data import DataLoader

from geoseg.core.legend import UNLABELLED
from geoseg.core.provenance import Provenance
from geoseg.data.augment.radiometry import Jitter
from geoseg.data.chips import ChipOptions, EvaluationChips, TrainingChips
from geoseg.data.splits import TEST, TRAIN, VAL
from geoseg.errors import OutputError
from geoseg.evaluation.confusion import Confusion
from geoseg.inference.engine import Progress
from geoseg.io.fingerprint import fingerprints
from geoseg.io.output import replacing
from geoseg.models.build import EncoderWeights, build_model
from geoseg.models.bundle import BundleContent, save_bundle
from geoseg.training.card import write_card
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.ground import GroundTruth, pixels_by_fold, read_ground_truth
from geoseg.training.result import TrainResult
from geoseg.training.task import SegmentationTask

EVALUATION_TILE = 256
EVALUATION_OVERLAP = 64


def train(
    config_path: Path,
    out: Path,
    *,
    seed: int | None = None,
    overwrite: bool = False,
    command: str = "",
    progress: Progress = lambda _stage, _done, _total: None,
) -> TrainResult:
    """Train a model as the config says; writes `model.geoseg`, `report.json`, a log and checkpoints into `out`.

    For one seed the result on CPU is the same every time (same machine, same library versions); `seed` overrides the
    config's.

    Raises:
        InputError: config, scenes, labels or split cannot be used; see `read_config` and `read_ground_truth`.
        OutputError: `out` holds a bundle already (without `overwrite`) or cannot be made.
    """
    config = read_config(config_path)
    config = config if seed is None else config.model_copy(update={"seed": seed})
    _check_free(out, overwrite=overwrite)
    truth = read_ground_truth(config)
    _make_folder(out)
    seed_everything(config.seed, verbose=False)
    start = EncoderWeights(pretrained=config.model.pretrained, allow_download=config.model.allow_download)
    network = build_model(truth.spec, weights=start)
    task = SegmentationTask(network, truth.spec.legend, config.fit, _class_weights(truth, config))
    best = _fit(task, truth, config, out, progress)
    test = evaluate_fold(network.eval(), truth, TEST, config.fit.batch_size)
    result = _result(out / "model.geoseg", best, test, truth)
    provenance = Provenance.now(inputs=_inputs(truth, config, config_path), command=command, seed=config.seed)
    _save(network, truth, config, result, provenance)
    return result


def evaluate_fold(network: torch.nn.Module, truth: GroundTruth, fold: int, batch_size: int = 8) -> Confusion:
    """Count truth against prediction over all labelled pixels of a fold, each exactly once."""
    legend = truth.spec.legend
    confusion = Confusion.empty(legend)
    with torch.inference_mode():
        for channels, labels in DataLoader(_evaluation_chips(truth, fold), batch_size=batch_size):
            guess = network(channels).argmax(dim=1).to(torch.uint8)
            confusion = confusion + Confusion.count(labels.numpy(), guess.numpy(), legend)
    return confusion


def _evaluation_chips(truth: GroundTruth, fold: int) -> EvaluationChips:
    return EvaluationChips(truth.scenes, fold, truth.spec.indices, EVALUATION_TILE, EVALUATION_OVERLAP)


def _check_free(out: Path, *, overwrite: bool) -> None:
    if (out / "model.geoseg").exists() and not overwrite:
        raise OutputError(f"{out}: holds a trained model already; choose another folder or add --overwrite")


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another folder") from error


def _chip_options(config: TrainConfig) -> ChipOptions:
    chips = config.chips
    jitter = Jitter(gain=chips.jitter_gain, band_gain=chips.jitter_band_gain, offset=chips.jitter_offset)
    return ChipOptions(size=chips.size, per_epoch=chips.per_epoch, class_share=chips.class_share, jitter=jitter)


def _class_weights(truth: GroundTruth, config: TrainConfig) -> torch.Tensor | None:
    """(share of a class among the drawn chips' pixels)^-power, scaled to a mean of one over those pixels."""
    power = config.fit.class_weight_power
    if power == 0:
        return None
    counts = np.zeros(truth.spec.classes)
    for scene in truth.scenes:
        labels = scene.labels_of(TRAIN)
        counts += np.bincount(labels[labels != UNLABELLED], minlength=len(counts))
    present = counts > 0
    # of a chip drawn for a class, about half of the pixels are taken to be of that class
    drawn = config.chips.class_share / 2
    share = (1 - drawn) * counts / counts.sum() + drawn * present / present.sum()
    weights = np.where(present, np.maximum(share, 1e-6) ** -power, 0)
    return torch.tensor(weights / (weights * share).sum(), dtype=torch.float32)


class _NewChipsEachEpoch(Callback):
    """Tells the chips which epoch it is, so that chip i is another one in every epoch."""

    def __init__(self, chips: TrainingChips) -> None:
        self._chips = chips

    def on_train_epoch_start(self, trainer: Trainer, *_: object) -> None:
        """Before the loader starts its workers."""
        self._chips.start_epoch(trainer.current_epoch)


class _Report(Callback):
    """Passes the step count on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """After every step."""
        self._progress("train", trainer.global_step, int(trainer.estimated_stepping_batches))


def _fit(task: SegmentationTask, truth: GroundTruth, config: TrainConfig, out: Path, progress: Progress) -> float:
    """Run the loop, leave the best epoch's weights in the task, return its validation mIoU."""
    chips = TrainingChips(truth.scenes, TRAIN, truth.spec.indices, _chip_options(config), config.seed)
    workers = config.fit.workers
    train_loader = DataLoader(chips, batch_size=config.fit.batch_size, num_workers=workers, drop_last=True)
    val_loader = DataLoader(_evaluation_chips(truth, VAL), batch_size=config.fit.batch_size)
    checkpoint = ModelCheckpoint(
        dirpath=out / "checkpoints", filename="best", monitor="val_miou", mode="max", enable_version_counter=False
    )
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    trainer = Trainer(
        max_epochs=config.fit.epochs,
        devices=1,
        deterministic="warn" if torch.cuda.is_available() else True,  # some losses have no such kernel on CUDA
        gradient_clip_val=1.0,
        callbacks=[checkpoint, _NewChipsEachEpoch(chips), _Report(progress)],
        enable_progress_bar=False,
        logger=CSVLogger(out, name="", version="log"),
        log_every_n_steps=1,
        num_sanity_val_steps=0,
        enable_model_summary=False,
    )
    with warnings.catch_warnings():
        # loading in the main process is on purpose: it is deterministic and, for chips of local files, fast enough
        warnings.filterwarnings("ignore", message=".*does not have many workers.*")
        # lightning 2.6 asks torch's pytree by class; theirs to mend, and nothing to a user
        warnings.filterwarnings("ignore", message=".*isinstance.treespec, LeafSpec.*", category=FutureWarning)
        trainer.fit(task, train_loader, val_loader)
    state = torch.load(checkpoint.best_model_path, weights_only=True, map_location="cpu")["state_dict"]
    task.load_state_dict(state)
    score = checkpoint.best_model_score
    return float("nan") if score is None else float(score)


def _result(bundle: Path, best: float, test: Confusion, truth: GroundTruth) -> TrainResult:
    names = [c.name for c in truth.spec.legend]
    return TrainResult(
        bundle=bundle,
        best_val_miou=best,
        test_iou={name: _number(value) for name, value in zip(names, test.iou.tolist(), strict=True)},
        test_miou=_number(test.mean_iou),
        test_accuracy=_number(test.accuracy),
        pixels=pixels_by_fold(truth),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _save(
    network: torch.nn.Module, truth: GroundTruth, config: TrainConfig, result: TrainResult, provenance: Provenance
) -> None:
    """The bundle with its card, and beside it the same figures as JSON."""
    card = write_card(config, result)
    content = BundleContent(
        spec=truth.spec,
        card=card,
        provenance=provenance,
        name=config.name,
        statistics={"pixels": result.pixels, "test_iou": result.test_iou},
        pretrained=config.model.pretrained,
    )
    save_bundle(result.bundle, network, content, overwrite=True)
    report = {"config": config.model_dump(mode="json"), "provenance": provenance.to_dict(), "result": asdict(result)}
    text = json.dumps(report, indent=2, default=str, allow_nan=False)
    with replacing(result.bundle.with_name("report.json")) as path:
        path.write_text(text + "\n", encoding="utf-8")


def _inputs(truth: GroundTruth, config: TrainConfig, config_path: Path) -> dict[str, str]:
    """Fingerprints of the config and of every scene and label file, by name."""
    scenes = (path for labelled in truth.scenes for path in labelled.scene.paths)
    return fingerprints([config_path, *scenes, *(source.labels for source in config.scenes)])
