"""OpenVINO on the CPU: runs a bundle's graph without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from geoseg.errors import BundleError


class OpenVinoRuntime:
    """An ONNX graph in 32-bit floating point; the files may be deleted once this is made.

    The graph is compiled for the shape of the batches that come, since a graph of free size is slower; the shapes
    of a scene are few (full batches and the last one). The same batch gives the same bits.
    """

    name = "openvino on CPU"

    def __init__(self, graph: Path, *, threads: int | None = None) -> None:
        self._core = ov.Core()
        self._core.set_property({"ENABLE_MMAP": False})  # otherwise the weights' file must outlive the runtime
        try:
            self._model = self._core.read_model(graph)
        except RuntimeError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise BundleError(f"OpenVINO cannot read {graph.name} ({reason}); bundle the weights again") from error
        self._options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        if threads is not None:
            self._options["INFERENCE_NUM_THREADS"] = threads
        self._compiled: dict[tuple[int, ...], Any] = {}

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        if batch.shape not in self._compiled:
            model = self._model.clone()
            model.reshape(list(batch.shape))
            self._compiled[batch.shape] = self._core.compile_model(model, "CPU", self._options)
        result = self._compiled[batch.shape](np.ascontiguousarray(batch, dtype=np.float32))
        probabilities: NDArray[np.float32] = np.array(result[0])  # a copy: the buffer is used again
        return probabilities
