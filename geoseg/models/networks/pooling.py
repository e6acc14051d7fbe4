"""Pooling that does not mind the size of its input, also inside an ONNX graph."""

from __future__ import annotations

import torch
from segmentation_models_pytorch.decoders.pan.decoder import FPABlock
from torch import Tensor, nn
from torch.nn import functional


class BinAverage(nn.Module):
    """The same as nn.AdaptiveAvgPool2d(bins), as two products of matrices, which ONNX can say for any input size.

    Bin i of n covers the rows from floor(i * height / n) to ceil((i + 1) * height / n), and columns alike.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, H, W) to (N, channels, bins, bins)."""
        rows, cols = self._shares(x.shape[-2], x), self._shares(x.shape[-1], x)
        return rows @ x @ cols.transpose(0, 1)

    def _shares(self, length: int, like: Tensor) -> Tensor:
        """What each of `length` places gives to each bin, shape (bins, length); every bin's row sums to 1."""
        place, i = torch.arange(length, device=like.device), torch.arange(self.bins, device=like.device)[:, None]
        start = (i * length).div(self.bins, rounding_mode="floor")
        end = ((i + 1) * length + self.bins - 1).div(self.bins, rounding_mode="floor")
        inside = ((place >= start) & (place < end)).to(like.dtype)
        return inside / inside.sum(dim=1, keepdim=True)


def replace_adaptive_pools(module: nn.Module) -> None:
    """Put a `BinAverage`, in place, for every adaptive average of more than one bin."""
    for name, child in list(module.named_children()):
        if isinstance(child, nn.AdaptiveAvgPool2d) and isinstance(child.output_size, int) and child.output_size > 1:
            setattr(module, name, BinAverage(child.output_size))
        else:
            replace_adaptive_pools(child)


class FeaturePyramidAttention(nn.Module):
    """smp's feature pyramid attention (Li et al. 2018, arXiv:1805.10180), with the same names of weights, of any size.

    smp's halves its map three times and so needs eight features a side, tiles of 128 or 256 pixels. Here odd sides
    are rounded up when halved, and one feature stays one; where sides are multiples of eight nothing differs. (A last
    row and column repeated do what `ceil_mode` does, which OpenVINO refuses for a single feature.)
    """

    def __init__(self, block: FPABlock) -> None:
        super().__init__()
        self.branch1, self.mid = block.branch1, block.mid
        self.down1, self.down2, self.down3 = block.down1, block.down2, block.down3
        self.conv2, self.conv1 = block.conv2, block.conv1
        for down in (self.down1, self.down2, self.down3):
            down[0] = nn.Sequential(nn.ReplicationPad2d((0, 1, 0, 1)), down[0])

    def forward(self, x: Tensor) -> Tensor:
        """(N, channels, h, w) to (N, out, h, w)."""
        halved = self.down1(x)
        quartered = self.down2(halved)
        attention = _like(self.down3(quartered), quartered) + self.conv2(quartered)
        attention = _like(attention, halved) + self.conv1(halved)
        attended: Tensor = _like(attention, x) * self.mid(x) + _like(self.branch1(x), x)
        return attended


def _like(x: Tensor, target: Tensor) -> Tensor:
    return functional.interpolate(x, size=target.shape[-2:], mode="bilinear", align_corners=True)
