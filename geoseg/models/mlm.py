"""A bundle's `model.json`: a STAC Item with the Machine Learning Model extension, and geoseg's own fields.

Specifications: STAC 1.1.0; https://github.com/stac-extensions/mlm v1.6.0; classification:classes after
https://github.com/stac-extensions/classification v1.1.0, whose class names are slugs, the full name its description.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from geoseg.core.bands import Band
from geoseg.core.legend import LandClass
from geoseg.core.provenance import Provenance
from geoseg.errors import BundleError, InputError
from geoseg.models.architectures import ARCHITECTURES
from geoseg.models.footprint import Footprint
from geoseg.models.graph import GRAPH, INPUT, OUTPUT, WEIGHTS
from geoseg.models.int8 import INT8_GRAPH, INT8_WEIGHTS
from geoseg.models.spec import ModelSpec

SCHEMA_VERSION = 1
CARD = "card.md"
_EXTENSIONS = (
    "https://stac-extensions.github.io/mlm/v1.6.0/schema.json",
    "https://stac-extensions.github.io/eo/v2.0.0/schema.json",
    "https://stac-extensions.github.io/raster/v2.0.0/schema.json",
)
_MLM_NAME = re.compile(r"[a-zA-Z][\w.\-\s]+[a-zA-Z0-9]", re.ASCII)
_DIMENSIONS = ("batch", "height", "width")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """All that `model.json` tells.

    `parameters` counts the trained numbers, `pretrained` names the encoder's source, `int8` says how the 8-bit graph
    was made and how it agrees; None where there is none.
    """

    name: str
    spec: ModelSpec
    provenance: Provenance
    statistics: Mapping[str, Any]
    has_graph: bool
    parameters: int
    pretrained: str | None
    framework_version: str
    int8: Mapping[str, Any] | None = None
    footprint: Footprint | None = None

    def __post_init__(self) -> None:
        if not _MLM_NAME.fullmatch(self.name):
            msg = f"the model's name must be letters, digits, spaces and _.-, starting with a letter, got {self.name!r}"
            raise InputError(msg)

    def to_item(self) -> dict[str, Any]:
        """The STAC Item as plain JSON values."""
        properties: dict[str, Any] = {
            "datetime": self.provenance.date.replace("+00:00", "Z"),
            "title": self.name,
            "gsd": self.spec.gsd_m,
            "bands": [_stac_band(band) for band in self.spec.bands],
            "mlm:name": self.name,
            "mlm:architecture": ARCHITECTURES[self.spec.architecture].title,
            "mlm:tasks": ["semantic-segmentation"],
            "mlm:framework": "PyTorch",
            "mlm:framework_version": self.framework_version,
            "mlm:total_parameters": self.parameters,
            "mlm:pretrained": self.pretrained is not None,
            "mlm:pretrained_source": self.pretrained,
            "mlm:input": [_mlm_input(self.spec)],
            "mlm:output": [_mlm_output(self.spec)],
            "geoseg:schema_version": SCHEMA_VERSION,
            "geoseg:spec": self.spec.to_dict(),
            "geoseg:provenance": self.provenance.to_dict(),
            "geoseg:statistics": dict(self.statistics),
            "geoseg:footprint": None if self.footprint is None else self.footprint.to_dict(),
        }
        assets = _assets(has_graph=self.has_graph)
        if self.int8 is not None:
            properties["geoseg:int8"] = dict(self.int8)
            assets |= _INT8_ASSETS
        return {
            "type": "Feature",
            "stac_version": "1.1.0",
            "stac_extensions": list(_EXTENSIONS),
            "id": re.sub(r"[^a-z0-9]+", "-", self.name.lower()),
            "geometry": None,
            "properties": properties,
            "links": [],
            "assets": assets,
        }

    @classmethod
    def from_item(cls, item: object) -> ModelRecord:
        """What a STAC Item from `to_item` tells.

        Raises:
            BundleError: if it is of another schema version, or a field is missing or wrong.
        """
        properties = item.get("properties") if isinstance(item, dict) else None
        if not isinstance(item, dict) or not isinstance(properties, dict):
            raise BundleError("model.json is no STAC Item; bundle the weights again")
        version = properties.get("geoseg:schema_version")
        if version != SCHEMA_VERSION:
            msg = f"the bundle has schema version {version}, this geoseg reads version {SCHEMA_VERSION}"
            raise BundleError(f"{msg}; update geoseg, or bundle the weights again")
        try:
            return cls(
                name=properties["mlm:name"],
                spec=ModelSpec.from_dict(properties["geoseg:spec"]),
                provenance=_provenance(properties["geoseg:provenance"]),
                statistics=dict(properties["geoseg:statistics"]),
                has_graph="graph" in item["assets"],
                parameters=int(properties["mlm:total_parameters"]),
                pretrained=properties["mlm:pretrained_source"],
                framework_version=properties["mlm:framework_version"],
                footprint=Footprint.from_dict(properties.get("geoseg:footprint")),
                int8=dict(properties["geoseg:int8"]) if "geoseg:int8" in properties else None,
            )
        except KeyError as error:
            raise BundleError(f"model.json lacks the field {error.args[0]}; bundle the weights again") from None
        except (InputError, TypeError, ValueError) as error:
            reason = "; ".join(line.strip() for line in str(error).splitlines())
            raise BundleError(f"model.json is damaged: {reason}; bundle the weights again") from None


def _provenance(values: Mapping[str, Any]) -> Provenance:
    known = {field.name for field in fields(Provenance)}
    if not known.issuperset(values):
        msg = f"the provenance holds unknown fields {', '.join(sorted(set(values) - known))}"
        raise ValueError(msg)
    return Provenance(**values)


def _stac_band(band: Band) -> dict[str, Any]:
    """STAC 1.1 bands; common names of the eo extension, and raw * scale + offset of the raster extension."""
    entry: dict[str, Any] = {"name": band.name, "statistics": {"mean": float(band.mean), "stddev": float(band.std)}}
    if band.common_name is not None:
        entry["eo:common_name"] = band.common_name
    if band.scale is not None:
        entry |= {"raster:scale": float(band.scale), "raster:offset": float(band.offset)}
    if band.nodata is not None:
        entry["nodata"] = float(band.nodata) if math.isfinite(band.nodata) else str(float(band.nodata))
    return entry


def _mlm_input(spec: ModelSpec) -> dict[str, Any]:
    """Bands are standardised by z-score on physical values; indices, from physical values too, are clipped."""
    indices = [{"name": i, "format": "python", "expression": f"geoseg.core.indices.{i}"} for i in spec.indices]
    scaling: list[dict[str, Any]] = [
        {"type": "z-score", "mean": float(band.mean), "stddev": float(band.std)} for band in spec.bands
    ]
    scaling += [{"type": "clip", "minimum": -1, "maximum": 1} for _ in spec.indices]
    return {
        "name": INPUT,
        "description": "Physical values (raw * raster:scale + raster:offset) of the bands, then spectral indices.",
        "bands": [*spec.bands.names, *indices],
        "input": _structure(spec.channels, "bands"),
        "value_scaling": scaling,
    }


def _mlm_output(spec: ModelSpec) -> dict[str, Any]:
    return {
        "name": OUTPUT,
        "tasks": ["semantic-segmentation"],
        "result": _structure(spec.classes, "class"),
        "classification:classes": [_stac_class(land_class) for land_class in spec.legend],
    }


def _structure(count: int, dimension: str) -> dict[str, Any]:
    batch, *size = _DIMENSIONS
    return {"shape": [-1, count, -1, -1], "dim_order": [batch, dimension, *size], "data_type": "float32"}


def _stac_class(land_class: LandClass) -> dict[str, Any]:
    slug = re.sub(r"[^0-9A-Za-z]+", "-", land_class.name).strip("-").lower() or f"class-{land_class.code}"
    return {
        "value": int(land_class.code),
        "name": slug,
        "description": land_class.name,
        "color_hint": land_class.colour[1:].upper(),
    }


def _assets(*, has_graph: bool) -> dict[str, Any]:
    assets: dict[str, Any] = {
        "weights": {
            "href": WEIGHTS,
            "title": "Weights of the network",
            "type": "application/vnd.safetensors",
            "roles": ["mlm:model", "mlm:weights"],
            "mlm:artifact_type": "safetensors.torch.save_file",
        },
        "card": {"href": CARD, "title": "Model card", "type": "text/markdown", "roles": ["metadata"]},
    }
    if has_graph:
        assets["graph"] = {
            "href": GRAPH,
            "title": "The network as an ONNX graph that reads the weights' file",
            "type": "application/octet-stream; framework=onnx",
            "roles": ["mlm:model"],
            "mlm:artifact_type": "torch.onnx.export",
        }
    return assets


_INT8_ASSETS: dict[str, Any] = {
    "int8": {
        "href": INT8_GRAPH,
        "title": "The network in 8 bits as OpenVINO's IR",
        "type": "application/xml; framework=openvino",
        "roles": ["mlm:model"],
        "mlm:artifact_type": "openvino.save_model",
    },
    "int8-weights": {
        "href": INT8_WEIGHTS,
        "title": "Weights of the network in 8 bits",
        "type": "application/octet-stream",
        "roles": ["mlm:weights"],
    },
}
