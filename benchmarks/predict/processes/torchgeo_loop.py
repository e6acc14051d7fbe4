"""torchgeo's sampler loop: GridGeoSampler, DataLoader, eager torch; probabilities summed up over the whole scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
import torch
from network import load_network
from shared import TILE, Contract, answer, read_task, write_mask
from torch.utils.data import DataLoader
from torchgeo.datasets import RasterDataset, stack_samples
from torchgeo.samplers import GridGeoSampler

STRIDE = 384  # a quarter of a tile is shared with each neighbour


def place(bounds: tuple[slice, ...], source: rasterio.DatasetReader) -> tuple[int, int]:
    """Row and column of a sample's upper left pixel; the sampler starts at the lower left, and may leave the scene."""
    x, y = bounds[:2]
    return round((source.bounds.top - y.stop) / source.res[1]), round((x.start - source.bounds.left) / source.res[0])


def loader(scene: Path) -> DataLoader[object]:
    """One sample a batch, read by the main process: larger batches are slower on a CPU."""
    dataset = RasterDataset(str(scene))
    sampler = GridGeoSampler(dataset, size=TILE, stride=STRIDE)
    return DataLoader(dataset, sampler=sampler, batch_size=1, collate_fn=stack_samples)


def main() -> None:
    task = read_task(__doc__)
    contract = Contract.read(task.model)
    classes = len(contract.codes)
    network = load_network(task.model, len(contract.gains), classes).to(task.device)
    places = []
    with rasterio.open(task.scene) as source, torch.inference_mode():
        height, width = source.shape
        total = np.zeros((classes, height, width), dtype=np.float32)
        for batch in loader(task.scene):
            channels = torch.from_numpy(contract.channels(batch["image"][0].numpy())[None])
            probabilities = network(channels.to(task.device)).softmax(dim=1)[0].cpu().numpy()
            row, col = place(batch["bounds"][0], source)
            top, left, bottom, right = max(row, 0), max(col, 0), min(row + TILE, height), min(col + TILE, width)
            total[:, top:bottom, left:right] += probabilities[:, top - row : bottom - row, left - col : right - col]
            places.append((row, col))
    write_mask(task, contract.codes[total.argmax(axis=0)])  # a mean has the same largest class as a sum
    rows, cols = ([at + side for at in starts for side in (0, TILE)] for starts in zip(*places, strict=True))
    answer(f"torch {torch.__version__}", (height, width), len(places), (rows, cols))


if __name__ == "__main__":
    main()
