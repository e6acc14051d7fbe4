"""What a network needs around a pixel and in memory, against networks of which both are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from factory import BANDS, LEGEND
from torch import nn

from geoseg.models.footprint import Footprint
from geoseg.models.probe import measure_footprint
from geoseg.models.spec import ModelSpec

SPEC = ModelSpec(architecture="unet", encoder="resnet18", bands=BANDS, legend=LEGEND, gsd_m=30)


@pytest.mark.parametrize(("side", "reach"), [(1, 0), (3, 1), (9, 4)])
def test_a_convolution_reaches_as_far_as_its_kernel(side, reach):
    convolution = nn.Conv2d(4, 3, side, padding=side // 2)
    nn.init.zeros_(convolution.weight)
    edge = convolution.weight[:, :, 0]  # all of its weight at the rim
    nn.init.ones_(edge)
    assert measure_footprint(convolution, SPEC).reach_px == reach


def test_memory_is_what_lies_side_by_side():
    """Of a chain, two neighbours at a time; the input is not the network's."""
    chain = nn.Sequential(nn.Conv2d(4, 10, 1), nn.Conv2d(10, 20, 1), nn.Conv2d(20, 3, 1))
    assert measure_footprint(chain, SPEC).bytes_per_pixel == pytest.approx(4 * (10 + 20), rel=0.01)


def test_what_is_told_is_known_again():
    found = Footprint(reach_px=7, bytes_per_pixel=345.6)
    assert Footprint.from_dict(found.to_dict()) == found
    assert Footprint.from_dict(None) is None


@pytest.mark.parametrize("changes", [{"reach_px": -1}, {"bytes_per_pixel": 0.0}, {"bytes_per_pixel": float("inf")}])
def test_no_network_has_such_a_footprint(changes):
    with pytest.raises(ValueError, match="no network has"):
        Footprint.from_dict(replace(Footprint(reach_px=7, bytes_per_pixel=3.0), **changes).to_dict())
