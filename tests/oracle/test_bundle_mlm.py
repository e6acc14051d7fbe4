"""stac-model, the reference implementation of the MLM extension, and pystac are the oracles for `model.json`."""

from __future__ import annotations

import json
import re
import zipfile

import pytest
import torch

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.core.provenance import Provenance
from geoseg.models.build import build_model
from geoseg.models.bundle import BundleContent, save_bundle
from geoseg.models.spec import ModelSpec

pystac = pytest.importorskip("pystac", reason="pystac, which comes with stac-model, is not installed")
schema = pytest.importorskip("stac_model.schema", reason="stac-model is not installed")

SPEC = ModelSpec(
    architecture="deeplabv3plus",
    encoder="tu-mobilenetv3_small_050",
    bands=BandSet(
        (
            Band(name="SR_B4", common_name="red", scale=2.75e-5, offset=-0.2, mean=0.11, std=0.07, nodata=0),
            Band(name="SR_B5", common_name="nir08", scale=2.75e-5, offset=-0.2, mean=0.3, std=0.1),
            Band(name="height", mean=812.0, std=90.0, nodata=float("nan")),
        )
    ),
    indices=("ndvi",),
    legend=Legend(
        (
            LandClass(code=11, name="Open water", colour="#0000ff"),
            LandClass(code=41, name="Forest (deciduous)", colour="#00aa00", parent="Forest"),
        )
    ),
    gsd_m=30,
)


@pytest.fixture(scope="module")
def model() -> torch.nn.Module:
    return build_model(SPEC)


@pytest.fixture(scope="module", params=[None, "imagenet"])
def item(request, model, tmp_path_factory) -> dict:
    provenance = Provenance(versions={}, date="2026-01-02T03:04:05+00:00")
    content = BundleContent(
        spec=SPEC, card="# Card", provenance=provenance, name="Land cover 30 m", pretrained=request.param, graph=False
    )
    bundle = save_bundle(tmp_path_factory.mktemp("bundle") / "model.geoseg", model, content)
    with zipfile.ZipFile(bundle.path) as archive:
        return json.loads(archive.read("model.json"))


def test_stac_model_reads_what_was_meant(item, model):
    properties = schema.MLModelProperties(**item["properties"])
    assert properties.name == "Land cover 30 m"
    assert properties.architecture == "DeepLabV3+"
    assert {str(task) for task in properties.tasks} == {"semantic-segmentation"}
    assert properties.framework == "PyTorch"
    assert properties.total_parameters == sum(p.numel() for p in model.parameters())
    assert (properties.pretrained, properties.pretrained_source) in {(False, None), (True, "imagenet")}

    (taken,) = properties.input
    assert taken.input.shape == [-1, 4, -1, -1]
    assert taken.input.dim_order == ["batch", "bands", "height", "width"]
    assert [band if isinstance(band, str) else band.name for band in taken.bands] == [
        "SR_B4",
        "SR_B5",
        "height",
        "ndvi",
    ]
    assert [(s.mean, s.stddev) for s in taken.value_scaling[:3]] == [(0.11, 0.07), (0.3, 0.1), (812, 90)]
    assert (taken.value_scaling[3].minimum, taken.value_scaling[3].maximum) == (-1, 1)

    (given,) = properties.output
    assert given.result.shape == [-1, 2, -1, -1]
    assert given.result.dim_order == ["batch", "class", "height", "width"]
    classes = [c.to_dict() for c in given.classes]
    assert [(c["value"], c["description"], c["color_hint"]) for c in classes] == [
        (11, "Open water", "0000FF"),
        (41, "Forest (deciduous)", "00AA00"),
    ]


def test_the_extension_writes_the_same_fields(item):
    """What stac-model itself would write into an Item holds the same values."""
    span = {"start_datetime": "2020-01-01T00:00:00Z", "end_datetime": "2020-01-02T00:00:00Z"}
    target = pystac.Item("x", None, None, None, span)
    extension = schema.MLModelExtension.ext(target, add_if_missing=True)
    extension.apply(schema.MLModelProperties(**item["properties"]))
    assert set(target.stac_extensions) <= set(item["stac_extensions"])
    written = {name: value for name, value in target.properties.items() if name.startswith("mlm:")}
    for name in (
        "mlm:name",
        "mlm:architecture",
        "mlm:tasks",
        "mlm:framework",
        "mlm:total_parameters",
        "mlm:pretrained",
    ):
        assert written[name] == item["properties"][name], name
    assert written["mlm:input"][0]["value_scaling"] == item["properties"]["mlm:input"][0]["value_scaling"]
    assert written["mlm:output"][0]["result"] == item["properties"]["mlm:output"][0]["result"]


def test_pystac_reads_the_item(item):
    read = pystac.Item.from_dict(item)
    assert read.datetime.isoformat() == "2026-01-02T03:04:05+00:00"
    assert read.common_metadata.gsd == 30
    assert read.to_dict(include_self_link=False)["properties"] == item["properties"]
    assert set(read.assets) == {"weights", "card"}


def test_the_rules_of_the_mlm_schema_hold(item):
    """The rules of json-schema/schema.json v1.6.0 that stac-model does not check."""
    properties = item["properties"]
    assert re.fullmatch(r"[a-zA-Z][a-zA-Z0-9_.\-\s]+[a-zA-Z0-9]", properties["mlm:name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+([-+].*)?", properties["mlm:framework_version"])
    for asset in item["assets"].values():
        assert ("mlm:model" in asset["roles"]) == ("mlm:artifact_type" in asset)
    assert item["stac_version"] >= "1.1"
    described = {band["name"] for band in properties["bands"]}
    assert {band for band in properties["mlm:input"][0]["bands"] if isinstance(band, str)} == described
    for land_class in properties["mlm:output"][0]["classification:classes"]:
        assert re.fullmatch(r"[0-9A-Za-z-_]+", land_class["name"])


def test_bands_carry_their_calibration(item):
    red, _, height = item["properties"]["bands"]
    assert (red["raster:scale"], red["raster:offset"], red["nodata"], red["eo:common_name"]) == (
        2.75e-5,
        -0.2,
        0,
        "red",
    )
    assert "raster:scale" not in height
    assert height["nodata"] == "nan"
