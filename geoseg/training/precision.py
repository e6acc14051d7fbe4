"""The numbers that a network is trained with."""

from __future__ import annotations

from typing import Literal, TypeAlias

import torch

from geoseg.errors import InputError

Precision: TypeAlias = Literal["auto", "fp32", "bf16", "fp16"]
Mode: TypeAlias = Literal["32-true", "bf16-mixed", "16-mixed"]
_MODES: dict[Precision, Mode] = {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}


def precision_mode(precision: Precision) -> Mode:
    """Lightning's name of a precision: weights are always kept as float32, "mixed" computes with fewer bits.

    "auto" is float32 on a CPU; on CUDA bfloat16, or float16 where the GPU has no bfloat16.

    Raises:
        InputError: fp16 without a GPU.
    """
    cuda = torch.cuda.is_available()
    if precision == "fp16" and not cuda:
        raise InputError("fit.precision is fp16, which needs a GPU, and there is none; take bf16, fp32 or auto")
    if precision != "auto":
        return _MODES[precision]
    if not cuda:
        return "32-true"
    return "bf16-mixed" if torch.cuda.is_bf16_supported(including_emulation=False) else "16-mixed"
