"""Light in the air, band by band: what clouds, haze and snow reflect, what reaches the ground, what comes back.

Bands without a known wavelength count as green light. Thermal bands see no sunlight: optical effects leave them as
they are. Everything is in units of reflectance.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from geoseg.core.bands import BandSet
from geoseg.core.wavelengths import is_thermal, wavelength_um

GREEN_UM = 0.55
"""The wavelength in µm for which optical thickness is given, as everywhere in the field."""

_GROUND = 0.2  # visible reflectance that ground rarely exceeds on average: soils 0.1 to 0.3, plants 0.05, water less
_VISIBLE_UM = 0.7

# Two-stream albedo of a layer that absorbs nothing: u / (1 + u) with u = 3/4 (1 - g) tau (Meador and Weaver 1980,
# doi:10.1175/1520-0469(1980)037<0630:TSATRT>2.0.CO;2), with the usual asymmetry g of droplets and of haze.
_CLOUD_ASYMMETRY, _HAZE_ASYMMETRY = 0.85, 0.65

# Reflectance of endlessly thick clouds at a few wavelengths in µm. From (1 - s) (1 - 0.139 s) / (1 + 1.17 s), s^2 =
# (1 - w) / (1 - w g) (King 1987, doi:10.1175/1520-0469(1987)044<1734:DOTSSA>2.0.CO;2), with single scattering albedos
# w at 1.65 and 2.2 µm of 0.994 and 0.98 for droplets of 10 µm (Nakajima and King 1990,
# doi:10.1175/1520-0469(1990)047<1878:DOTOTA>2.0.CO;2), and of 0.95 and 0.93 with g = 0.8 for large ice crystals.
_DROPLETS = ((0.40, 1.0), (1.0, 1.0), (1.65, 0.64), (2.2, 0.44))
_CRYSTALS = ((0.40, 1.0), (1.0, 1.0), (1.65, 0.33), (2.2, 0.27))


def wavelengths(bands: BandSet, like: Tensor) -> Tensor:
    """Middle of every band in µm, shape (band, 1, 1)."""
    known = [GREEN_UM if is_thermal(name) else wavelength_um(name) or GREEN_UM for name in bands.common_names]
    return like.new_tensor(known)[:, None, None]


def sunlit(bands: BandSet) -> list[int]:
    """Positions of the bands that see reflected sunlight: all but thermal ones."""
    return [i for i, name in enumerate(bands.common_names) if not is_thermal(name)]


def visible(bands: BandSet) -> list[int]:
    """Positions of the bands below 0.7 µm."""
    return [i for i in sunlit(bands) if (wavelength_um(bands[i].common_name) or GREEN_UM) < _VISIBLE_UM]


def exposure(bands: BandSet) -> float:
    """How many times as bright as reflectance the values are, 1 or more, going by the training means of visible bands.

    Pictures for people (8 bits scaled to 0..1) are stretched until ground is as bright as paper. Thin clouds and haze
    that were not stretched as well would darken it.
    """
    means = [bands[i].mean for i in visible(bands)]
    return max(1.0, sum(means) / len(means) / _GROUND) if means else 1.0


def spectrum(nodes: tuple[tuple[float, float], ...], um: Tensor) -> Tensor:
    """A curve through (wavelength in µm, value) nodes, straight between them and level beyond."""
    result = torch.full_like(um, nodes[0][1])
    for (start, low), (end, high) in pairwise(nodes):
        result += (high - low) * ((um - start) / (end - start)).clamp(0, 1)
    return result


def whiteness(um: Tensor, icy: Tensor) -> Tensor:
    """Reflectance of an endlessly thick cloud, shape (chip, band, 1, 1); `icy` is True for ice, shape (chip,)."""
    return torch.where(icy[:, None, None, None], spectrum(_CRYSTALS, um), spectrum(_DROPLETS, um))


def scattering(thickness: Tensor) -> Tensor:
    """How a cloud of this optical thickness scatters: u, where u / (1 + u) of the light returns and the rest passes."""
    return 0.75 * (1 - _CLOUD_ASYMMETRY) * thickness


def opacity(thickness: Tensor) -> Tensor:
    """Share of the ground's contrast that a cloud of this optical thickness hides.

    Light that is scattered forward by less than a pixel still shows the ground: of the optical thickness, the share
    g^2 does not count (the delta scaling of Joseph, Wiscombe and Weinman 1976,
    doi:10.1175/1520-0469(1976)033<2452:TDEAFR>2.0.CO;2).
    """
    return 1 - ((_CLOUD_ASYMMETRY**2 - 1) * thickness).exp()


def haze_scattering(thickness: Tensor) -> Tensor:
    """Like `scattering`, for haze."""
    return 0.75 * (1 - _HAZE_ASYMMETRY) * thickness


def haze_opacity(thickness: Tensor) -> Tensor:
    """Like `opacity`, for haze."""
    return 1 - ((_HAZE_ASYMMETRY**2 - 1) * thickness).exp()


def skylight(um: Tensor, elevation: Tensor) -> Tensor:
    """Share of the light on level ground that comes from the blue sky, and so also into a shadow.

    Rayleigh optical thickness 0.008569 um^-4 (1 + 0.0113 um^-2 + 0.00013 um^-4) (Hansen and Travis 1974,
    doi:10.1007/BF00168069), half of it scattered downwards; clear air with an aerosol of Angstrom's law 0.06 um^-1.3
    (Iqbal 1983, An Introduction to Solar Radiation, section 6.6), of which 85 % is scattered downwards.

    Args:
        um: wavelengths, shape (band, 1, 1).
        elevation: of the sun in degrees, shape (chip,).

    Returns:
        Shape (chip, band, 1, 1).
    """
    path = 1 / elevation.deg2rad().sin()[:, None, None, None]
    molecules = 0.008569 * um**-4 * (1 + 0.0113 * um**-2 + 0.00013 * um**-4) * path
    particles = 0.06 * um**-1.3 * path
    direct = (-molecules - particles).exp()
    scattered = 0.5 * (1 - (-molecules).exp()) + 0.85 * (1 - (-particles).exp())
    return scattered / (scattered + direct)


def shaded(values: Tensor, thickness: Tensor, blue_sky: Tensor) -> Tensor:
    """Ground in the shadow of a cloud.

    Args:
        values: sunlit ground, shape (chip, band, row, col).
        thickness: optical thickness of the cloud that the sun stands behind, shape (chip, 1, row, col).
        blue_sky: what `skylight` gives.
    """
    passed = 1 / (1 + scattering(thickness))
    return torch.addcmul(blue_sky, 1 - blue_sky, passed).mul_(values)


def where_sunlit(old: Tensor, new: Tensor, bands: BandSet) -> Tensor:
    """`new`, with the thermal bands of `old`."""
    thermal = [i for i in range(len(bands)) if i not in sunlit(bands)]
    if thermal:
        new[:, thermal] = old[:, thermal]
    return new
