"""The loop of inference: read a tile, normalise, infer, blend, hand out what is final."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet
from geoseg.core.grid import Window
from geoseg.core.raster import Raster
from geoseg.core.tiling import TilePlan
from geoseg.errors import InputError
from geoseg.inference.blend import Blender
from geoseg.io.scene import Scene, SceneReader
from geoseg.models.runtime.protocol import Runtime

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, the steps done and all steps."""

READ_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """A finished part of the map: class probabilities (class, row, col), without meaning where `valid` is False."""

    window: Window
    probabilities: NDArray[np.float32]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to infer: a fitted scene, the bands that normalise it, the model's indices and class count, and the plan."""

    scene: Scene
    bands: BandSet
    indices: tuple[str, ...]
    classes: int
    plan: TilePlan


def infer(job: Job, runtime: Runtime, progress: Progress) -> Iterator[Piece]:
    """Blended class probabilities of a whole scene, piece by piece; the pieces partition the working grid.

    Tiles without any valid pixel are not computed. A read that fails is tried again, `READ_ATTEMPTS` times in all.

    Raises:
        InputError: a part of the scene cannot be read.
    """
    plan = job.plan
    blender = Blender(plan, job.classes)
    with job.scene.reader() as reader:
        for i in range(len(plan.rows)):
            for j in range(len(plan.cols)):
                tile = plan.tile(i, j)
                raster = _read(reader, tile.read)
                window, final = blender.add(i, j, _probabilities(raster, job, runtime))
                yield Piece(
                    window=window,
                    probabilities=final,
                    valid=raster.valid[window.within(tile.read).slices],
                )
                progress("infer", i * len(plan.cols) + j + 1, len(plan))


def _read(reader: SceneReader, window: Window) -> Raster:
    for _ in range(READ_ATTEMPTS - 1):
        try:
            return reader.read(window)
        except InputError:
            continue
    return reader.read(window)


def _probabilities(raster: Raster, job: Job, runtime: Runtime) -> NDArray[np.float32]:
    if not raster.valid.any():
        return np.zeros((job.classes, *raster.valid.shape), dtype=np.float32)
    channels = job.bands.normalise(raster.data, raster.valid, job.indices)
    probabilities: NDArray[np.float32] = runtime(channels[None])[0]
    return probabilities
