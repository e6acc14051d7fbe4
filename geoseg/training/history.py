"""What every epoch came to: the log of a training."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from geoseg.io.output import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """An epoch, counted from 0.

    `step` is the number of steps done at its end, `train_loss` the mean over its steps, `val_miou` the mean IoU of the
    validation fold, `learning_rate` that of the next step.
    """

    epoch: int
    step: int
    train_loss: float
    val_miou: float
    learning_rate: float


def write_history(epochs: Sequence[Epoch], path: Path) -> None:
    """A CSV file with a line an epoch, which appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, [field.name for field in fields(Epoch)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(asdict(epoch) for epoch in epochs)
