"""The plan of a training: what it would learn from, how balanced that is, and what it would cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from geoseg.core.duration import duration_text
from geoseg.data.splits.split import FOLDS, TEST, TRAIN, VAL
from geoseg.inference.engine import Progress
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.ground import open_ground
from geoseg.training.measure import Cost, measure
from geoseg.training.truth import GroundTruth, TrainingGround, divide, ground_truth


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """A training before it is done.

    `scenes` are (height, width) in pixels by name; `chips` those of an epoch by fold; `pixels` labelled pixels by fold
    and class; `drawn` the expected shares of the classes among the labelled pixels of training chips; `epochs` and
    `steps` those of the whole training, `fit.refit` included; `seconds` an estimate for it.
    """

    scenes: dict[str, tuple[int, int]]
    split: str
    chips: dict[str, int]
    pixels: dict[str, dict[str, int]]
    drawn: dict[str, float]
    epochs: int
    steps: int
    cost: Cost
    seconds: float
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def lines(self) -> tuple[str, ...]:
        """The plan for a terminal."""
        scenes = (f"  {name}: {height} x {width} px" for name, (height, width) in self.scenes.items())
        chips = ", ".join(f"{count} {fold}" for fold, count in self.chips.items())
        cost = self.cost
        estimates = (
            f"{cost.train_batch_s:.2f} s a batch, {duration_text(self.seconds)} in all, "
            f"{cost.memory_bytes / 2**30:.1f} GiB of memory at the peak"
        )
        return (
            "scenes:",
            *scenes,
            self.split,
            f"chips an epoch: {chips}",
            *self._balance(),
            f"network: {cost.parameters:,} parameters",
            f"training: {self.epochs} epochs, {self.steps} steps",
            f"estimates from a few real steps on this {cost.device}: {estimates}",
            *self.notes,
        )

    def _balance(self) -> tuple[str, ...]:
        """A table of classes: their share of each fold's labels, and of what the training chips will show."""
        totals = {fold: max(sum(pixels.values()), 1) for fold, pixels in self.pixels.items()}
        width = max(len("class"), *map(len, self.drawn))
        head = f"  {'class':<{width}}" + "".join(f"{fold:>8}" for fold in (*totals, "drawn"))
        rows = (
            f"  {name:<{width}}"
            + "".join(f"{self.pixels[fold][name] / totals[fold]:8.1%}" for fold in totals)
            + f"{share:8.1%}"
            for name, share in self.drawn.items()
        )
        return (head, *rows)


def plan_training(
    config_path: Path,
    *,
    seed: int | None = None,
    progress: Progress = lambda _stage, _done, _total: None,
) -> TrainPlan:
    """Plan a training, without training: nothing is written, not even labels beside their files.

    Raises:
        InputError: as the training would, see `geoseg.training.train.train`.
    """
    config = read_config(config_path)
    config = config.model_copy(update={"cache": "none"} | ({} if seed is None else {"seed": seed}))
    ground = open_ground(config, progress)
    built = divide(ground, config)
    truth = ground_truth(ground, built.split.map())
    notes = (*truth.spec.notes(config.chips.size), *built.notes, *truth.warnings)
    return _plan(truth, config, built.summary, notes)


def _plan(truth: GroundTruth, config: TrainConfig, split: str, notes: tuple[str, ...]) -> TrainPlan:
    chips = {TRAIN: config.sampling.per_epoch} | {fold: len(truth.evaluation_chips(fold)) for fold in (VAL, TEST)}
    shares = TrainingGround(truth, config).shares.tolist()
    cost = measure(truth, config)
    size = config.fit.batch_size * config.fit.devices
    epochs = config.fit.epochs + (config.fit.refit.epochs if config.fit.refit else 0)
    an_epoch = chips[TRAIN] // size * cost.train_batch_s + -(-chips[VAL] // size) * cost.val_batch_s
    return TrainPlan(
        scenes={scene.name: scene.labels.grid.shape for scene in truth.scenes},
        split=split,
        chips={FOLDS[fold]: number for fold, number in chips.items()},
        pixels=truth.pixels_by_fold,
        drawn=dict(zip((c.name for c in truth.spec.legend), shares, strict=True)),
        epochs=epochs,
        steps=epochs * config.steps_per_epoch,
        cost=cost,
        seconds=epochs * an_epoch + -(-chips[TEST] // config.fit.batch_size) * cost.val_batch_s,
        notes=notes,
    )
