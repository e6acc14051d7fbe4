from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.errors import BundleError, InputError, MissingFileError
from geoseg.models.build import EncoderWeights, build_model
from geoseg.models.pretrained import torchgeo_input
from geoseg.models.spec import ModelSpec
from geoseg.models.stem import RGB, adapt_first_conv, first_conv

COMMON = ("blue", "green", "red", "nir08", "swir16")
MOCO = "ResNet18_Weights.SENTINEL2_ALL_MOCO"


def make_spec(**changes) -> ModelSpec:
    values = {
        "architecture": "unet",
        "encoder": "resnet18",
        "bands": BandSet(tuple(Band(name=n.upper(), common_name=n, mean=0.1, std=0.2) for n in COMMON)),
        "indices": ("ndvi",),
        "legend": Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#0000ff") for i in (1, 7))),
        "gsd_m": 30.0,
    }
    return ModelSpec(**{**values, **changes})


def spec_dict(**changes) -> dict:
    return {**make_spec().to_dict(), **changes}


# The spec


def test_counts_follow_from_bands_indices_and_legend():
    spec = make_spec()
    assert (spec.channels, spec.classes, spec.stride) == (6, 2, 32)
    assert spec.channel_common_names == (*COMMON, None)
    assert spec.channel_names == ("BLUE", "GREEN", "RED", "NIR08", "SWIR16", "ndvi")


@pytest.mark.parametrize("nodata", [None, 0.0, -9999.0, math.nan, math.inf])
def test_a_spec_survives_json(nodata):
    bands = BandSet((Band(name="a", scale=2.75e-5, offset=-0.2, mean=np.float32(0.3), std=1e-3, nodata=nodata),))
    spec = make_spec(bands=bands, indices=(), stride=64, decoder_channels=(64, 32, 16, 8))
    text = json.dumps(spec.to_dict(), allow_nan=False)
    back = ModelSpec.from_dict(json.loads(text))
    assert json.dumps(back.to_dict(), allow_nan=False) == text
    assert back.bands[0].mean == spec.bands[0].mean
    assert str(back.bands[0].nodata) == str(nodata)


def test_every_problem_of_a_spec_is_named():
    with pytest.raises(InputError) as found:
        ModelSpec.from_dict(spec_dict(gsd_m="thirty", colour="red", classes=[{"code": 300, "name": "", "colour": "x"}]))
    lines = str(found.value).splitlines()
    assert lines[0] == "the model spec has 5 problems:"
    places = [line.split(":")[0].strip() for line in lines[1:]]
    assert places == ["classes.0.code", "classes.0.name", "classes.0.colour", "gsd_m", "colour"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "segnet"}, "'segnet' is unknown, choose from unet, unetplusplus, .* bisenet$"),
        ({"indices": ["ndvi", "ndxi"]}, "'ndxi' is unknown, choose from ndvi,"),
        ({"indices": ["nbr"]}, "nbr needs the band swir22, the model has BLUE,"),
        ({"indices": ["ndvi", "ndvi"]}, "each may be there once"),
        ({"encoder": "tu-hf-hub:someone/model"}, "a name of letters, digits"),
        ({"gsd_m": 0.0}, "a positive number of metres"),
        ({"stride": 48}, "a positive multiple of 32"),
        (
            {"architecture": "deeplabv3plus", "decoder_channels": [8, 8, 8]},
            "deeplabv3plus has none, only unet, unetplusplus, attention_unet",
        ),
        ({"decoder_channels": [8, 8]}, "three to five positive widths"),
        ({"bands": []}, "at least 1 item"),
        ({"classes": [{"code": 1, "name": "a", "colour": "#000000"}] * 2}, "unique codes and names"),
    ],
)
def test_specs_that_no_model_can_have_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        ModelSpec.from_dict(spec_dict(**changes))


# The network


@pytest.mark.parametrize(
    ("architecture", "encoder", "decoder_channels"),
    [
        ("unet", "resnet18", (32, 16, 16, 8)),
        ("unet", "tu-mobilenetv3_small_050", None),
        ("deeplabv3plus", "resnet18", None),
    ],
)
def test_networks_turn_channels_into_class_logits(architecture, encoder, decoder_channels):
    spec = make_spec(architecture=architecture, encoder=encoder, decoder_channels=decoder_channels)
    with torch.inference_mode():
        logits = build_model(spec).eval()(torch.randn(2, 6, 32, 64))
    assert logits.shape == (2, 2, 32, 64)
    assert logits.std() > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": "resnet19"}, "has no encoder 'resnet19'"),
        ({"encoder": "tu-resnet19"}, "Unknown model"),
        ({"encoder": "vgg11", "architecture": "deeplabv3plus"}, "deeplabv3plus cannot be built on the encoder 'vgg11'"),
    ],
)
def test_encoders_that_cannot_be_had_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build_model(make_spec(**changes))


# Pretrained encoders


def encoder_state(encoder: str, channels: int) -> dict[str, torch.Tensor]:
    """A state dict as timm would save it, with random numbers everywhere, and a classifier."""
    import timm

    state = timm.create_model(encoder, in_chans=channels).state_dict()
    generator = torch.Generator().manual_seed(3)
    return {name: torch.rand(t.shape, generator=generator) if t.is_floating_point() else t for name, t in state.items()}


@pytest.fixture(scope="module")
def rgb_state() -> dict[str, torch.Tensor]:
    return encoder_state("resnet18", 3)


@pytest.mark.parametrize("prefix", ["", "backbone.", "model.encoder."])
def test_a_file_is_matched_by_name_under_any_prefix(tmp_path, rgb_state, prefix):
    path = tmp_path / "encoder.safetensors"
    save_file({prefix + name: tensor for name, tensor in rgb_state.items()}, path)
    encoder = build_model(make_spec(), weights=EncoderWeights(pretrained=str(path))).encoder.state_dict()
    for name, tensor in encoder.items():
        wanted = rgb_state[name]
        if name == "conv1.weight":
            wanted = adapt_first_conv(wanted, RGB, make_spec().channel_common_names)
        assert torch.equal(tensor, wanted), name


def test_a_file_without_counters_and_with_other_names_is_matched_in_order(tmp_path, rgb_state):
    path = tmp_path / "encoder.pt"
    numbered = enumerate((name, t) for name, t in rgb_state.items() if "num_batches" not in name)
    state = {f"layer_{i}.{name.rpartition('.')[2]}": t for i, (name, t) in numbered}
    torch.save({"state_dict": state}, path)
    encoder = build_model(make_spec(), weights=EncoderWeights(pretrained=str(path))).encoder.state_dict()
    assert torch.equal(encoder["layer4.1.bn2.running_var"], rgb_state["layer4.1.bn2.running_var"])


def test_a_file_of_other_channels_needs_their_names(tmp_path):
    path, state = tmp_path / "encoder.pth", encoder_state("resnet18", 2)
    torch.save(state, path)
    with pytest.raises(InputError, match=r"conv1.weight is \(64, 2, 7, 7\), needed \(64, 3, 7, 7\)"):
        build_model(make_spec(), weights=EncoderWeights(pretrained=str(path)))
    names = ("nir", "swir16")
    model = build_model(make_spec(), weights=EncoderWeights(pretrained=str(path), channels=names))
    wanted = adapt_first_conv(state["conv1.weight"], names, make_spec().channel_common_names)
    assert torch.equal(model.encoder.conv1.weight, wanted)


def test_a_file_of_another_network_is_refused(tmp_path):
    path = tmp_path / "encoder.safetensors"
    save_file(encoder_state("mobilenetv3_small_050", 3), path)
    with pytest.raises(InputError, match="of another network than the encoder resnet18"):
        build_model(make_spec(), weights=EncoderWeights(pretrained=str(path)))


class Bomb:
    def __reduce__(self):
        return Path.write_text, (Path("exploded"), "boom")


@pytest.mark.parametrize("content", [{"conv1.weight": Bomb()}, {"conv1.weight": [1.0]}, [1, 2]])
def test_pickled_objects_are_refused_and_not_run(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    torch.save(content, "encoder.pt")
    with pytest.raises(BundleError, match="more than tensors"):
        build_model(make_spec(), weights=EncoderWeights(pretrained="encoder.pt"))
    assert not Path("exploded").exists()


@pytest.mark.parametrize("name", ["encoder.pt", "encoder.safetensors"])
def test_damaged_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"not tensors at all")
    with pytest.raises(BundleError, match=name):
        build_model(make_spec(), weights=EncoderWeights(pretrained=str(tmp_path / name)))


def test_an_encoder_with_two_first_layers_cannot_be_adapted(tmp_path):
    spec = make_spec(encoder="mobileone_s0")
    path = tmp_path / "encoder.safetensors"
    three = make_spec(encoder="mobileone_s0", bands=BandSet(tuple(make_spec().bands)[:3]), indices=())
    save_file(build_model(three).encoder.state_dict(), path)
    with pytest.raises(InputError, match="has 2 layers of 3 channels"):
        build_model(spec, weights=EncoderWeights(pretrained=str(path)))


@pytest.mark.parametrize(
    ("pretrained", "error", "message"),
    [
        ("imagenet", InputError, "ImageNet weights of resnet18 must be downloaded and downloads are off"),
        (MOCO, InputError, "downloads are off; allow them, or put https"),
        ("ResNet18_Weights.NO_SUCH", InputError, "torchgeo has no weights ResNet18_Weights.NO_SUCH"),
        ("imagenette", InputError, "'imagenette' are unknown"),
        ("nowhere/encoder.pt", MissingFileError, "encoder.pt is not there"),
        ("nowhere/encoder", MissingFileError, "encoder is not there"),
    ],
)
def test_weights_that_cannot_be_had_are_refused(tmp_path, monkeypatch, pretrained, error, message):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(error, match=message):
        build_model(make_spec(), weights=EncoderWeights(pretrained=pretrained))


def test_imagenet_weights_that_cannot_be_downloaded_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="no ImageNet weights of resnet18 could be had"):
        build_model(make_spec(), weights=EncoderWeights(pretrained="imagenet", allow_download=True))


# torchgeo: names, bands and normalisation are its own; the file is found where torch.hub caches downloads


@pytest.fixture(scope="module")
def moco_home(tmp_path_factory) -> tuple[Path, dict[str, torch.Tensor]]:
    from torchgeo.models import get_weight

    home, state = tmp_path_factory.mktemp("torch"), encoder_state("resnet18", 13)
    path = home / "hub" / "checkpoints" / get_weight(MOCO).url.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    torch.save({name: t for name, t in state.items() if not name.startswith("fc.")}, path)
    return home, state


@pytest.mark.parametrize("encoder", ["resnet18", "tu-resnet18"])
def test_torchgeo_weights_bring_their_bands(moco_home, monkeypatch, encoder):
    home, state = moco_home
    monkeypatch.setenv("TORCH_HOME", str(home))
    model = build_model(make_spec(encoder=encoder), weights=EncoderWeights(pretrained=MOCO))
    kernel, source = first_conv(model.encoder)[1].weight.detach(), state["conv1.weight"]
    visible = source[:, [1, 2, 3]].mean(1)
    wanted = torch.stack([*source[:, [1, 2, 3, 8, 11]].unbind(1), visible], dim=1)  # B02 B03 B04 B8A B11
    wanted *= (source.square().sum() / wanted.square().sum()).sqrt()
    torch.testing.assert_close(kernel, wanted)


def test_torchgeo_weights_are_downloaded_only_when_allowed(tmp_path, monkeypatch, moco_home):
    from torchgeo.models import get_weight

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weight = get_weight(MOCO)
    file = tmp_path / "elsewhere" / "weights.pth"
    file.parent.mkdir()
    torch.save({name: t for name, t in moco_home[1].items() if not name.startswith("fc.")}, file)
    monkeypatch.setattr(weight.value, "url", file.as_uri())
    with pytest.raises(InputError, match="downloads are off"):
        build_model(make_spec(), weights=EncoderWeights(pretrained=MOCO))
    model = build_model(make_spec(), weights=EncoderWeights(pretrained=MOCO, allow_download=True))
    assert torch.equal(model.encoder.bn1.weight, moco_home[1]["bn1.weight"])


@pytest.mark.parametrize(
    ("name", "channels"),
    [
        (MOCO, "coastal blue green red rededge071 rededge075 rededge078 nir nir08 nir09 cirrus swir16 swir22"),
        ("ResNet18_Weights.LANDSAT_OLI_SR_MOCO", "coastal blue green red nir08 swir16 swir22"),
        ("ResNet18_Weights.LANDSAT_TM_TOA_MOCO", "blue green red nir swir16 lwir swir22"),
        ("Swin_V2_B_Weights.NAIP_RGB_MI_SATLAS", "red green blue"),
        ("ResNet18_Weights.SENTINEL2_RGB_SECO", "red green blue"),
    ],
)
def test_torchgeo_bands_are_named(name, channels):
    assert torchgeo_input(name).channels == tuple(channels.split())


def test_radar_bands_have_no_common_name():
    assert torchgeo_input("ResNet50_Weights.SENTINEL1_GRD_CLOSP").channels == (None, None)


@pytest.mark.parametrize(
    "name", [MOCO, "ResNet18_Weights.SENTINEL2_RGB_SECO", "Swin_V2_T_Weights.SENTINEL2_MI_MS_SATLAS"]
)
def test_torchgeo_normalisation_is_what_its_transforms_do(name):
    from torchgeo.models import get_weight
    from torchvision.transforms.v2 import Normalize

    source = torchgeo_input(name)
    pixels = torch.rand(len(source.channels), 4, 4) * 3000
    wanted = pixels.clone()
    for step in get_weight(name).transforms.modules():
        if isinstance(step, Normalize):
            wanted = step(wanted.clone())
    mean, std = (torch.tensor(values)[:, None, None] for values in (source.mean, source.std))
    torch.testing.assert_close((pixels - mean) / std, wanted, rtol=1e-4, atol=1e-4)
