"""Procedural fields: random patterns that look like clouds, haze or drifts, cheap and without a seam."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from geoseg.data.augment.random import Random

_COARSE = 2  # px between the nodes of a fractal's lattice: clouds show nothing finer, and it costs a quarter
_FINE_BELOW = 32  # px: chips with a shorter side have a node in every pixel
_SMALLEST = 16  # nodes along a side of the canvas, so that the smallest chips have a spectrum too
_NODES = 32  # along a side of smooth fields
_ENOUGH = 4096  # nodes of a chip that its threshold is taken from


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Texture:
    """How the patches of a fractal look; all tensors have the shape (chip,).

    `size` is the typical diameter of a patch in px. Patches are `stretch` times as long as wide, along `direction`
    (radians, clockwise from the chip's direction to the right). The variance falls with the frequency k of finer
    details as k ^ -`slope`.
    """

    size: Tensor
    stretch: Tensor
    direction: Tensor
    slope: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fractal:
    """A random field of mean 0 and variance 1 on a canvas with twice the sides of a chip, which repeats beyond.

    `spectrum` are its Fourier coefficients, complex64, shape (chip, row frequency, col frequency); `nodes` are the rows
    and columns of the lattice that cover the chip, `spacing` is the distance between them in px, `shape` is the chip's.
    """

    spectrum: Tensor
    canvas: tuple[int, int]
    spacing: int
    shape: tuple[int, int]

    @property
    def nodes(self) -> tuple[int, int]:
        """Rows and columns of nodes that cover a chip."""
        return -(-self.shape[0] // self.spacing), -(-self.shape[1] // self.spacing)

    def seen(self) -> Tensor:
        """The field at the nodes of the chip, shape (chip, node row, node col)."""
        return self._seen(self.spectrum)

    def moved(self, shift: Tensor) -> Tensor:
        """The field, moved (x to the right, y down) by some px, at the nodes of the chip; any part of a px counts.

        What is moved in by more than the chip's side would be what the chip shows already, come around. There the chip
        sees the other end of the canvas instead, which is as good as any other weather.

        Args:
            shift: in px, shape (chip, 2).

        Returns:
            Shape (chip, node row, node col).
        """
        rows, cols = (side * self.spacing / 2 for side in self.canvas)
        reach = shift.new_tensor([cols, rows])
        near = (shift.abs() <= reach).all(dim=1, keepdim=True)
        x, y = torch.where(near, shift, reach).unbind(1)
        row_frequencies, col_frequencies = _frequencies(self.canvas, self.spacing, shift.device)
        across = _turn(x[:, None] * col_frequencies)
        down = _turn(y[:, None] * row_frequencies)
        return self._seen(self.spectrum * down[..., None] * across[:, None])

    def pixels(self, nodes: Tensor) -> Tensor:
        """Values at the nodes, shape (chip, node row, node col), between them linearly: shape (chip, row, col)."""
        rows, cols = self.shape
        fine = interpolate(nodes[:, None], scale_factor=self.spacing, mode="bilinear")[:, 0]
        return fine[:, :rows, :cols]

    def _seen(self, spectrum: Tensor) -> Tensor:
        rows, cols = self.nodes
        whole: Tensor = torch.fft.irfft2(spectrum, s=self.canvas, norm="forward")
        return whole[:, :rows, :cols]


def fractal(random: Random, shape: tuple[int, int], texture: Texture) -> Fractal:
    """A field by spectral synthesis: random phases and amplitudes under a spectrum of von Karman's form.

    The spectral density is (k0^2 + k^2) ^ (-slope / 2) with k0 of one cycle in 1.5 diameters, and flat below it
    (von Karman 1948, doi:10.1073/pnas.34.11.530); the method is that of Saupe in Peitgen and Saupe 1988, The Science
    of Fractal Images, section 2.5.

    Args:
        random: where its numbers come from.
        shape: (rows, cols) of a chip.
        texture: as many as there are chips.
    """
    spacing = _COARSE if min(shape) >= _FINE_BELOW else 1
    canvas = _canvas(shape[0], spacing), _canvas(shape[1], spacing)
    amplitude = _amplitude(canvas, spacing, texture)
    numbers = random.normal(*amplitude.shape, 2)
    return Fractal(spectrum=torch.view_as_complex(numbers) * amplitude, canvas=canvas, spacing=spacing, shape=shape)


def _canvas(side: int, spacing: int) -> int:
    return max(_SMALLEST, 2 * math.ceil(side / spacing))


def _frequencies(canvas: tuple[int, int], spacing: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cycles per px down the columns and along the rows."""
    return (
        torch.fft.fftfreq(canvas[0], d=spacing, device=device),
        torch.fft.rfftfreq(canvas[1], d=spacing, device=device),
    )


def _amplitude(canvas: tuple[int, int], spacing: int, texture: Texture) -> Tensor:
    """What standard normal numbers are multiplied by, shape (chip, row frequency, col frequency)."""
    down, across = _frequencies(canvas, spacing, texture.size.device)
    cos, sin, longer = (t[:, None, None] for t in (texture.direction.cos(), texture.direction.sin(), texture.stretch))
    along = (across * cos + down[:, None] * sin) * longer.sqrt()
    aside = (down[:, None] * cos - across * sin) / longer.sqrt()
    outer = (1.5 * texture.size[:, None, None]) ** -2
    power = ((outer + along**2 + aside**2).log() * (-texture.slope / 2)).exp()
    power[:, 0, 0] = 0  # the mean
    power[:, :, -1] = 0  # the highest frequency along the rows, which has no phase to move
    power[:, :, 1:] /= 2  # a real field repeats these columns mirrored: twice the amplitude, four times the power
    total = power[:, :, 0].sum(dim=1) + 4 * power[:, :, 1:].sum(dim=(1, 2))
    return (power / total[:, None, None]).sqrt()


def _turn(cycles: Tensor) -> Tensor:
    return torch.polar(torch.ones_like(cycles), -2 * math.pi * cycles)


def smooth(random: Random, chips: int, hills: int) -> Tensor:
    """Gently rolling fields of mean 0 and a standard deviation of about 0.8, with so many hills and hollows a side.

    Returns:
        The field at few nodes, to be enlarged by `spread`, shape (chip, 1, node row, node col).
    """
    return interpolate(random.normal(chips, 1, hills + 1, hills + 1), size=(_NODES, _NODES), mode="bicubic")


def spread(nodes: Tensor, shape: tuple[int, int]) -> Tensor:
    """Values at few nodes, (chip, band, node row, node col), between them linearly: shape (chip, band, row, col)."""
    return interpolate(nodes, size=shape, mode="bilinear")


def threshold(values: Tensor, share: Tensor, valid: Tensor | None = None) -> Tensor:
    """The number that a share of a field's values lies above, estimated from some 4096 of them.

    Args:
        values: shape (chip, row, col).
        share: 0 to 1, shape (chip,).
        valid: where values count, shape (chip, row, col).

    Returns:
        Shape (chip, 1, 1); infinite for a share of 0 or where nothing is valid, minus infinite for a share of 1.
    """
    step = max(1, math.isqrt(values.shape[1] * values.shape[2] // _ENOUGH))
    sample = values[:, ::step, ::step].flatten(1)
    if valid is not None:
        sample = sample.masked_fill(~valid[:, ::step, ::step].flatten(1), -torch.inf)
    falling = sample.sort(dim=1, descending=True).values
    counts = falling.isfinite().sum(dim=1)
    above = (share * counts).round().long()
    edge = falling.gather(1, above.clamp(max=falling.shape[1] - 1)[:, None])[:, 0]
    edge = edge.masked_fill(share <= 0, torch.inf).masked_fill(share >= 1, -torch.inf)
    return edge[:, None, None]
