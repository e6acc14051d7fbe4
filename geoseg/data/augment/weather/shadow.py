"""Shadows of clouds that the chip does not show."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from pydantic.dataclasses import dataclass

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.weather.deck import Shapes, deck_over, skewed
from geoseg.data.augment.weather.optics import opacity, shaded, skylight, wavelengths, where_sunlit
from geoseg.data.augment.weather.sun import sun_of
from geoseg.data.options import STRICT, Chance, NotNegativeRange, ShareRange

_STRETCH = (1.0, 1.8)


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class CloudShadow:
    """The shadow of clouds beside the chip: soft-edged, darkest in the infrared, least dark in blue.

    What is left is the light that the cloud lets through, 1 / (1 + u) of the sun's (two-stream approximation), and the
    light of the sky, whose share falls with wavelength and the sun's height. Thermal bands stay as they are.
    """

    chance: Chance = 0.15
    """Share of the chips that it is applied to."""
    cover: ShareRange = (0.1, 0.6)
    """From, to: share of the chip that is in shadow, however faint."""
    thickness: NotNegativeRange = (6.0, 40.0)
    """From, to: optical thickness of the clouds where they are thickest; thin clouds are likelier than thick ones."""
    size_m: NotNegativeRange = (800.0, 8000.0)
    """From, to: diameter of a cloud in m; small clouds are likelier. No cloud is larger than the chip."""
    labels: Literal["keep", "ignore"] = "keep"
    """Whether pixels in shadow keep their labels, or become unlabelled where it is deep."""
    thick: Chance = 0.8
    """Share of the ground's contrast that the cloud would hide, above which its shadow is deep."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with shadows on them."""
        sun, chips = sun_of(batch, random), len(batch)
        shapes = Shapes(
            cover=random.uniform(chips, within=self.cover),
            thickness=skewed(random, chips, self.thickness),
            size_m=skewed(random, chips, self.size_m),
            stretch=random.uniform(chips, within=_STRETCH),
        )
        deck = deck_over(batch, random, shapes)
        thickness = deck.thickness(deck.nodes)
        blue_sky = skylight(wavelengths(batch.bands, batch.values), sun[:, 1])
        dark = shaded(batch.values, thickness[:, None], blue_sky)
        changed = replace(batch, values=where_sunlit(batch.values, dark, batch.bands))
        return changed.unlabel(opacity(thickness) > self.thick) if self.labels == "ignore" else changed
