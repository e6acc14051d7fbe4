"""ONNX Runtime on the CPU, or on a CUDA device: runs a bundle's graph without torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi.onnxruntime_pybind11_state import (
    Fail,
    InvalidArgument,
    InvalidGraph,
    InvalidProtobuf,
    NotImplemented,  # noqa: A004 (its name there)
    RuntimeException,
)

from geoseg.errors import BundleError, InputError
from geoseg.models.graph import INPUT, OUTPUT

_CPU = "CPUExecutionProvider"
_CUDA = "CUDAExecutionProvider"
_TENSORRT = "TensorrtExecutionProvider"
_PROVIDERS = {"auto": (_CPU,), "cpu": (_CPU,), "cuda": (_CUDA, _CPU), "tensorrt": (_TENSORRT, _CUDA, _CPU)}
_OPTIONS = {_CUDA: {"use_tf32": "0"}}  # so that devices agree
_FAILURES = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)
_ONLY_ERRORS = 3


class OnnxRuntime:
    """An ONNX graph; its files may be deleted once this is made.

    The device "auto" is the CPU; "cuda" and "tensorrt" have not been run yet. `threads` None means all cores. The same
    batch gives the same bits.

    Raises:
        InputError: if this ONNX Runtime cannot use the device.
        BundleError: if it cannot read the graph.
    """

    streams = 1  # the work of one call is divided among all cores

    def __init__(self, graph: Path, *, device: str = "auto", threads: int | None = None) -> None:
        providers = _PROVIDERS[device]
        _require(providers[0])
        self.name = f"onnxruntime on {'CPU' if len(providers) == 1 else device}, fp32"
        options = ort.SessionOptions()
        options.log_severity_level = _ONLY_ERRORS
        options.use_deterministic_compute = True
        if threads is not None:
            options.intra_op_num_threads = threads
        with_options = [(provider, _OPTIONS.get(provider, {})) for provider in providers]
        try:
            self._session = ort.InferenceSession(graph, options, providers=with_options)
        except _FAILURES as error:
            reason = " ".join(str(error).split())
            raise BundleError(f"ONNX Runtime cannot read {graph.name} ({reason}); bundle the weights again") from error
        if self._session.get_providers()[0] != providers[0]:
            raise InputError(f"ONNX Runtime could not start {providers[0]}; use the device cpu, or the runtime torch")

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        pixels = np.ascontiguousarray(batch, dtype=np.float32)
        probabilities: NDArray[np.float32] = self._session.run([OUTPUT], {INPUT: pixels})[0]
        return probabilities


def _require(provider: str) -> None:
    if provider not in ort.get_available_providers():
        raise InputError(f"this ONNX Runtime has no {provider}; install onnxruntime-gpu instead, or use the device cpu")
