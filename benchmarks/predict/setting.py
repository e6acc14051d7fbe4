"""What is made once and kept in a folder: synthetic scenes with their truth, and a network that was trained on one."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import rasterio
import yaml
from child import run

from geoseg.core.legend import UNLABELLED
from geoseg.io.synth import SYNTH_LEGEND
from geoseg.models.bundle import extract_graph, load_bundle

PROCESSES = Path(__file__).with_name("processes")
TRAINED_ON = 1536  # pixels a side
TRAINED_SEED, MAPPED_SEED = 11, 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A square scene of six bands, its truth, and how many of its pixels are ground."""

    size: int
    scene: Path
    truth: Path
    valid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """A bundle, its sha256, and a folder with its graph and weights as plain files, for those who know no bundle.

    `int8` is a bundle with the same weights and an 8-bit graph, too; None where geoseg could not make one.
    """

    bundle: Path
    sha256: str
    files: Path
    int8: Path | None = None


def make_ground(folder: Path, size: int, seed: int = MAPPED_SEED) -> Ground:
    """A scene of this size, made unless it is there."""
    scene, truth = (folder / f"{kind}-{size}-{seed}.tif" for kind in ("scene", "truth"))
    if not (scene.exists() and truth.exists()):
        files = ("--scene", scene, "--truth", truth, "--size", size, "--seed", seed)
        made = run((sys.executable, PROCESSES / "synthetic_scene.py", *files))
        if made.code:
            raise SystemExit(f"no synthetic scene of {size} px: {made.complaint}")
    with rasterio.open(truth) as raster:
        valid = sum(int((raster.read(1, window=window) != UNLABELLED).sum()) for _, window in raster.block_windows(1))
    return Ground(size=size, scene=scene, truth=truth, valid=valid)


def make_model(folder: Path) -> Model:
    """A U-Net on ResNet-18 for six bands and eight classes, trained briefly unless it is there.

    Random weights draw maps that flip by rounding alone; agreement would say nothing about the runners.
    """
    trained = folder / "training"
    if not (trained / "model.geoseg").exists():
        ground = make_ground(folder, TRAINED_ON, TRAINED_SEED)
        config = folder / "training.yaml"
        config.write_text(yaml.safe_dump(_config(ground)), encoding="utf-8")
        geoseg(("train", config, "--out", trained, "--resume"))
    bundle = load_bundle(trained / "model.geoseg")
    files = folder / "files"
    files.mkdir(exist_ok=True)
    extract_graph(bundle, files)
    (files / "contract.json").write_text(json.dumps(_contract(folder, trained / "model.geoseg")), encoding="utf-8")
    return Model(bundle=bundle.path, sha256=bundle.sha256, files=files)


def with_int8(model: Model, folder: Path) -> Model:
    """The model with an 8-bit graph that is calibrated on the scene of its training, made unless it is there."""
    bundle, graph = folder / "int8.geoseg", model.files / "graph-int8.xml"
    how = ("--to", "openvino", "--precision", "int8")
    try:
        if not bundle.exists():
            scene = make_ground(folder, TRAINED_ON, TRAINED_SEED).scene
            geoseg(("export", model.bundle, *how, "--calibrate", scene, "--out", bundle))
        geoseg(("export", bundle, *how, "--out", graph, "--overwrite"))
    except SystemExit as failure:
        print(f"no 8-bit graph: {failure}", flush=True)
        return model
    return replace(model, int8=bundle)


def geoseg(words: Sequence[object]) -> str:
    """What a command of geoseg prints."""
    finished = run((sys.executable, "-m", "geoseg", *words))
    if finished.code:
        raise SystemExit(f"geoseg {words[0]} ended with exit code {finished.code}: {finished.complaint}")
    return finished.out


def _config(ground: Ground) -> dict[str, object]:
    return {
        "name": "predict-benchmark",
        "scenes": [{"path": str(ground.scene.resolve()), "labels": str(ground.truth.resolve())}],
        "classes": [asdict(land_class) for land_class in SYNTH_LEGEND],
        "model": {
            "architecture": "unet",
            "encoder": "resnet18",
            "bands": ["blue", "green", "red", "nir", "swir16", "swir22"],
            "gsd_m": 30,
        },
        "split": {"block_m": 4000, "buffer_m": 90},
        "chips": {"size": 256},
        "sampling": {"per_epoch": 160},
        "augment": {"flip": {}, "turn": {}},
        "fit": {"epochs": 5, "batch_size": 8},
        "seed": 0,
    }


def _contract(folder: Path, path: Path) -> dict[str, object]:
    """Gains and shifts that lead from the scenes' stored numbers to the network's input, band by band."""
    spec = load_bundle(path).spec
    with rasterio.open(make_ground(folder, TRAINED_ON, TRAINED_SEED).scene) as source:
        scales, offsets, nodata = np.array(source.scales), np.array(source.offsets), source.nodata
    means, stds = (np.array([getattr(band, name) for band in spec.bands]) for name in ("mean", "std"))
    return {
        "gains": (scales / stds).tolist(),
        "shifts": ((offsets - means) / stds).tolist(),
        "nodata": nodata,
        "codes": [land_class.code for land_class in spec.legend],
    }
