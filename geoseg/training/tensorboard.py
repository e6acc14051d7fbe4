"""Curves for TensorBoard, for those who have it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from lightning.pytorch.loggers import TensorBoardLogger

from geoseg.errors import MissingExtraError


def require_tensorboard() -> None:
    """Refuse at once what would fail later.

    Raises:
        MissingExtraError: the package is not installed.
    """
    if find_spec("tensorboard") is None:
        msg = (
            "fit.tensorboard is true, but the package tensorboard is not installed; pip install tensorboard, or leave "
        )
        raise MissingExtraError(f"{msg}it out: log/metrics.csv is written in any case")


def tensorboard_logger(folder: Path) -> TensorBoardLogger:
    """Writes the loss and the validation mIoU of every epoch into `folder`/tensorboard."""
    return TensorBoardLogger(folder, name="", version="tensorboard")
