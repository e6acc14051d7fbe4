"""A random forest on single pixels, as the baseline of a training config: same scenes, labels, split and channels.

python benchmarks/random_forest.py configs/landcover8-30m.yaml
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestClassifier

from geoseg.core.legend import UNLABELLED
from geoseg.data.splits.split import TEST, TRAIN
from geoseg.evaluation.confusion import Confusion
from geoseg.training.config import read_config
from geoseg.training.ground import open_ground
from geoseg.training.truth import GroundTruth, divide, ground_truth

TRAINING_PIXELS = 200_000
TREES = 200


def pixels(truth: GroundTruth, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """Channels (pixel, channel) and class indices (pixel,) of all labelled, valid pixels of a fold."""
    channels, labels = [], []
    for scene in truth.scenes:
        grid = scene.labels.grid
        with scene.pixels.reader() as pixel_reader, scene.labels.reader() as label_reader:
            raster, classes = pixel_reader.read(grid.window), label_reader.read(grid.window)
        chosen = (classes != UNLABELLED) & (scene.folds.folds_on(grid) == fold)
        normalised = scene.bands.normalise(raster.data, raster.valid, truth.spec.indices)
        channels.append(normalised[:, chosen].T)
        labels.append(classes[chosen])
    return np.concatenate(channels), np.concatenate(labels)


def score(truth: GroundTruth, seed: int, *, balanced: bool) -> Confusion:
    """Train on the training fold, count on the test fold."""
    features, labels = pixels(truth, TRAIN)
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(labels), min(TRAINING_PIXELS, len(labels)), replace=False)
    weight = "balanced_subsample" if balanced else None
    forest = RandomForestClassifier(TREES, min_samples_leaf=2, class_weight=weight, random_state=seed, n_jobs=-1)
    forest.fit(features[chosen], labels[chosen])
    test_features, test_labels = pixels(truth, TEST)
    return Confusion.count(test_labels, forest.predict(test_features).astype(np.uint8), truth.spec.legend)


def main() -> None:
    """Print IoU by class for three seeds, plain and with balanced class weights, as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    config = read_config(arguments.config)
    ground = open_ground(config)
    truth = ground_truth(ground, divide(ground, config).split.map())
    names = [c.name for c in truth.spec.legend]
    for balanced in (False, True):
        for seed in range(arguments.seeds):
            confusion = score(truth, seed, balanced=balanced)
            iou = dict(zip(names, confusion.iou.round(4).tolist(), strict=True))
            row = {"balanced": balanced, "seed": seed, "trees": TREES, "pixels": TRAINING_PIXELS}
            print(json.dumps(row | {"miou": round(confusion.mean_iou, 4), "iou": iou}), flush=True)


if __name__ == "__main__":
    main()
