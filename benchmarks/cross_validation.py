"""Does blocked cross-validation promise what a model keeps on ground that it has never seen?

One scene of a config is cross-validated: k models, each trained without one part of the blocks, and a map of which
every pixel is drawn by the model that has not seen its block. The score of that map, with its interval, stands beside
the scores of the same k models on another scene, which none of them has touched.

    python benchmarks/cross_validation.py configs/landcover8-30m.yaml --scene 0 --untouched 1 --out cv/

Finished trainings in the folder are taken as they are, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import yaml
from numpy.typing import NDArray

from geoseg.data.splits.files import load_split
from geoseg.data.splits.split import TEST
from geoseg.io.raster import read_grid


def geoseg(*words: object) -> None:
    """A command, as one types it."""
    subprocess.run([sys.executable, "-m", "geoseg", *map(str, words)], check=True, stdout=subprocess.DEVNULL)


def evaluate(out: Path, *words: object) -> dict[str, Any]:
    """`geoseg evaluate`; what it wrote."""
    geoseg("evaluate", *words, "--out", out, "--report", out.with_suffix(".html"), "--overwrite")
    found: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    return found


def train(content: dict[str, Any], scene: dict[str, Any], fold: int, options: argparse.Namespace) -> Path:
    """A training without the blocks of one part; the folder."""
    run: Path = options.out / f"fold{fold}"
    split = {key: content["split"][key] for key in ("block_m", "buffer_m", "seed")}
    changed = {**content, "scenes": [scene], "split": {**split, "folds": options.folds, "fold": fold}}
    changed["sampling"] = {**content["sampling"], "per_epoch": options.per_epoch}
    changed["fit"] = {**content["fit"], "epochs": options.epochs}
    changed["cache"] = str((options.out / "cache").resolve())
    config = options.out / f"fold{fold}.yaml"
    config.write_text(yaml.safe_dump(changed), encoding="utf-8")
    if not (run / "model.geoseg").exists():
        geoseg("train", config, "--out", run, "--resume")
    return run


def mapped(scene: Path, run: Path, out: Path) -> NDArray[np.uint8]:
    """Class codes of a scene by a run's model."""
    geoseg("predict", scene, "--model", run / "model.geoseg", "--mask", out, "--overwrite")
    with rasterio.open(out) as raster:
        codes: NDArray[np.uint8] = raster.read(1)
    return codes


def out_of_fold(scene: Path, runs: list[Path], out: Path) -> float:
    """A map of which every pixel is drawn by the model that has not seen it; the share of pixels that it covers."""
    grid = read_grid(scene)
    whole = np.zeros(grid.shape, dtype=np.uint8)
    for run in runs:
        unseen = load_split(run / "split.gpkg").map().folds_on(grid) == TEST
        whole[unseen] = mapped(scene, run, run / "mask.tif")[unseen]
    profile = {"driver": "GTiff", "count": 1, "dtype": "uint8", "nodata": 0, "compress": "deflate"}
    shape = {"height": grid.height, "width": grid.width, "crs": grid.crs, "transform": grid.transform}
    with rasterio.open(out, "w", **profile, **shape) as raster:
        raster.write(whole, 1)
    return float((whole > 0).mean())


def main() -> None:
    """Train, map, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scene", type=int, default=0)
    parser.add_argument("--untouched", type=int, default=1)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--per-epoch", type=int, default=400)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    text = options.config.read_text(encoding="utf-8")
    content = yaml.safe_load(text.replace("../../shared", str((options.config.parent / "../../shared").resolve())))
    seen, unseen = content["scenes"][options.scene], content["scenes"][options.untouched]
    runs = [train(content, seen, fold, options) for fold in range(options.folds)]
    covered = out_of_fold(Path(seen["path"]), runs, options.out / "out_of_fold.tif")
    blocks = ("--blocks", content["split"]["block_m"])
    whole = ("--map", options.out / "out_of_fold.tif", "--legend", options.out / "fold0.yaml")
    promised = evaluate(options.out / "cross_validated.json", *whole, "--labels", seen["labels"], *blocks)
    kept = []
    for fold, run in enumerate(runs):
        model = ("--model", run / "model.geoseg")
        out = options.out / f"untouched{fold}.json"
        kept.append(evaluate(out, unseen["path"], *model, "--labels", unseen["labels"], *blocks))
    print(f"the map out of folds covers {covered:.1%} of {Path(seen['path']).name}; the rest lies in buffers")
    print("| | mIoU | interval | accuracy | interval |")
    print("|---|---|---|---|---|")
    _line("cross-validated", promised)
    for fold, found in enumerate(kept):
        _line(f"untouched scene, model {fold}", found)
    for score in ("mean_iou", "accuracy"):
        values = [found["scores"][score] for found in kept]
        print(f"untouched {score}: mean {statistics.mean(values):.3f}, {min(values):.3f} to {max(values):.3f}")


def _line(name: str, found: dict[str, Any]) -> None:
    cells = []
    for score in ("mean_iou", "accuracy"):
        low, high = found["intervals"]["overall"][score]
        cells.append(f"{found['scores'][score]:.3f} | {low:.3f} to {high:.3f}")
    print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
