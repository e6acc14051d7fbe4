"""The model card: what a bundle says about itself in Markdown."""

from __future__ import annotations

from pathlib import Path

from geoseg.data.interop.sources import GeoDatasetConfig
from geoseg.models.architectures import network_text
from geoseg.training.config import TrainConfig
from geoseg.training.result import TrainResult


def write_card(config: TrainConfig, result: TrainResult) -> str:
    """A card with the config's description, data, split and the measured scores on the test blocks."""
    parts = [f"# {config.name}", config.description.strip(), _data(config, result), _scores(result, config)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(config: TrainConfig, result: TrainResult) -> str:
    model = config.model
    scenes = [_scene_name(scene.path) for scene in config.scenes] + [
        _dataset_name(source) for source in config.datasets
    ]
    network = network_text(model.architecture, model.encoder, model.options)
    augmentations = ", ".join(config.augment.techniques) or "none"
    return "\n".join(
        [
            "## Data and split",
            "",
            f"- Scenes: {', '.join(scenes)}",
            f"- Input: {', '.join((*model.bands, *model.indices))} at {model.gsd_m:g} m",
            f"- Network: {network}, start: {model.pretrained or 'random'}",
            f"- Split: {result.split}",
            f"- Augmentations: {augmentations}; training seed {config.seed}",
            *(f"- {note}" for note in result.notes),
        ]
    )


def _scene_name(path: Path | list[Path]) -> str:
    paths = path if isinstance(path, list) else [path]
    return " + ".join(p.name for p in paths)


def _dataset_name(source: GeoDatasetConfig) -> str:
    parts = [source.dataset, *(part.dataset for part in (source.image, source.mask) if part is not None)]
    return " & ".join(part for part in parts if part) + " (torchgeo)"


def _scores(result: TrainResult, config: TrainConfig) -> str:
    kept = config.chips.context == "keep"
    surroundings = " (their pixels occur, without labels, as surroundings in training chips)" if kept else ""
    lines = [
        "## Scores on the test blocks",
        "",
        f"Blocks whose labels neither the training nor the choice of the best epoch saw{surroundings}.",
        "",
        "| class | IoU | training px | test px |",
        "|---|---|---|---|",
    ]
    for name, iou in result.test_iou.items():
        lines.append(f"| {name} | {_score(iou)} | {result.pixels['train'][name]} | {result.pixels['test'][name]} |")
    lines += ["", f"Mean IoU {_score(result.test_miou)}, pixel accuracy {_score(result.test_accuracy)}."]
    return "\n".join(lines)


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
