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
    from geoseg.training.train import train

_HOMES = {
    "Outputs": "geoseg.inference.outputs",
    "PredictOptions": "geoseg.inference.predict",
    "SceneOptions": "geoseg.io.scene",
    "SynthOptions": "geoseg.io.synth",
    "check_scene": "geoseg.inference.contract",
    "default_bundle_path": "geoseg.models.zoo",
    "load_bundle": "geoseg.models.bundle",
    "open_scene": "geoseg.io.scene",
    "predict": "geoseg.inference.predict",
    "synthesise": "geoseg.io.synth",
    "train": "geoseg.training.train",
}

__all__ = [
    "Outputs",
    "PredictOptions",
    "SceneOptions",
    "SynthOptions",
    "check_scene",
    "default_bundle_path",
    "load_bundle",
    "open_scene",
    "predict",
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
