"""Clouds and the shadows that they throw."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.weather.deck import Deck, Shapes, deck_over, skewed
from geoseg.data.augment.weather.optics import (
    exposure,
    opacity,
    scattering,
    shaded,
    skylight,
    wavelengths,
    where_sunlit,
    whiteness,
)
from geoseg.data.augment.weather.sun import away_from, shadow_shift, sun_of
from geoseg.data.options import STRICT, Chance, NotNegativeRange, ShareRange

# Cirrus (Sassen and Campbell 2001, doi:10.1175/1520-0469(2001)058<0481:AMCCCF>2.0.CO;2): thin, high, drawn out by wind
_CIRRUS_THICKNESS, _CIRRUS_HEIGHT_M, _CIRRUS_STRETCH = (0.5, 3.0), (6000.0, 12000.0), (3.0, 8.0)
_CUMULUS_STRETCH = (1.0, 1.8)
_RELIEF = 0.12  # how much brighter or darker the flanks of a cloud are that face the sun or not


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Clouds:
    """Soft-edged clouds in front of the ground, and their shadows on it, away from the sun.

    Clouds are fractals. Of the light they reflect u / (1 + u / r), where u grows with the optical thickness (two-stream
    approximation) and r is what an endlessly thick cloud reflects at the band's wavelength: all of it up to 1 µm, less
    in the short-wave infrared, where water and ice absorb. They let through 1 / (1 + u) of the sun's light; the sky
    lights their shadows, most in blue and least in the infrared. Where the chip's sun is unknown it is drawn. Values
    are taken as reflectance; for pictures stretched to 0..1, light is stretched, too. Thermal bands stay as they are.
    """

    chance: Chance = 0.15
    """Share of the chips that it is applied to."""
    cover: ShareRange = (0.05, 0.4)
    """From, to: share of the chip that has a cloud above it, however thin."""
    thickness: NotNegativeRange = (2.0, 40.0)
    """From, to: optical thickness where the clouds are thickest; thin clouds are likelier than thick ones."""
    size_m: NotNegativeRange = (800.0, 8000.0)
    """From, to: diameter of a cloud in m; small clouds are likelier. No cloud is larger than the chip."""
    height_m: NotNegativeRange = (500.0, 3000.0)
    """From, to: height of the clouds above the ground in m. It only moves the shadow, by height / tan(elevation)."""
    cirrus: Chance = 0.25
    """Share of the chips with clouds whose clouds are cirrus: of ice, thin (optical thickness 0.5 to 3), drawn out to
    streaks, as large as `size_m` allows and 6 to 12 km high."""
    shadow: bool = True
    """Whether clouds throw shadows."""
    labels: Literal["keep", "ignore"] = "ignore"
    """Whether pixels behind clouds keep their labels, or become unlabelled where little of the ground is to be seen."""
    thick: Chance = 0.6
    """The share of the ground's contrast that a cloud hides where a pixel becomes unlabelled."""
    shadow_labels: Literal["keep", "ignore"] = "keep"
    """The same for pixels in the shadow of such a cloud."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips under clouds."""
        sun = sun_of(batch, random)
        icy = random.uniform(len(batch)) < self.cirrus
        deck = deck_over(batch, random, self._shapes(random, icy))
        above = deck.thickness(deck.nodes)
        sunward = deck.thickness(deck.field.moved(shadow_shift(sun, self._heights(random, icy), batch.gsd_m)))
        um = wavelengths(batch.bands, batch.values)
        ground = batch.values
        if self.shadow:
            ground = shaded(ground, sunward[:, None], skylight(um, sun[:, 1]))
        light = exposure(batch.bands) * _relief(deck, sun) * scattering(above[:, None])
        seen = _behind(ground, above[:, None], light, whiteness(um, icy))
        changed = replace(batch, values=where_sunlit(batch.values, seen, batch.bands))
        if self.labels == "ignore":
            changed = changed.unlabel(opacity(above) > self.thick)
        if self.shadow and self.shadow_labels == "ignore":
            changed = changed.unlabel(opacity(sunward) > self.thick)
        return changed

    def _shapes(self, random: Random, icy: Tensor) -> Shapes:
        chips = len(icy)
        stretch = random.uniform(chips, within=_CUMULUS_STRETCH)
        return Shapes(
            cover=random.uniform(chips, within=self.cover),
            thickness=skewed(random, chips, self.thickness).where(~icy, skewed(random, chips, _CIRRUS_THICKNESS)),
            size_m=torch.where(icy, self.size_m[1], skewed(random, chips, self.size_m)),
            stretch=stretch.where(~icy, random.uniform(chips, within=_CIRRUS_STRETCH)),
        )

    def _heights(self, random: Random, icy: Tensor) -> Tensor:
        heights = random.uniform(len(icy), within=self.height_m)
        return heights.where(~icy, random.uniform(len(icy), within=_CIRRUS_HEIGHT_M))


def _behind(ground: Tensor, thickness: Tensor, light: Tensor, white: Tensor) -> Tensor:
    """Ground seen through clouds, and the light that they send back themselves."""
    loss = torch.addcmul(light.new_ones(()), light, 1 / white)
    return (ground * (1 - opacity(thickness))).addcdiv_(light, loss)


def _relief(deck: Deck, sun: Tensor) -> Tensor:
    """Light and shade on the clouds, about 1, shape (chip, 1, row, col): flanks that face the sun are brighter."""
    x, y = away_from(sun)[:, :, None, None].unbind(1)
    padded = torch.nn.functional.pad(deck.nodes[:, None], (1, 1, 1, 1), mode="replicate")[:, 0]
    rise = (padded[:, 1:-1, 2:] - padded[:, 1:-1, :-2]) * x + (padded[:, 2:, 1:-1] - padded[:, :-2, 1:-1]) * y
    steep = rise / rise.std(dim=(1, 2), keepdim=True, correction=0).clamp(min=1e-6)
    return deck.field.pixels(1 + _RELIEF * (steep / 2).tanh())[:, None]
