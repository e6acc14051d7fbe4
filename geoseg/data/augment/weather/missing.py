"""Lost lines: what a sensor or its downlink dropped."""

from __future__ import annotations

from typing import Literal

import torch
from pydantic.dataclasses import dataclass
from torch import Tensor

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.random import Random
from geoseg.data.options import STRICT, Chance, ShareRange

# Gaps of Landsat 7 since its scan line corrector failed: slightly tilted, one every 30 lines or so, from nothing in the
# middle of the scene to 14 px at its edges (Scaramuzza and Barsi 2005, Landsat 7 scan line corrector-off gap-filled
# product development, Pecora 16)
_PERIOD, _TILT = (24.0, 40.0), (-0.2, 0.2)
_WIDEST = 4  # lines that are lost together at most


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class MissingLines:
    """Pixels of whole lines, or of wedges between them, become invalid, in all bands, and unlabelled."""

    chance: Chance = 0.1
    """Share of the chips that it is applied to."""
    kind: Literal["lines", "wedges", "either"] = "either"
    """lines: single rows or columns and small groups of them; wedges: the gaps of Landsat 7; either: drawn per chip."""
    lost: ShareRange = (0.02, 0.2)
    """From, to: share of the chip's pixels that is lost, on average."""
    labels: Literal["keep", "ignore"] = "ignore"
    """Whether lost pixels keep their labels, so that the model learns to guess, or become unlabelled."""

    def apply(self, batch: Batch, random: Random) -> Batch:
        """The chips with gaps."""
        chips = len(batch)
        lost = random.uniform(chips, 1, 1, within=self.lost)
        wedged = random.uniform(chips, 1, 1) < {"lines": 0.0, "wedges": 1.0, "either": 0.5}[self.kind]
        turned = random.uniform(chips, 1, 1) < 0.5
        along, across = _places(batch, turned)
        gaps = torch.where(wedged, _in_wedge(along, across, lost, random), _in_line(across, lost, random))
        changed = batch.invalidate(gaps)
        return changed.unlabel(gaps) if self.labels == "ignore" else changed


def _places(batch: Batch, turned: Tensor) -> tuple[Tensor, Tensor]:
    """How far along its line a pixel lies, 0 to 1, and the number of the line, both of shape (chip, row, col)."""
    rows, cols = batch.shape
    row = torch.arange(rows, device=batch.device)[:, None].expand(rows, cols)
    col = torch.arange(cols, device=batch.device).expand(rows, cols)
    along = torch.where(turned, row / rows, col / cols)
    return along, torch.where(turned, col, row)


def _in_line(line: Tensor, lost: Tensor, random: Random) -> Tensor:
    """True in lost lines; a group begins at a line by chance, such that `lost` is the mean share."""
    chips, lines = len(lost), int(max(line.shape[1:]))
    width = random.integers(chips, 1, below=_WIDEST) + 1
    begins = random.uniform(chips, lines + _WIDEST) < 1 - (1 - lost[:, 0]) ** (1 / width)
    covered = torch.zeros(chips, lines, dtype=torch.bool, device=line.device)
    for back in range(_WIDEST):
        covered |= begins[:, _WIDEST - back : _WIDEST - back + lines] & (back < width)
    return covered.gather(1, line.flatten(1)).view_as(line)


def _in_wedge(along: Tensor, line: Tensor, lost: Tensor, random: Random) -> Tensor:
    """True in gaps that come back every period, wider to one end; `lost` is their mean share."""
    chips = len(lost)
    period, tilt, begin = (random.uniform(chips, 1, 1, within=w) for w in (_PERIOD, _TILT, (0.0, 1.0)))
    far = torch.where(random.uniform(chips, 1, 1) < 0.5, along, 1 - along)
    share = (2 * lost * far).where(lost < 0.5, 1 - 2 * (1 - lost) * (1 - far))
    length = max(line.shape[1:])
    phase = ((line + tilt * along * length) / period + begin).frac()
    return phase % 1 < share
