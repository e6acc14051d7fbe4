"""geoseg turns multispectral scenes into maps.

The public names load lazily: `import geoseg` imports neither torch nor rasterio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoseg.inference.contract import check_scene
    from geoseg.inference.outputs import Outputs
    from geoseg.inference.predict import PredictOptions, predict
    from geoseg.io.scene import SceneOptions, open_scene
    from geoseg.io.synth import SynthOptions, synthesise
    from geoseg.models.bundle import load_bundle
    from geoseg.models.zoo import default_bundle_path
    from geoseg.training.split import SplitRequest, split
    from geoseg.training.train import train
    from geoseg.views.augmentations import AugmentationSheet, draw_augmentations

_HOMES = {
    "AugmentationSheet": "geoseg.views.augmentations",
    "Outputs": "geoseg.inference.outputs",
    "PredictOptions": "geoseg.inference.predict",
    "SceneOptions": "geoseg.io.scene",
    "SplitRequest": "geoseg.training.split",
    "SynthOptions": "geoseg.io.synth",
    "check_scene": "geoseg.inference.contract",
    "default_bundle_path": "geoseg.models.zoo",
    "draw_augmentations": "geoseg.views.augmentations",
    "load_bundle": "geoseg.models.bundle",
    "open_scene": "geoseg.io.scene",
    "predict": "geoseg.inference.predict",
    "split": "geoseg.training.split",
    "synthesise": "geoseg.io.synth",
    "train": "geoseg.training.train",
}

__all__ = [
    "AugmentationSheet",
    "Outputs",
    "PredictOptions",
    "SceneOptions",
    "SplitRequest",
    "SynthOptions",
    "check_scene",
    "default_bundle_path",
    "draw_augmentations",
    "load_bundle",
    "open_scene",
    "predict",
    "split",
    "synthesise",
    "train",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (the names differ in kind)
    if name not in _HOMES:
        msg = f"module 'geoseg' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
