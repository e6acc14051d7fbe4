"""What a training costs, from a few real steps on this machine."""

from __future__ import annotations

import resource
import sys
import time
from dataclasses import dataclass
from itertools import islice
from statistics import fmean

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback
from torch import nn

from geoseg.data.loader import Loader
from geoseg.models.spec import ModelSpec
from geoseg.training.config import TrainConfig
from geoseg.training.fit import make_trainer, prepare, quiet
from geoseg.training.task import count
from geoseg.training.truth import GroundTruth

_BATCHES = 4  # the first one pays for what is made once, and is not counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Seconds a batch of training and of validation, and the peak memory in bytes.

    On a GPU the memory is what torch took there, on a CPU it is all of the process. `parameters` are those of the
    network.
    """

    device: str
    parameters: int
    train_batch_s: float
    val_batch_s: float
    memory_bytes: int


def measure(truth: GroundTruth, config: TrainConfig) -> Cost:
    """Train for up to four batches and validate up to two, on one device.

    Where the weights of the config are far away, the network has random ones.

    Raises:
        InputError: as the training would.
    """
    near = config.model_copy(
        update={
            "fit": config.fit.model_copy(update={"accumulate": 1, "devices": 1}),
            "model": config.model.model_copy(
                update={"pretrained": None} if config.model.allow_download else {}  # nothing is fetched for a plan
            ),
        }
    )
    parts = prepare(truth, near)
    watch = _Watch()
    trainer = make_trainer(near, [watch], steps=_BATCHES)
    with quiet():
        trainer.fit(parts.task, parts.train, parts.val)
    network, device = parts.task.network, trainer.strategy.root_device
    return Cost(
        device=device.type,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        train_batch_s=fmean(watch.seconds[1:] or watch.seconds),
        val_batch_s=_validation(network.to(device).eval(), parts.val, truth.spec, device),
        memory_bytes=_peak(device),
    )


class _Watch(Callback):
    """Takes the time between the ends of batches, reading of chips included."""

    def __init__(self) -> None:
        self._last = time.perf_counter()
        self.seconds: list[float] = []

    def on_train_start(self, *_: object) -> None:
        """Start."""
        self._last = time.perf_counter()

    def on_train_batch_end(self, trainer: Trainer, *_: object) -> None:
        """Stop and start; the loss has been looked at, so a GPU is done with all but the last step."""
        del trainer
        now = time.perf_counter()
        self.seconds.append(now - self._last)
        self._last = now


@torch.inference_mode()
def _validation(network: nn.Module, loader: Loader, spec: ModelSpec, device: torch.device) -> float:
    """Seconds of the last of two batches; 0 where there is nothing to validate."""
    seconds, last = 0.0, time.perf_counter()
    for batch in islice(loader, 2):
        count(network, batch.to(device), spec)
        now = time.perf_counter()
        seconds, last = now - last, now
    return seconds


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
