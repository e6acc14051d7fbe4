"""What every process of the benchmark shares: its arguments, the model's input, the mask, and the answer on stdout."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.windows import Window

TILE = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A scene, the folder with the model's files, the mask to write, and a device: cpu or cuda."""

    scene: Path
    model: Path
    out: Path
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """How stored numbers become the model's input, a gain and a shift a band, and what its outputs are."""

    gains: NDArray[np.float32]
    shifts: NDArray[np.float32]
    nodata: float
    codes: NDArray[np.uint8]

    @classmethod
    def read(cls, folder: Path) -> Contract:
        """The contract among a model's files."""
        found = json.loads((folder / "contract.json").read_text(encoding="utf-8"))
        return cls(
            gains=np.array(found["gains"], dtype=np.float32)[:, None, None],
            shifts=np.array(found["shifts"], dtype=np.float32)[:, None, None],
            nodata=found["nodata"],
            codes=np.array(found["codes"], dtype=np.uint8),
        )

    def channels(self, raw: NDArray[Any]) -> NDArray[np.float32]:
        """Stored numbers (band, row, col) standardised; 0 where there is no ground."""
        values = raw.astype(np.float32) * self.gains + self.shifts
        values[:, (raw == self.nodata).all(axis=0)] = 0
        return values


def read_task(description: str | None) -> Task:
    """The arguments of a peer's process."""
    parser = argparse.ArgumentParser(description=description)
    for name in ("--scene", "--model", "--out"):
        parser.add_argument(name, type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    found = parser.parse_args()
    return Task(scene=found.scene, model=found.model, out=found.out, device=found.device)


def read_window(source: rasterio.DatasetReader, row: int, col: int) -> NDArray[Any]:
    """A tile of stored numbers (band, row, col); beyond the scene it is nodata."""
    window = Window(col, row, TILE, TILE)
    raw: NDArray[Any] = source.read(window=window, boundless=True, fill_value=source.nodata)
    return raw


def write_mask(task: Task, codes: NDArray[np.uint8]) -> None:
    """The map as a tiled GeoTIFF on the scene's grid."""
    with rasterio.open(task.scene) as source:
        grid = {"crs": source.crs, "transform": source.transform}
    height, width = codes.shape
    shape = {"driver": "GTiff", "count": 1, "dtype": "uint8", "height": height, "width": width}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "compress": "deflate"}
    with rasterio.open(task.out, "w", **shape, **grid, **layout) as out:
        out.write(codes, 1)


def answer(runtime: str, shape: tuple[int, ...], tiles: int, lines: tuple[Iterable[int], Iterable[int]]) -> None:
    """What was computed; `lines` are the rows and columns at which the tiles that a pixel comes from change."""
    height, width = shape
    rows, cols = (sorted({at for at in part if 0 < at < end}) for part, end in zip(lines, shape, strict=True))
    redundancy = tiles * TILE**2 / (height * width)
    print(json.dumps({"runtime": runtime, "redundancy": redundancy, "rows": rows, "cols": cols}))
