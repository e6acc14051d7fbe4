"""A deck of clouds over a chip: how thick it is, seen from above and from the sun."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.fields import Fractal, Texture, fractal, threshold
from geoseg.data.augment.random import Random

_NARROWEST = 4.0  # px: smaller patches are noise, not clouds
_DENSEST = 1.5  # times the thickness of the chip's thickest place: clouds beside the chip may be thicker
_THIN = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Shapes:
    """What clouds of every chip are like; all have the shape (chip,).

    `cover` is the share of the chip below clouds, `thickness` their optical thickness where they are thickest, `size_m`
    the diameter of a cloud in m, `stretch` how many times it is as long as wide.
    """

    cover: Tensor
    thickness: Tensor
    size_m: Tensor
    stretch: Tensor


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Deck:
    """Clouds as a field: where it is above `base` there is cloud, and `gain` times what is above is its thickness.

    `nodes` is the field above the chip; `thickest` is the optical thickness that is never passed. The last three have
    the shape (chip, 1, 1).
    """

    field: Fractal
    nodes: Tensor
    base: Tensor
    gain: Tensor
    thickest: Tensor

    def thickness(self, nodes: Tensor) -> Tensor:
        """Optical thickness in every pixel, shape (chip, row, col), of a field seen at its nodes."""
        above = (self.field.pixels(nodes) - self.base).clamp(min=0)
        return torch.minimum(above * self.gain, self.thickest)


def skewed(random: Random, chips: int, within: tuple[float, float]) -> Tensor:
    """Numbers between two bounds, the lower ones likelier: u^2 of the way, with u uniform."""
    low, high = within
    return low + (high - low) * random.uniform(chips) ** 2


def deck_over(batch: Batch, random: Random, shapes: Shapes) -> Deck:
    """Clouds whose cover of the chip, and thickness at its thickest place, are as wanted.

    A cloud is at most as large as the chip and at least 4 px.
    """
    longer = max(batch.shape)
    size = (shapes.size_m / batch.gsd_m).clamp(max=longer).clamp(min=_NARROWEST)
    direction = random.uniform(len(batch), within=(0.0, math.pi))
    texture = Texture(size=size, stretch=shapes.stretch, direction=direction, slope=_slope(batch.gsd_m))
    field = fractal(random, batch.shape, texture)
    nodes = field.seen()
    top = nodes.amax(dim=(1, 2), keepdim=True)
    base = torch.maximum(threshold(nodes, shapes.cover), nodes.amin(dim=(1, 2), keepdim=True))
    thickness = shapes.thickness[:, None, None]
    gain = thickness / (top - base).clamp(min=_THIN)
    return Deck(field=field, nodes=nodes, base=base, gain=gain, thickest=_DENSEST * thickness)


def _slope(gsd_m: float) -> float:
    """How steeply the variance of clouds falls towards finer details: 3 for pixels of 10 m or more, 4 at 1 m.

    Liquid water varies with the frequency k as k^-5/3 along a line, which is k^-8/3 in the plane; the light that comes
    out of it is smoother below some 200 m (Davis et al. 1997, doi:10.1175/1520-0469(1997)054<0241:TLCFRI>2.0.CO;2).
    """
    return 3 + min(max(1 - math.log10(gsd_m), 0.0), 1.0)
