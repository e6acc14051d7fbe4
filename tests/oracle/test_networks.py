"""segmentation_models_pytorch's own models are the oracle for those that are put together from its parts."""

from __future__ import annotations

import pytest
import segmentation_models_pytorch as smp
import torch

from geoseg.core.bands import Band, BandSet
from geoseg.core.legend import LandClass, Legend
from geoseg.models.architectures import NetworkOptions
from geoseg.models.build import build_model
from geoseg.models.spec import ModelSpec

ENCODER = "tu-mobilenetv3_small_050"
ORACLES = {
    "unet": (smp.Unet, {}, {}),
    "unetplusplus": (smp.UnetPlusPlus, {}, {}),
    "deeplabv3": (smp.DeepLabV3, {}, {}),
    "deeplabv3 of stride 16": (smp.DeepLabV3, {"encoder_output_stride": 16}, {"output_stride": 16}),
    "deeplabv3plus": (smp.DeepLabV3Plus, {}, {}),
    "deeplabv3plus of rates": (
        smp.DeepLabV3Plus,
        {"encoder_output_stride": 8, "decoder_atrous_rates": (1, 2, 5)},
        {"output_stride": 8, "atrous_rates": (1, 2, 5)},
    ),
    "fpn": (smp.FPN, {}, {}),
    "pan": (smp.PAN, {}, {}),
    "pan of stride 32": (smp.PAN, {"encoder_output_stride": 32}, {"output_stride": 32}),
    "upernet": (smp.UPerNet, {}, {}),
    "segformer": (smp.Segformer, {}, {}),
    "linknet": (smp.Linknet, {}, {}),
}


@pytest.mark.parametrize("name", ORACLES)
def test_weights_of_smp_s_models_give_the_same(name):
    kind, settings, options = ORACLES[name]
    spec = ModelSpec(
        architecture=name.partition(" ")[0],
        encoder=ENCODER,
        bands=BandSet(tuple(Band(name=f"b{i}") for i in range(5))),
        legend=Legend(tuple(LandClass(code=i, name=f"class {i}", colour="#102030") for i in range(3))),
        gsd_m=10,
        options=NetworkOptions(**options),
    )
    side = 8 * spec.output_stride if spec.architecture == "pan" else 64  # smp's PAN takes nothing smaller
    torch.manual_seed(7)
    oracle = kind(ENCODER, encoder_weights=None, in_channels=5, classes=3, **settings)
    with torch.no_grad():
        oracle(torch.randn(2, 5, side, side))  # batch norms see data
    ours, batch = build_model(spec).eval(), torch.randn(1, 5, side, side)
    ours.load_state_dict(oracle.state_dict())
    with torch.inference_mode():
        torch.testing.assert_close(ours(batch), oracle.eval()(batch), rtol=1e-4, atol=1e-5)
