"""What every epoch came to: the log of a training."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from geoseg.io.output import replacing


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """An epoch, counted from 0.

    `step` is the number of steps done at its end, `train_loss` the mean over its steps, `val_miou` the mean IoU of the
    validation fold, `learning_rate` that of the next step, `losses` the mean of every loss by name, without its weight.
    """

    epoch: int
    step: int
    train_loss: float
    val_miou: float
    learning_rate: float
    losses: Mapping[str, float] = field(default_factory=dict)


def write_history(epochs: Sequence[Epoch], path: Path) -> None:
    """A CSV file with a line an epoch, which appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [_row(epoch) for epoch in epochs]
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(epoch: Epoch) -> dict[str, float]:
    values = asdict(epoch)
    losses = values.pop("losses")
    return {**values, **{f"train_{name}": value for name, value in losses.items()}}
