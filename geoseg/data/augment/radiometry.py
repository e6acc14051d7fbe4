"""Radiometric jitter: the same ground under another sun, air or sensor gain."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from geoseg.core.bands import BandSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Jitter:
    """Standard deviations of the log gain (common to all bands, and of each band) and of the offset in reflectance."""

    gain: float = 0.0
    band_gain: float = 0.0
    offset: float = 0.0


def jitter_bands(bands: BandSet, jitter: Jitter, rng: np.random.Generator) -> BandSet:
    """The bands with randomly changed calibration, so that `normalise` and the indices see changed reflectance."""
    gains = np.exp(rng.normal(0, jitter.gain) + rng.normal(0, jitter.band_gain, len(bands)))
    offsets = rng.normal(0, jitter.offset) + rng.normal(0, jitter.offset / 2, len(bands))
    return BandSet(
        tuple(
            replace(band, scale=(band.scale or 1.0) * gain, offset=band.offset * gain + offset)
            for band, gain, offset in zip(bands, gains.tolist(), offsets.tolist(), strict=True)
        )
    )
