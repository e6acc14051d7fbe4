"""The loop of inference: several threads read, normalise and infer tiles; they are blended and handed out in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from queue import SimpleQueue
from threading import BoundedSemaphore
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from geoseg.core.bands import BandSet, BandStack
from geoseg.core.grid import Window
from geoseg.core.raster import Raster
from geoseg.core.tiling import TilePlan
from geoseg.errors import InputError
from geoseg.inference.blend import Blender
from geoseg.io.area import Area, inside_of
from geoseg.io.scene import Scene, SceneReader
from geoseg.models.runtime.protocol import Runtime

Progress = Callable[[str, int, int], None]
"""Called with the name of the stage, the steps done and all steps."""

Known = Callable[[Window], NDArray[np.float32] | None]
"""Gives class probabilities (class, row, col), of its own, for a tile's window that needs no inference, else None."""

READ_ATTEMPTS = 3
_SPARE = 1  # threads beyond those that infer: they read and normalise the next tiles meanwhile


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Piece:
    """A finished part of the map: class probabilities (class, row, col), without meaning where `valid` is False.

    `done` is the number of rows of tiles that are finished with this piece. Of a `share` the probabilities have to be
    added to those of another share of the same pixels, see `infer_band`.
    """

    window: Window
    probabilities: NDArray[np.float32]
    valid: NDArray[np.bool_]
    done: int = 0
    share: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to infer: a fitted scene, the bands that normalise it, the model's indices and class count, and the plan.

    The first `done` rows of tiles are finished already, and give no pieces. Outside of the `area`, which is on the
    scene's grid, the result is invalid; None = everything is wanted. `known` tells of tiles
    that need no inference; None = there are none.
    """

    scene: Scene
    bands: BandSet | BandStack
    indices: tuple[str, ...]
    classes: int
    plan: TilePlan
    done: int = 0
    area: Area | None = None
    known: Known | None = None


class _Place(NamedTuple):
    row: int
    col: int


class _Inferred(NamedTuple):
    """Probabilities (class, row, col) of a tile, and where it is valid (row, col)."""

    probabilities: NDArray[np.float32]
    valid: NDArray[np.bool_]


def infer(job: Job, runtime: Runtime, progress: Progress) -> Iterator[Piece]:
    """Blended class probabilities of a whole scene, piece by piece; the pieces partition the working grid.

    Tiles are worked on by several threads, a few ahead of the one that is handed out, and blended in their order: the
    result is the same for any number of them. Tiles without any valid pixel are not computed, those outside of the area
    not even read; the network sees what lies around the area, so inside of it the result is that without one. A read
    that fails is tried again, `READ_ATTEMPTS` times in all.

    Raises:
        InputError: a part of the scene cannot be read.
    """
    plan = job.plan
    blender = Blender(plan, job.classes)
    first = max(0, job.done - 1)  # the row above fades into the first one that is wanted
    if job.done >= len(plan.rows):
        return
    places = [_Place(i, j) for i in range(first, len(plan.rows)) for j in range(len(plan.cols))]
    for place, inferred in _in_order(job, runtime, places):
        window, final = blender.add(*place, inferred.probabilities)
        if place.row < job.done:
            continue
        last = place.col + 1 == len(plan.cols)
        yield Piece(
            window=window,
            probabilities=final,
            valid=inferred.valid[window.within(plan.tile(*place).read).slices],
            done=place.row + 1 if last else place.row,
        )
        progress("infer", place.row * len(plan.cols) + place.col + 1, len(plan))


def infer_band(job: Job, rows: range, runtime: Runtime, progress: Progress) -> Iterator[Piece]:
    """The part of a scene's result that some rows of tiles make up, whoever infers the others.

    Where a band fades into the next one, each of the two gives a share of the probabilities, of full width: the upper
    one at its end, in one piece, the lower one at its beginning. Their sum, the lower one's first, is bit by bit what
    `infer` gives. Whether pixels are valid is said by the lower one's share. All other pieces are finished.

    Raises:
        InputError: a part of the scene cannot be read.
    """
    plan = job.plan
    blender = Blender(plan, job.classes)
    places = [_Place(i, j) for i in rows for j in range(len(plan.cols))]
    for number, (place, inferred) in enumerate(_in_order(job, runtime, places), start=1):
        window, final = blender.add(*place, inferred.probabilities)
        valid = inferred.valid[window.within(plan.tile(*place).read).slices]
        piece = Piece(window=window, probabilities=final, valid=valid)
        yield from _divided(piece, plan.rows.blend) if place.row == rows.start > 0 else (piece,)
        progress("infer", number, len(places))
    if rows.stop < len(plan.rows) and plan.rows.blend:
        seam = seam_window(plan, rows.stop)
        nowhere = np.zeros(seam.shape, dtype=np.bool_)
        yield Piece(window=seam, probabilities=blender.carried, valid=nowhere, share=True)


def seam_window(plan: TilePlan, row: int) -> Window:
    """The pixels, of full width, in which a row of tiles fades into the one above."""
    return Window(row=plan.rows.use(row)[0], col=0, height=plan.rows.blend, width=plan.cols.length)


def _divided(piece: Piece, height: int) -> Iterator[Piece]:
    """The uppermost rows of a piece as a share, and the others."""
    for start, end, share in ((0, height, True), (height, piece.window.height, False)):
        if start < end:
            window = replace(piece.window, row=piece.window.row + start, height=end - start)
            yield Piece(
                window=window,
                probabilities=piece.probabilities[:, start:end],
                valid=piece.valid[start:end],
                share=share,
            )


def _in_order(job: Job, runtime: Runtime, places: list[_Place]) -> Iterator[tuple[_Place, _Inferred]]:
    """Tiles in the order of `places`, worked on ahead; no more of them are held than there are threads, and two."""
    threads = runtime.streams + _SPARE
    turn = BoundedSemaphore(runtime.streams)
    waiting: deque[tuple[_Place, Future[_Inferred]]] = deque()
    with _readers(job.scene, threads) as idle, ThreadPoolExecutor(threads, "geoseg-tile") as pool:

        def work(window: Window, wanted: NDArray[np.bool_]) -> _Inferred:
            return _infer_tile(job, runtime, window, wanted, idle, turn)

        try:
            for place in places:
                window = job.plan.tile(*place).read
                wanted = inside_of(job.area, window)  # by one thread alone: painting changes Python's warning filters
                waiting.append((place, pool.submit(work, window, wanted)))
                if len(waiting) > threads:
                    yield _finished(waiting.popleft())
            while waiting:
                yield _finished(waiting.popleft())
        finally:
            for _, future in waiting:
                future.cancel()


def _finished(task: tuple[_Place, Future[_Inferred]]) -> tuple[_Place, _Inferred]:
    place, future = task
    return place, future.result()


@contextmanager
def _readers(scene: Scene, count: int) -> Iterator[SimpleQueue[SceneReader]]:
    """As many open readers; each is used by one thread at a time."""
    idle: SimpleQueue[SceneReader] = SimpleQueue()
    with ExitStack() as stack:
        for _ in range(count):
            idle.put(stack.enter_context(scene.reader()))
        yield idle


def _infer_tile(
    job: Job,
    runtime: Runtime,
    window: Window,
    wanted: NDArray[np.bool_],
    idle: SimpleQueue[SceneReader],
    turn: BoundedSemaphore,
) -> _Inferred:
    if not wanted.any():
        return _nothing(job, window)
    reader = idle.get()
    try:
        raster = _read(reader, window)
    finally:
        idle.put(reader)
    valid = raster.valid & wanted
    if not valid.any():
        return _nothing(job, window)
    known = None if job.known is None else job.known(window)
    if known is not None:
        return _Inferred(known, valid)
    channels = job.bands.normalise(raster.data, raster.valid, job.indices)
    inside = window.intersect(job.scene.grid.window)
    if inside is not None and inside != window:
        channels = _mirror(channels, inside.shape)
    with turn:
        return _Inferred(runtime(channels[None])[0], valid)


def _nothing(job: Job, window: Window) -> _Inferred:
    return _Inferred(np.zeros((job.classes, *window.shape), dtype=np.float32), np.zeros(window.shape, dtype=np.bool_))


def _mirror(channels: NDArray[np.float32], inside: tuple[int, int]) -> NDArray[np.float32]:
    """Channels (channel, row, col) of a tile of which the first rows and columns lie in the scene, mirrored beyond."""
    rows, cols = inside
    beyond = ((0, 0), (0, channels.shape[1] - rows), (0, channels.shape[2] - cols))
    return np.pad(channels[:, :rows, :cols], beyond, mode="symmetric")


def _read(reader: SceneReader, window: Window) -> Raster:
    for _ in range(READ_ATTEMPTS - 1):
        try:
            return reader.read(window)
        except InputError:
            continue
    return reader.read(window)
