"""The floor: nothing but forward passes over 512 px tiles, one at a time on all cores, by a runtime's own API.

No file is read or written and nothing is merged. It prints the seconds of a pass, after two that do not count.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from shared import TILE, Contract

Forward = Callable[[NDArray[np.float32]], object]
WARM_UP = 2
TILES = 4  # different ones, in memory


def openvino(precision: str, folder: Path, _device: str) -> Forward:
    """The bundle's graph, compiled with a hint of the precision; for int8 its 8-bit graph."""
    from geoseg.models.openvino import core  # noqa: PLC0415 (each process loads one runtime; this one reports nothing)

    graph, hint = {
        "fp32": ("graph.onnx", "f32"), "bf16": ("graph.onnx", "bf16"), "int8": ("graph-int8.xml", "f32")
    }[precision]  # fmt: skip
    options = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = core().compile_model(folder / graph, "CPU", options).create_infer_request()
    return lambda pixels: request.infer([pixels], share_inputs=True, share_outputs=True)


def onnxruntime(precision: str, folder: Path, device: str) -> Forward:
    """The bundle's graph with the session's defaults."""
    import onnxruntime as ort  # noqa: PLC0415 (each process loads one runtime)

    if precision != "fp32":
        raise SystemExit(f"found {precision}, needed fp32: the bundle's graph has no other precision")
    provider = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}[device]
    session = ort.InferenceSession(folder / "graph.onnx", providers=[provider])
    if provider not in session.get_providers():
        raise SystemExit(f"found {', '.join(session.get_providers())}, needed {provider}; use the device cpu")
    name = session.get_inputs()[0].name
    return lambda pixels: session.run(None, {name: pixels})


def torch(precision: str, folder: Path, device: str) -> Forward:
    """Eager torch as it is fastest: the channels of a pixel side by side, and autocast below fp32."""
    return _torch(precision, folder, device, beside=True)


def plain_torch(precision: str, folder: Path, device: str) -> Forward:
    """Eager torch as it comes: band after band in memory."""
    return _torch(precision, folder, device, beside=False)


def _torch(precision: str, folder: Path, device: str, *, beside: bool) -> Forward:
    import torch  # noqa: PLC0415 (each process loads one runtime)
    from network import load_network  # noqa: PLC0415

    contract = Contract.read(folder)
    layout = torch.channels_last if beside else torch.contiguous_format
    network = load_network(folder, len(contract.gains), len(contract.codes)).to(device).to(memory_format=layout)
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]

    def forward(pixels: NDArray[np.float32]) -> object:
        with torch.inference_mode(), torch.autocast(device, dtype=kind, enabled=precision != "fp32"):
            logits = network(torch.from_numpy(pixels).to(device).to(memory_format=layout))
            return logits[0, 0, 0, 0].item()  # waits for a GPU

    return forward


RUNTIMES = {"openvino": openvino, "onnxruntime": onnxruntime, "torch": torch, "plain torch": plain_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runtime", choices=RUNTIMES, required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--passes", type=int, required=True)
    options = parser.parse_args()
    channels = len(Contract.read(options.model).gains)
    shape = (TILES, 1, channels, TILE, TILE)
    tiles = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    forward = RUNTIMES[options.runtime](options.precision, options.model, options.device)
    for number in range(WARM_UP):
        forward(tiles[number])
    start = time.perf_counter()
    for number in range(options.passes):
        forward(tiles[number % TILES])
    print(json.dumps({"seconds": (time.perf_counter() - start) / options.passes}))


if __name__ == "__main__":
    main()
