"""The plain loop over a scene: rasterio windows, eager torch, half of a tile shared, weights of a Hann window."""

from __future__ import annotations

import numpy as np
import rasterio
import torch
from network import load_network
from shared import TILE, Contract, answer, read_task, read_window, write_mask


def starts(length: int) -> list[int]:
    """Every half tile; the last tile is shifted inward."""
    return [*range(0, length - TILE, TILE // 2), max(length - TILE, 0)]


def main() -> None:
    task = read_task(__doc__)
    contract = Contract.read(task.model)
    classes = len(contract.codes)
    network = load_network(task.model, len(contract.gains), classes).to(task.device)
    ramp = np.hanning(TILE + 2)[1:-1].astype(np.float32)  # without the zeros at its ends
    weights = ramp[:, None] * ramp
    with rasterio.open(task.scene) as source, torch.inference_mode():
        rows, cols = starts(source.height), starts(source.width)
        total = np.zeros((classes, *source.shape), dtype=np.float32)
        for row in rows:
            for col in cols:
                channels = torch.from_numpy(contract.channels(read_window(source, row, col))[None])
                probabilities = network(channels.to(task.device)).softmax(dim=1)[0].cpu().numpy()
                part = total[:, row : row + TILE, col : col + TILE]
                part += (probabilities * weights)[:, : part.shape[1], : part.shape[2]]
    write_mask(task, contract.codes[total.argmax(axis=0)])  # weights that sum to one have the same largest class
    ends = [[at + side for at in part for side in (0, TILE)] for part in (rows, cols)]
    answer(f"torch {torch.__version__}", total.shape[1:], len(rows) * len(cols), (ends[0], ends[1]))


if __name__ == "__main__":
    main()
