"""What a training ends with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainResult:
    """The bundle, and the scores on the test fold (of the best epoch by validation): IoU by class, mean, accuracy.

    `pixels` are labelled pixels by fold and class; `split` tells how the ground was divided, `notes` what else
    was decided and what folds lack.
    """

    bundle: Path
    best_val_miou: float
    test_iou: dict[str, float | None]
    test_miou: float | None
    test_accuracy: float | None
    pixels: dict[str, dict[str, int]]
    split: str = ""
    notes: tuple[str, ...] = ()
