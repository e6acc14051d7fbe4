"""OpenVINO on the CPU: runs a bundle's graph without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from geoseg.errors import BundleError


class OpenVinoRuntime:
    """An ONNX graph in 32-bit floating point, for one thread at a time; its files may be deleted once this is made.

    `threads` None means all cores. The same batch gives the same bits. The graph keeps its free batch, height and
    width: compiled for one fixed shape it was 0 to 5 % faster, which a second compilation would eat up.
    """

    name = "openvino on CPU"

    def __init__(self, graph: Path, *, threads: int | None = None) -> None:
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": 1}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        core = ov.Core()
        core.set_property({"ENABLE_MMAP": False})  # so that nothing points into the files afterwards
        try:
            self._network = core.compile_model(graph, "CPU", options)
        except RuntimeError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise BundleError(f"OpenVINO cannot read {graph.name} ({reason}); bundle the weights again") from error

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        result = self._network(np.ascontiguousarray(batch, dtype=np.float32))
        probabilities: NDArray[np.float32] = result[0]
        return probabilities
