"""Decoders of the U-Net family that also hand out what their coarser stages made, and gates on the skips."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from torch import Tensor, nn
from torch.nn import functional


class AttentionGate(nn.Module):
    """Lets through of a skip what the coarser map next to it finds relevant (Oktay et al. 2018, arXiv:1804.03999).

    Equations 1 and 2: a = sigmoid(psi(relu(W_x x + W_g g))), computed on the grid of g, enlarged bilinearly to that
    of x, and the output is a * x: never larger than the skip, channel by channel.
    """

    def __init__(self, skip: int, gating: int) -> None:
        super().__init__()
        between = max(skip // 2, 1)
        self.skip = nn.Conv2d(skip, between, kernel_size=2, stride=2, bias=False)
        self.gating = nn.Conv2d(gating, between, kernel_size=1)
        self.psi = nn.Conv2d(between, 1, kernel_size=1)

    def forward(self, skip: Tensor, gating: Tensor) -> Tensor:
        """`skip` (N, skip, 2h, 2w) and `gating` (N, gating, h, w) to the gated skip."""
        relevance = self.psi(functional.relu(self.skip(skip) + self.gating(gating))).sigmoid()
        return skip * functional.interpolate(relevance, size=skip.shape[-2:], mode="bilinear", align_corners=False)


class NoGate(nn.Module):
    """For the skips without channels that encoders have which start at a quarter of the resolution."""

    def forward(self, skip: Tensor, _gating: Tensor) -> Tensor:
        """The skip as it is."""
        return skip


def gates_of(channels: Sequence[int], widths: Sequence[int]) -> list[nn.Module]:
    """A gate for each skip, coarse to fine, of an encoder of `channels` (fine to coarse) and a decoder of `widths`."""
    coarser, skips = [channels[-1], *widths[:-2]], channels[-2:0:-1]
    return [AttentionGate(skip, gating) if skip else NoGate() for skip, gating in zip(skips, coarser, strict=True)]


class UnetStages(nn.Module):
    """smp's U-Net decoder, with the same names of weights, that returns its stages' maps from fine to coarse.

    `gates` has one module (skip, coarser map) -> skip for each skip, from coarse to fine; None lets all through.
    """

    def __init__(self, decoder: UnetDecoder, gates: Sequence[nn.Module] | None = None) -> None:
        super().__init__()
        self.center = decoder.center
        self.blocks = decoder.blocks
        self.gates = None if gates is None else nn.ModuleList(gates)

    def forward(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        """Features from fine to coarse to the maps of all blocks, the finest first, at full resolution."""
        full, *skips, x = features
        x, stages = self.center(x), []
        for i, (block, skip) in enumerate(zip(self.blocks, [*reversed(skips), None], strict=True)):
            height, width = (full if skip is None else skip).shape[-2:]
            gated = skip if skip is None or self.gates is None else self.gates[i](skip, x)
            x = block(x, height, width, skip_connection=gated)
            stages.append(x)
        return tuple(reversed(stages))


class NestedStages(nn.Module):
    """smp's U-Net++ decoder, with the same names of weights, that also returns its nested U-Nets' maps.

    The maps after the first are those of the nested U-Nets on the finest level whose skip has channels, from deep to
    shallow: the places of deep supervision in Zhou et al. 2018, doi:10.1007/978-3-030-00889-5_1, section 3.2.
    """

    def __init__(self, decoder: UnetPlusPlusDecoder) -> None:
        super().__init__()
        self.center = decoder.center
        self.blocks = decoder.blocks
        self._levels = decoder.depth
        self.nested = max(i for i, channels in enumerate(decoder.skip_channels) if channels)
        self.nested_channels = [decoder.skip_channels[self.nested]] * self.nested

    def forward(self, features: list[Tensor]) -> tuple[Tensor, ...]:
        """Features from fine to coarse to the finest map, at full resolution, and the nested ones."""
        coarse_to_fine = features[:0:-1]
        coarser: dict[int, Tensor] = {}
        nested: list[Tensor] = []
        for level in range(self._levels):
            row: dict[int, Tensor] = {}
            for start in range(level, -1, -1):  # of the encoder's level from which a U-Net climbs, fine to coarse
                below = coarse_to_fine[level] if start == level else coarser[start]
                skip = torch.cat([*(row[i] for i in range(start + 1, level + 1)), coarse_to_fine[level + 1]], dim=1)
                row[start] = self.blocks[f"x_{start}_{level}"](below, skip)
            coarser = row
            if level == self.nested:
                nested = [row[start] for start in range(1, level + 1)]
        return (self.blocks[f"x_0_{self._levels}"](coarser[0]), *nested)
