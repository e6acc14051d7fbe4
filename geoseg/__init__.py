"""geoseg turns multispectral scenes into maps.

The public names load lazily: `import geoseg` imports neither torch nor rasterio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from geoseg.evaluation.areas.draw import PointOptions, draw_points
    from geoseg.evaluation.areas.estimate import AreaOptions, estimate_areas
    from geoseg.evaluation.areas.estimates import AreaEstimates, load_areas, save_areas
    from geoseg.evaluation.cases import Case, pair_cases, read_label_options
    from geoseg.evaluation.evaluate import evaluate
    from geoseg.evaluation.evaluation import Evaluation, load_evaluation, save_evaluation
    from geoseg.evaluation.options import EvaluateOptions
    from geoseg.inference.contract import check_scene
    from geoseg.inference.options import PredictOptions
    from geoseg.inference.outputs import Outputs
    from geoseg.inference.predict import predict
    from geoseg.io.scene import SceneOptions, open_scene
    from geoseg.io.synth import SynthOptions, synthesise
    from geoseg.models.bundle import load_bundle
    from geoseg.models.ensemble import Ensemble
    from geoseg.models.zoo import default_bundle_path
    from geoseg.training.split import SplitRequest, split
    from geoseg.training.train import train
    from geoseg.vectorize.burn import BurnOptions, burn_polygons
    from geoseg.vectorize.clean import CleanOptions
    from geoseg.vectorize.raster import RasterOptions, polygonize_raster
    from geoseg.vectorize.simplify import SimplifyOptions
    from geoseg.vectorize.split import SplitOptions
    from geoseg.vectorize.union import DissolveOptions, dissolve_features
    from geoseg.vectorize.zonal import ZonalRaster
    from geoseg.views.augmentations import AugmentationSheet, draw_augmentations
    from geoseg.views.evaluation.report import ReportRequest, write_report

_HOMES = {
    "AreaEstimates": "geoseg.evaluation.areas.estimates",
    "AreaOptions": "geoseg.evaluation.areas.estimate",
    "AugmentationSheet": "geoseg.views.augmentations",
    "BurnOptions": "geoseg.vectorize.burn",
    "Case": "geoseg.evaluation.cases",
    "CleanOptions": "geoseg.vectorize.clean",
    "DissolveOptions": "geoseg.vectorize.union",
    "Ensemble": "geoseg.models.ensemble",
    "EvaluateOptions": "geoseg.evaluation.options",
    "Evaluation": "geoseg.evaluation.evaluation",
    "Outputs": "geoseg.inference.outputs",
    "PointOptions": "geoseg.evaluation.areas.draw",
    "PredictOptions": "geoseg.inference.options",
    "RasterOptions": "geoseg.vectorize.raster",
    "ReportRequest": "geoseg.views.evaluation.report",
    "SceneOptions": "geoseg.io.scene",
    "SimplifyOptions": "geoseg.vectorize.simplify",
    "SplitOptions": "geoseg.vectorize.split",
    "SplitRequest": "geoseg.training.split",
    "SynthOptions": "geoseg.io.synth",
    "ZonalRaster": "geoseg.vectorize.zonal",
    "burn_polygons": "geoseg.vectorize.burn",
    "check_scene": "geoseg.inference.contract",
    "default_bundle_path": "geoseg.models.zoo",
    "dissolve_features": "geoseg.vectorize.union",
    "draw_augmentations": "geoseg.views.augmentations",
    "draw_points": "geoseg.evaluation.areas.draw",
    "estimate_areas": "geoseg.evaluation.areas.estimate",
    "evaluate": "geoseg.evaluation.evaluate",
    "load_areas": "geoseg.evaluation.areas.estimates",
    "load_bundle": "geoseg.models.bundle",
    "load_evaluation": "geoseg.evaluation.evaluation",
    "open_scene": "geoseg.io.scene",
    "pair_cases": "geoseg.evaluation.cases",
    "polygonize_raster": "geoseg.vectorize.raster",
    "predict": "geoseg.inference.predict",
    "read_label_options": "geoseg.evaluation.cases",
    "save_areas": "geoseg.evaluation.areas.estimates",
    "save_evaluation": "geoseg.evaluation.evaluation",
    "split": "geoseg.training.split",
    "synthesise": "geoseg.io.synth",
    "train": "geoseg.training.train",
    "write_report": "geoseg.views.evaluation.report",
}

__all__ = [
    "AreaEstimates",
    "AreaOptions",
    "AugmentationSheet",
    "BurnOptions",
    "Case",
    "CleanOptions",
    "DissolveOptions",
    "Ensemble",
    "EvaluateOptions",
    "Evaluation",
    "Outputs",
    "PointOptions",
    "PredictOptions",
    "RasterOptions",
    "ReportRequest",
    "SceneOptions",
    "SimplifyOptions",
    "SplitOptions",
    "SplitRequest",
    "SynthOptions",
    "ZonalRaster",
    "burn_polygons",
    "check_scene",
    "default_bundle_path",
    "dissolve_features",
    "draw_augmentations",
    "draw_points",
    "estimate_areas",
    "evaluate",
    "load_areas",
    "load_bundle",
    "load_evaluation",
    "open_scene",
    "pair_cases",
    "polygonize_raster",
    "predict",
    "read_label_options",
    "save_areas",
    "save_evaluation",
    "split",
    "synthesise",
    "train",
    "write_report",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401  (the names differ in kind)
    if name not in _HOMES:
        msg = f"module 'geoseg' has no attribute {name!r}"
        raise AttributeError(msg)
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
