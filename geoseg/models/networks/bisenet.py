"""BiSeNet: a shallow path that keeps detail beside a deep one that sees context (Yu et al. 2018, arXiv:1808.00897)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class ConvNormRelu(nn.Sequential):
    """A convolution that keeps the size (or divides it by `stride`), a norm and a ReLU."""

    def __init__(self, channels: int, out: int, kernel: int = 3, stride: int = 1) -> None:
        convolution = nn.Conv2d(channels, out, kernel, stride=stride, padding=kernel // 2, bias=False)
        super().__init__(convolution, nn.BatchNorm2d(out), nn.ReLU())


class AttentionRefinement(nn.Module):
    """Features weighted by what their mean over the whole tile says of each channel (section 3.2, figure 2b)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.features = ConvNormRelu(channels, out)
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(out, out, 1, bias=False), nn.BatchNorm2d(out), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to (N, out, h, w)."""
        x = self.features(x)
        refined: Tensor = x * self.weights(x)
        return refined


class FeatureFusion(nn.Module):
    """Both paths side by side, made one, and weighted by channel (section 3.3, figure 2c)."""

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.features = ConvNormRelu(channels, out, kernel=1)
        self.weights = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(out, out // 4, 1), nn.ReLU(), nn.Conv2d(out // 4, out, 1), nn.Sigmoid()
        )

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        """Two maps (N, ., h, w) with `channels` together, to (N, out, h, w)."""
        x = self.features(torch.cat([spatial, context], dim=1))
        fused: Tensor = x + x * self.weights(x)
        return fused


class BiSeNetDecoder(nn.Module):
    """All of BiSeNet but the encoder of its context path; returns maps at 1/8, then of the context path at 1/8, 1/16.

    The last two are where the paper puts its auxiliary losses. `channels` are those of the encoder's six features; the
    spatial path starts from the first, which for nearly all encoders is the input itself.
    """

    def __init__(self, channels: Sequence[int], width: int = 128) -> None:
        super().__init__()
        self.spatial = nn.Sequential(
            ConvNormRelu(channels[0], 64, kernel=7, stride=2),
            ConvNormRelu(64, 64, stride=2),
            ConvNormRelu(64, 64, stride=2),
            ConvNormRelu(64, width, kernel=1),
        )
        self.tail = nn.Sequential(nn.AdaptiveAvgPool2d(1), *ConvNormRelu(channels[-1], width, kernel=1))
        self.refine_32 = AttentionRefinement(channels[-1], width)
        self.refine_16 = AttentionRefinement(channels[-2], width)
        self.smooth_32 = ConvNormRelu(width, width)
        self.smooth_16 = ConvNormRelu(width, width)
        self.fusion = FeatureFusion(2 * width, 2 * width)
        self.out_channels = (2 * width, width, width)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Six features, from full resolution to 1/32, to maps of `out_channels`."""
        spatial, at_16, at_32 = self.spatial(features[0]), features[-2], features[-1]
        coarse = self.smooth_32(_like(self.refine_32(at_32) + self.tail(at_32), at_16))
        fine = self.smooth_16(_like(self.refine_16(at_16) + coarse, spatial))
        return self.fusion(spatial, fine), fine, coarse


def _like(x: Tensor, target: Tensor) -> Tensor:
    return functional.interpolate(x, size=target.shape[-2:], mode="nearest")
