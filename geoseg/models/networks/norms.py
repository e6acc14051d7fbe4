"""Norms that do not depend on the other chips of a batch, in place of batch norms."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_MOST_GROUPS, _LEAST_CHANNELS = 32, 4


class ChannelNorm(nn.GroupNorm):
    """Group norm, then what a joined batch norm of timm did after it (`drop` and `act`).

    Unlike torch's own it takes a single value a group, which it turns into the bias.
    """

    def __init__(self, groups: int, norm: _BatchNorm) -> None:
        super().__init__(groups, norm.num_features, eps=norm.eps, affine=norm.affine)
        self.drop = getattr(norm, "drop", nn.Identity())
        self.act = getattr(norm, "act", nn.Identity())
        if norm.affine:
            with torch.no_grad():
                self.weight.copy_(norm.weight)
                self.bias.copy_(norm.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The shape stays."""
        x = torch.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)
        result: Tensor = self.act(self.drop(x))
        return result


def replace_batch_norms(module: nn.Module, kind: Literal["instance", "group"], *, pooled: bool = False) -> None:
    """Replace every batch norm below `module`, in place; scale and shift of each channel are kept.

    Instance norm (Ulyanov et al. 2016, arXiv:1607.08022) takes each channel by itself, group norm (Wu and He 2018,
    arXiv:1803.08494) up to 32 groups of at least four channels. Behind an average over the whole tile either would
    find a single value a channel, and so erase it: all channels are one group there (`pooled`). Other norms stay.
    """
    pooled = pooled or _starts_with_mean(module)
    for name, child in list(module.named_children()):
        if isinstance(child, _BatchNorm):
            groups = 1 if pooled else _groups(kind, child.num_features)
            setattr(module, name, ChannelNorm(groups, child))
        else:
            replace_batch_norms(child, kind, pooled=pooled)


def _starts_with_mean(module: nn.Module) -> bool:
    first = module[0] if isinstance(module, nn.Sequential) and len(module) else None
    return isinstance(first, nn.AdaptiveAvgPool2d) and first.output_size == 1


def _groups(kind: Literal["instance", "group"], channels: int) -> int:
    if kind == "instance":
        return channels
    most = max(1, min(_MOST_GROUPS, channels // _LEAST_CHANNELS))
    return max(groups for groups in range(1, most + 1) if channels % groups == 0)
