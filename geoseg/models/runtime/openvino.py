"""OpenVINO on the CPU: runs a bundle's graph without torch."""

from __future__ import annotations

from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.errors import BundleError
from geoseg.models.openvino import core, ov

_HINTS = {"fp32": "f32", "bf16": "bf16", "int8": "f32"}


class OpenVinoRuntime:
    """An ONNX graph, or for int8 an IR; its files may be deleted once this is made.

    In bf16 the layers up to the last convolution compute in bfloat16, the softmax in float32; in int8, what the graph
    does not quantise is float32. `threads` None means all cores; they are shared out among `streams` calls at the same
    time, each of which takes memory of its own. The same batch gives the same bits. The graph keeps its free batch,
    height and width: compiled for one fixed shape it was 0 to 5 % faster, which a second compilation would eat up.
    """

    def __init__(self, graph: Path, *, threads: int | None = None, streams: int = 1, precision: str = "fp32") -> None:
        self.name = f"openvino on CPU, {precision}"
        options: dict[str, Any] = {"INFERENCE_PRECISION_HINT": _HINTS[precision], "NUM_STREAMS": streams}
        if threads is not None:
            options["INFERENCE_NUM_THREADS"] = threads
        try:
            network = core().compile_model(graph, "CPU", options)
        except RuntimeError as error:
            reason = str(error).strip().rpartition("\n")[2]
            raise BundleError(f"OpenVINO cannot read {graph.name} ({reason}); bundle the weights again") from error
        self.streams = streams
        self._idle: SimpleQueue[ov.InferRequest] = SimpleQueue()
        for _ in range(streams):
            self._idle.put(network.create_infer_request())

    def __call__(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class probabilities (N, classes, H, W) of normalised channels (N, channels, H, W), float32."""
        request = self._idle.get()
        try:
            request.infer([np.ascontiguousarray(batch, dtype=np.float32)], share_inputs=True)
            probabilities: NDArray[np.float32] = request.get_output_tensor(0).data.copy()
        finally:
            self._idle.put(request)
        return probabilities
