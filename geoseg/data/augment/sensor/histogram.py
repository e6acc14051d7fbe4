"""Histogram matching: the same ground with the colours of another chip or of another scene."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.core.bands import BandSet
from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.augment.sensor.quantiles import valid_quantiles
from geoseg.data.options import STRICT, Chance, LocalPath, ShareRange
from geoseg.errors import InputError
from geoseg.io.scene import open_scene

_LEVELS = 64
_PREVIEW = 1024  # rows and columns of the preview from which the quantiles of a scene are taken
_NARROW = 1e-12  # quantiles closer than this count as one value


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class HistogramMatch:
    """Every band takes on the distribution of the same band elsewhere: quantile to quantile, linear between 64 of them.

    Gonzalez and Woods (Digital Image Processing, section 3.3), over valid pixels. Equal values stay equal, the order
    of values stays, and what lies beyond the outermost quantiles keeps its distance from them. Chips without a valid
    pixel are neither changed nor taken for a pattern.
    """

    chance: Chance = 0.3
    """Share of the chips that it is applied to."""
    strength: ShareRange = (0.3, 1.0)
    """From, to: how far from the chip's own values (0) to the matched ones (1)."""
    reference: LocalPath | None = None
    """A calibrated scene whose colours are taken. Without it, those of another chip that was chosen from the same batch
    are: a chip that was chosen alone stays as it is."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips in other colours."""
        levels = torch.linspace(0, 1, _LEVELS, device=batch.device)
        own = valid_quantiles(batch.values, batch.valid, levels)
        if self.reference is None:
            wanted = own[random.partners(len(batch))]
        else:
            wanted = reference_quantiles(self.reference, batch.bands).to(own).expand_as(own)
        strength = random.uniform(len(batch), 1, 1, 1, within=self.strength)
        known = ~(own + wanted).isnan().any(dim=-1)[..., None, None]
        matched = batch.values.lerp(match_quantiles(batch.values, own.nan_to_num(0), wanted.nan_to_num(0)), strength)
        return replace(batch, values=matched.where(known & batch.valid[:, None], batch.values))


def match_quantiles(values: Tensor, own: Tensor, wanted: Tensor) -> Tensor:
    """Values moved from one distribution to another.

    Args:
        values: shape (chip, band, row, col).
        own: quantiles of these values, finite and rising, shape (chip, band, level).
        wanted: quantiles of the same levels elsewhere, finite, shape (chip, band, level).
    """
    aims = _one_aim_a_value(own, wanted)
    flat = values.flatten(2)
    inside = flat.clamp(own[..., :1], own[..., -1:])
    piece = torch.searchsorted(own[..., 1:-1].contiguous(), inside, right=True)
    slopes = aims.diff() / own.diff().clamp(min=_NARROW)
    moved = aims.gather(-1, piece) + slopes.gather(-1, piece) * (inside - own.gather(-1, piece))
    return (moved + (flat - inside)).view_as(values)


def _one_aim_a_value(own: Tensor, wanted: Tensor) -> Tensor:
    """`wanted`, with the one at the middle of the levels wherever several levels of `own` have one value."""
    own = own.contiguous()
    first = torch.searchsorted(own, own)
    last = torch.searchsorted(own, own, right=True) - 1
    middle = first + last
    return (wanted.gather(-1, middle // 2) + wanted.gather(-1, (middle + 1) // 2)) / 2


def reference_quantiles(path: Path, bands: BandSet) -> Tensor:
    """Quantiles of a scene's physical values for these bands, shape (band, level), from a preview read once a process.

    Raises:
        InputError: the scene lacks one of the bands, is not calibrated, or has no valid pixel.
    """
    found, quantiles = _scene_quantiles(path)
    positions = [found.find(band) for band in bands]
    missing = [band.name for band, at in zip(bands, positions, strict=True) if at is None]
    if missing:
        raise InputError(
            f"{path}: found the bands {', '.join(found.names)}, needed {', '.join(missing)} as well; "
            "take another scene as reference"
        )
    chosen = [at for at in positions if at is not None]
    unknown = [found[at].name for at in chosen if found[at].scale is None]
    if unknown:
        raise InputError(
            f"{path}: no calibration known for {', '.join(unknown)}; write scale and offset into the file, "
            "or take another scene as reference"
        )
    return quantiles[chosen]


@lru_cache(maxsize=64)
def _scene_quantiles(path: Path) -> tuple[BandSet, Tensor]:
    scene = open_scene(path)
    raster = scene.preview(_PREVIEW)
    if not raster.valid.any():
        raise InputError(f"{path}: found no valid pixel, needed some; take another scene as reference")
    values = scene.bands.physical(raster.data)[:, raster.valid]
    quantiles = np.quantile(values, np.linspace(0, 1, _LEVELS), axis=1).T
    return scene.bands, torch.from_numpy(quantiles.astype(np.float32))
