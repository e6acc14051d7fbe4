"""The second sentence: label, split, sample, augment, fit, evaluate, bundle."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import torch

from geoseg.core.provenance import Provenance
from geoseg.data.splits.build import BuiltSplit
from geoseg.data.splits.files import save_split
from geoseg.data.splits.leakage import LeakageReport
from geoseg.data.splits.split import TEST
from geoseg.errors import OutputError
from geoseg.evaluation.confusion import Confusion
from geoseg.inference.engine import Progress
from geoseg.io.fingerprint import fingerprints
from geoseg.io.output import replacing
from geoseg.models.bundle import BundleContent, save_bundle
from geoseg.training.card import write_card
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.fit import evaluate_fold, fit
from geoseg.training.ground import open_ground
from geoseg.training.identity import identity
from geoseg.training.leaks import judge
from geoseg.training.result import TrainResult
from geoseg.training.tensorboard import require_tensorboard
from geoseg.training.truth import GroundTruth, divide, ground_truth

Existing: TypeAlias = Literal["refuse", "resume", "overwrite"]
_CHECKPOINTS = "checkpoints"


def train(
    config_path: Path,
    out: Path,
    *,
    seed: int | None = None,
    existing: Existing = "refuse",
    command: str = "",
    progress: Progress = lambda _stage, _done, _total: None,
) -> TrainResult:
    """Train a model as the config says; writes `model.geoseg`, `split.gpkg`, `report.json`, a log and checkpoints.

    For one seed the result on CPU is the same every time (same machine, same library versions); `seed` overrides the
    config's. An unfinished training that is resumed ends as if it had never been interrupted.

    Args:
        config_path: the training config (YAML).
        out: the folder.
        seed: instead of the config's.
        existing: what to do where `out` holds a training: refuse, resume it, or overwrite it.
        command: for the record.
        progress: told the stage, what is done and what there is.

    Raises:
        InputError: config, scenes, labels or split cannot be used; see `read_config`, `open_ground` and `divide`.
        MissingExtraError: TensorBoard is wanted and not there.
        OutputError: `out` holds a training already, or cannot be made.
    """
    config = read_config(config_path)
    config = config if seed is None else config.model_copy(update={"seed": seed})
    _check_free(out, existing)
    if config.fit.tensorboard:
        require_tensorboard()
    ground = open_ground(config, progress)
    built = divide(ground, config)
    truth = ground_truth(ground, built.split.map(), built.split.fingerprint)
    report = judge(ground, built, chip_pixels=config.chips.size)
    inputs = fingerprints([config_path, *ground.paths])
    made_of = identity(config, fingerprints(ground.paths), built.split.fingerprint)
    _make_folder(out, existing)
    save_split(built.split, out / "split.gpkg", legend=truth.spec.legend, block_pixels=built.block_pixels)
    network, best = fit(truth, config, out, progress, identity=made_of, resume=existing == "resume")
    test = evaluate_fold(network, truth, TEST, config.fit.batch_size)
    result = _result(
        out / "model.geoseg", best, test, truth, built, (*ground.notes, *truth.spec.notes(config.chips.size))
    )
    provenance = Provenance.now(inputs=inputs, command=command, seed=config.seed)
    _save(network, truth, config, result, provenance)
    _write_report(config, result, report, provenance)
    return result


def _check_free(out: Path, existing: Existing) -> None:
    if existing != "refuse":
        return
    if (out / "model.geoseg").exists():
        raise OutputError(f"{out}: holds a trained model already; choose another folder or add --overwrite")
    if (out / _CHECKPOINTS).exists():
        raise OutputError(f"{out}: holds an unfinished training; go on with --resume, or start anew with --overwrite")


def _make_folder(out: Path, existing: Existing) -> None:
    try:
        (out / _CHECKPOINTS).mkdir(parents=True, exist_ok=True)
        if existing == "overwrite":
            for old in (*(out / _CHECKPOINTS).glob("*.ckpt"), *(out / "refit" / _CHECKPOINTS).glob("*.ckpt")):
                old.unlink()
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another folder") from error


def _result(
    bundle: Path, best: float, test: Confusion, truth: GroundTruth, built: BuiltSplit, notes: tuple[str, ...]
) -> TrainResult:
    names = [c.name for c in truth.spec.legend]
    return TrainResult(
        bundle=bundle,
        best_val_miou=best,
        test_iou={name: _number(value) for name, value in zip(names, test.iou.tolist(), strict=True)},
        test_miou=_number(test.mean_iou),
        test_accuracy=_number(test.accuracy),
        pixels=truth.pixels_by_fold,
        split=built.summary,
        notes=(*notes, *built.notes, *truth.warnings),
    )


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _save(
    network: torch.nn.Module, truth: GroundTruth, config: TrainConfig, result: TrainResult, provenance: Provenance
) -> None:
    content = BundleContent(
        spec=truth.spec,
        card=write_card(config, result),
        provenance=provenance,
        name=config.name,
        statistics={"pixels": result.pixels, "test_iou": result.test_iou},
        pretrained=config.model.pretrained,
    )
    save_bundle(result.bundle, network, content, overwrite=True)


def _write_report(config: TrainConfig, result: TrainResult, leaks: LeakageReport, provenance: Provenance) -> None:
    """The figures of the card as JSON, and what leaks between the folds."""
    report = {
        "config": config.model_dump(mode="json"),
        "provenance": provenance.to_dict(),
        "result": asdict(result),
        "leakage": leaks.to_dict(),
    }
    text = json.dumps(report, indent=2, default=str, allow_nan=False)
    with replacing(result.bundle.with_name("report.json")) as path:
        path.write_text(text + "\n", encoding="utf-8")
