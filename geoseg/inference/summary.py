"""What a finished map says in numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from geoseg.core.legend import UNLABELLED, Legend
from geoseg.inference.adaptive import Adapted
from geoseg.inference.contract import Finding
from geoseg.inference.maps import MapFiles, map_strips
from geoseg.vectorize.clean import CleanSummary


@dataclass(frozen=True, slots=True, kw_only=True)
class MapFigures:
    """Area of each class in m² by name, share of nodata, mean probability of the mapped class (None without any).

    The mean leaves out pixels whose class cleaning has changed.
    """

    area_m2: Mapping[str, float]
    nodata_share: float
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What was made and how.

    `polygons` is None when none were written, `notes` are what the writer has to say, `redundancy` is pixels computed
    over pixels wanted, `precision_reason` says why the network computed in `precision`. `tta` is the test-time
    augmentation, `models` are the names of the models whose mean was taken. `adapted` tells
    of adaptive inference, None = all was inferred in full.
    """

    figures: MapFigures
    shape: tuple[int, int]
    gsd_m: tuple[float, float]
    runtime: str
    precision: str
    precision_reason: str
    tta: str
    models: tuple[str, ...]
    redundancy: float
    adapted: Adapted | None
    cleaned: CleanSummary | None
    findings: tuple[Finding, ...]
    outputs: tuple[str, ...]
    polygons: int | None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def measure(files: MapFiles, legend: Legend) -> MapFigures:
    """Read a map once, strip by strip, and count."""
    row_areas = files.grid.pixel_areas_m2()
    area = np.zeros(256)
    probability_sum, valid, known = 0.0, 0, 0
    for window, codes, probability in map_strips(files):
        for row_area, row in zip(row_areas[window.row : window.row_end].tolist(), codes, strict=True):
            area += np.bincount(row, minlength=256) * row_area
        valid += int(np.count_nonzero(codes != UNLABELLED))
        known += int(np.count_nonzero(~np.isnan(probability)))
        probability_sum += float(np.nansum(probability, dtype=np.float64))
    total = files.grid.height * files.grid.width
    return MapFigures(
        area_m2={c.name: float(area[c.code]) for c in legend},
        nodata_share=1 - valid / total,
        confidence=probability_sum / known if known else None,
    )
