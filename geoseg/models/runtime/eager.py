"""Torch, eagerly, on the CPU or on a CUDA device."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geoseg.errors import InputError

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class TorchRuntime:
    """A network, without TF32, so that devices agree; `threads` is set for all of torch.

    Below 32 bits, layers compute as torch's autocast has it; the softmax is of float32 in any case.

    Raises:
        InputError: if `device` is "cuda" and there is none.
    """

    streams = 1  # torch divides the work of one call among all cores

    def __init__(
        self, model: nn.Module, *, device: str = "auto", threads: int | None = None, precision: str = "fp32"
    ) -> None:
        self._device = pick_device(device)
        if threads is not None:
            torch.set_num_threads(threads)
        self._dtype = _DTYPES[precision]
        self._model = model.eval().to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        where = "CPU" if self._device.type == "cpu" else torch.cuda.get_device_name()
        self.name = f"torch on {where}, {precision}"

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        pixels = torch.from_numpy(np.array(batch, dtype=np.float32, order="C"))  # a copy, which may be written
        mixed = self._dtype != torch.float32
        with (
            torch.inference_mode(),
            torch.backends.cudnn.flags(deterministic=True, allow_tf32=False),
            torch.autocast(self._device.type, self._dtype if mixed else None, enabled=mixed),
        ):
            logits = self._model(pixels.to(self._device, memory_format=torch.channels_last))
            probabilities = torch.softmax(logits.float(), dim=1)
            result: NDArray[np.float32] = probabilities.contiguous().cpu().numpy()
        return result


def pick_device(device: str) -> torch.device:
    """The device of a name, "auto" being a CUDA device where there is one.

    Raises:
        InputError: if "cuda" is asked for and there is none, or a device that torch does not know.
    """
    if device == "tensorrt":
        raise InputError("the runtime torch has no device tensorrt; use the runtime onnxruntime, or the device cuda")
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise InputError("no CUDA device is usable here; use the device auto or cpu")
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def cuda_precisions() -> Mapping[str, bool]:
    """The precisions of the CUDA device, the fastest first, each with whether it is faster than fp32.

    fp16 comes second where there is bf16, whose range is that of fp32. Not run on a GPU yet.
    """
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return {"bf16": True, "fp16": True, "fp32": False}
    return {"fp16": True, "fp32": False}
