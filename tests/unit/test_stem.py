from __future__ import annotations

import itertools

import pytest
import torch
from timm.layers import Conv2dSame
from torch import nn

from geoseg.errors import InputError
from geoseg.models.stem import RGB, adapt_first_conv, first_conv, replace_first_conv

SIX = ("blue", "green", "red", "nir", "swir16", None)


def kernels(channels: int = 3, out: int = 64, side: int = 7) -> torch.Tensor:
    return torch.randn(out, channels, side, side, generator=torch.Generator().manual_seed(1)) * 0.1 + 0.05


def test_same_channels_keep_every_bit():
    weight = kernels()
    adapted = adapt_first_conv(weight, RGB, list(RGB))
    assert torch.equal(adapted, weight)
    assert adapted.data_ptr() != weight.data_ptr()


@pytest.mark.parametrize("order", list(itertools.permutations(RGB)))
def test_reordered_channels_keep_every_bit(order):
    weight = kernels()
    assert torch.equal(adapt_first_conv(weight, RGB, order), weight[:, [RGB.index(name) for name in order]])


def test_kernels_go_to_the_channels_of_the_same_name():
    weight = kernels()
    adapted = adapt_first_conv(weight, RGB, SIX)
    expected = torch.stack([*weight[:, [2, 1, 0]].unbind(1), *[weight.mean(1)] * 3], dim=1)
    scale = (weight.square().sum() / expected.square().sum()).sqrt()
    torch.testing.assert_close(adapted, expected * scale)
    assert 0.6 < scale < 1


def test_near_infrared_bands_stand_in_for_each_other_and_none_matches_nothing():
    weight = kernels(4)
    adapted = adapt_first_conv(weight, ("nir08", "red", None, "swir16"), ("red", "nir", None))
    ratio = adapted / torch.stack([weight[:, 1], weight[:, 0], weight[:, 1]], dim=1)  # red is the only visible source
    torch.testing.assert_close(ratio, ratio[0, 0, 0, 0].expand_as(ratio))


def test_the_exact_near_infrared_wins_over_its_stand_in():
    weight = kernels(2)
    adapted = adapt_first_conv(weight, ("nir08", "nir"), ("nir", "nir08"))
    assert torch.equal(adapted, weight[:, [1, 0]])


def test_a_source_without_visible_bands_gives_the_mean_of_all():
    weight = kernels(2)
    adapted = adapt_first_conv(weight, ("vv", "vh"), ("red",))
    ratio = adapted[:, 0] / weight.mean(1)
    torch.testing.assert_close(ratio, ratio[0, 0, 0].expand_as(ratio))


@pytest.mark.parametrize("target", [SIX, ("red", "nir"), ("nir",), (None,) * 13])
def test_outputs_keep_their_variance_for_independent_standardised_channels(target):
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(64, 3, 3, 3, generator=generator) * torch.rand(64, 1, 1, 1, generator=generator)

    def variance(kernel: torch.Tensor) -> float:
        pixels = torch.randn(16, kernel.shape[1], 64, 64, generator=generator)
        return float(nn.functional.conv2d(pixels, kernel).var())

    adapted = adapt_first_conv(weight, RGB, target)
    assert variance(adapted) == pytest.approx(variance(weight), rel=0.02)


def test_names_that_do_not_fit_the_kernels_are_refused():
    with pytest.raises(InputError, match="takes 3 channels but 2 channel names"):
        adapt_first_conv(kernels(), ("red", "green"), SIX)


def test_the_layer_keeps_its_kind_and_settings():
    layer = Conv2dSame(3, 8, 3, stride=2, dilation=1, bias=True)
    network = nn.Sequential(nn.Identity(), nn.ModuleDict({"stem": layer}), nn.Conv2d(8, 4, 1))
    before, bias = layer.weight.detach().clone(), layer.bias.detach().clone()
    assert first_conv(network)[0] == "1.stem"
    assert replace_first_conv(network, RGB, SIX) is layer
    assert (layer.in_channels, layer.stride, layer.groups) == (6, (2, 2), 1)
    assert torch.equal(layer.bias, bias)
    assert torch.equal(layer.weight, adapt_first_conv(before, RGB, SIX))
    assert layer.weight.requires_grad
    assert layer(torch.zeros(1, 6, 5, 5)).shape == (1, 8, 3, 3)  # same padding: 5 / 2 rounded up


def test_a_grouped_layer_keeps_its_groups():
    layer = nn.Conv2d(4, 6, 3, groups=2, bias=False)
    before = layer.weight.detach().clone()
    replace_first_conv(layer, ("red", "green", "blue", "nir"), ("red", "swir16", "green", "nir", "blue", None))
    assert (layer.in_channels, layer.groups, tuple(layer.weight.shape)) == (6, 2, (6, 3, 3, 3))
    second = adapt_first_conv(before[3:], ("blue", "nir"), ("nir", "blue", None))
    assert torch.equal(layer.weight[3:], second)
    assert layer(torch.zeros(1, 6, 5, 5)).shape == (1, 6, 3, 3)


def test_layers_that_cannot_be_adapted_are_refused():
    with pytest.raises(InputError, match="2 groups, which do not divide 3 channels"):
        replace_first_conv(nn.Conv2d(4, 6, 3, groups=2), ("a", "b", "c", "d"), RGB)
    with pytest.raises(InputError, match="takes 4 channels but 3"):
        replace_first_conv(nn.Conv2d(4, 6, 3), RGB, SIX)
    with pytest.raises(InputError, match="no two-dimensional convolution"):
        first_conv(nn.Linear(3, 3))
