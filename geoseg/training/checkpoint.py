"""Checkpoints: what a training leaves after every epoch, so that it can go on after any end."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from geoseg.core.identity import differences, listed
from geoseg.data.sampling import Difficulty
from geoseg.errors import InputError
from geoseg.io.output import replacing
from geoseg.training.history import Epoch, write_history
from geoseg.training.task import SegmentationTask

_OURS = "geoseg"
"""The entry of a checkpoint that Lightning leaves alone."""


class Checkpoints(Callback):
    """Writes the log and the checkpoints after every epoch.

    These are `checkpoints/best.ckpt`, the network of the best epoch by validation, and `checkpoints/last.ckpt`,
    everything that the next epoch depends on. Each file appears when it is complete, and the latter last: whenever the
    process is killed, the training can be taken up from there, and ends as if nothing had been. `epochs` are those that
    are done.
    """

    def __init__(self, folder: Path, identity: Mapping[str, str], network: nn.Module, difficulty: Difficulty) -> None:
        self._log = folder / "log" / "metrics.csv"
        self._best = folder / "checkpoints" / "best.ckpt"
        self.last = folder / "checkpoints" / "last.ckpt"
        self._identity = dict(identity)
        self._network = network
        self._difficulty = difficulty
        self.epochs: list[Epoch] = []

    @property
    def best_score(self) -> float:
        """The validation mIoU of the best epoch; NaN before the first one."""
        return max((epoch.val_miou for epoch in self.epochs), default=float("nan"))

    def take_up(self) -> None:
        """Know again what was known when `last.ckpt` was written; Lightning restores its own part of it.

        Raises:
            InputError: the checkpoint is damaged, or of a training that differs in anything the weights depend on.
        """
        known = _read(self.last).get(_OURS)
        if known is None:
            raise InputError(f"{self.last}: is no checkpoint of geoseg; start anew with --overwrite")
        found = differences(known["identity"], self._identity)
        if found:
            raise InputError(
                f"{self.last}: belongs to another training ({listed(found)}); undo that to resume, or start anew with "
                "--overwrite"
            )
        self.epochs = [Epoch(**epoch) for epoch in known["epochs"]]
        self._difficulty.losses[:] = known["difficulty"].numpy()

    def load_best(self, network: nn.Module) -> None:
        """Give a network the weights of the best epoch."""
        network.load_state_dict(_read(self._best))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write all files."""
        known = trainer.callback_metrics
        losses = pl_module.losses if isinstance(pl_module, SegmentationTask) else ()
        epoch = Epoch(
            epoch=trainer.current_epoch,
            step=trainer.global_step,
            train_loss=float(known["train_loss"]),
            val_miou=float(known["val_miou"]),
            learning_rate=float(trainer.optimizers[0].param_groups[-1]["lr"]),
            losses={name: float(known[f"train_{name}"]) for name in losses},
        )
        better = not self.epochs or epoch.val_miou > self.best_score
        self.epochs.append(epoch)
        if trainer.is_global_zero:
            if better:
                _write(self._network.state_dict(), self._best)
            write_history(self.epochs, self._log)
        state = trainer._checkpoint_connector.dump_checkpoint()  # noqa: SLF001 (save_checkpoint writes in place)
        if trainer.is_global_zero:
            _write(state, self.last)

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning does not know."""
        del trainer, pl_module
        checkpoint[_OURS] = {
            "identity": self._identity,
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "difficulty": torch.from_numpy(self._difficulty.losses),
        }


def _write(state: Mapping[str, Any], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        torch.save(dict(state), temporary)


def _read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds: tensors and plain values, nothing that runs."""
    try:
        found: dict[str, Any] = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}); start anew with --overwrite") from error
    return found
