"""The model card: what a bundle says about itself in Markdown."""

from __future__ import annotations

from pathlib import Path

from geoseg.training.config import TrainConfig
from geoseg.training.result import TrainResult


def write_card(config: TrainConfig, result: TrainResult) -> str:
    """A card with the config's description, data, split and the measured scores on the test blocks."""
    parts = [f"# {config.name}", config.description.strip(), _data(config), _scores(result)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _data(config: TrainConfig) -> str:
    model, split = config.model, config.split
    scenes = ", ".join(_scene_name(scene.path) for scene in config.scenes)
    shares = " / ".join(f"{share:g}" for share in split.shares)
    return "\n".join(
        [
            "## Data and split",
            "",
            f"- Scenes: {scenes}",
            f"- Input: {', '.join((*model.bands, *model.indices))} at {model.gsd_m:g} m",
            f"- Network: {model.architecture} on {model.encoder}, start: {model.pretrained or 'random'}",
            f"- Split: blocks of {split.block_m:g} m, train / val / test {shares} of every class",
            f"- Between folds {split.buffer_m:g} m are left out; split seed {split.seed}, training seed {config.seed}",
        ]
    )


def _scene_name(path: Path | list[Path]) -> str:
    paths = path if isinstance(path, list) else [path]
    return " + ".join(p.name for p in paths)


def _scores(result: TrainResult) -> str:
    lines = [
        "## Scores on the test blocks",
        "",
        "Blocks whose labels neither the training nor the choice of the best epoch saw (their pixels occur, without",
        "labels, as surroundings in training chips).",
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
