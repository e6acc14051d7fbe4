"""A sliding window by ONNX Runtime: tiles share 15 %, and of each the middle is kept, as class codes."""

from __future__ import annotations

import numpy as np
import onnxruntime as ort
import rasterio
from shared import TILE, Contract, answer, read_task, read_window, write_mask

OVERLAP = TILE * 15 // 100
PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


def starts(length: int) -> list[int]:
    """Tiles at even steps; the last one may reach beyond the scene."""
    return list(range(0, max(length - OVERLAP, 1), TILE - OVERLAP))


def main() -> None:
    task = read_task(__doc__)
    contract = Contract.read(task.model)
    provider = PROVIDERS[task.device]
    session = ort.InferenceSession(task.model / "graph.onnx", providers=[provider])
    if provider not in session.get_providers():  # it would silently run on the CPU
        raise SystemExit(f"found {', '.join(session.get_providers())}, needed {provider}; use the device cpu")
    name, half = session.get_inputs()[0].name, OVERLAP // 2
    with rasterio.open(task.scene) as source:
        rows, cols = starts(source.height), starts(source.width)
        codes = np.zeros(source.shape, dtype=np.uint8)
        for row in rows:
            for col in cols:
                probabilities = session.run(None, {name: contract.channels(read_window(source, row, col))[None]})[0][0]
                top, left = half if row else 0, half if col else 0  # later tiles write over the other margins
                kept = contract.codes[probabilities[:, top:, left:].argmax(axis=0)]
                part = codes[row + top : row + TILE, col + left : col + TILE]
                part[:] = kept[: part.shape[0], : part.shape[1]]
    write_mask(task, codes)
    seams = [[at + half for at in part[1:]] for part in (rows, cols)]
    answer(f"onnxruntime {ort.__version__}", codes.shape, len(rows) * len(cols), (seams[0], seams[1]))


if __name__ == "__main__":
    main()
