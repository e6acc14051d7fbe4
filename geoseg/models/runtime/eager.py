"""Torch, eagerly, on the CPU or on a CUDA device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geoseg.errors import InputError


class TorchRuntime:
    """A network in 32-bit floating point, without TF32, so that devices agree; `threads` is set for all of torch.

    Raises:
        InputError: if `device` is "cuda" and there is none.
    """

    streams = 1  # torch divides the work of one call among all cores

    def __init__(self, model: nn.Module, *, device: str = "auto", threads: int | None = None) -> None:
        if device == "cuda" and not torch.cuda.is_available():
            raise InputError("no CUDA device is usable here; use the device auto or cpu")
        chosen = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
        if threads is not None:
            torch.set_num_threads(threads)
        self._device = torch.device(chosen)
        self._model = model.eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name = f"torch on {'CPU' if chosen == 'cpu' else torch.cuda.get_device_name()}"

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        pixels = torch.from_numpy(np.array(batch, dtype=np.float32, order="C"))  # a copy, which may be written
        with torch.inference_mode(), torch.backends.cudnn.flags(deterministic=True, allow_tf32=False):
            pixels = pixels.to(self._device, memory_format=torch.channels_last)
            probabilities = torch.softmax(self._model(pixels), dim=1)
            result: NDArray[np.float32] = probabilities.contiguous().cpu().numpy()
        return result
