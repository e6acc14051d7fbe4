"""One task of a cluster: some rows of tiles of a scene, inferred by a worker into files of their own."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from geoseg.core.grid import Grid, Window
from geoseg.core.legend import Legend
from geoseg.core.tiling import TilePlan
from geoseg.errors import GeosegError, OutputError
from geoseg.inference.engine import Job, Piece, infer_band, seam_window
from geoseg.inference.maps import MapFiles, MapWriter
from geoseg.models.runtime.protocol import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Some rows of tiles of a plan, `first` to before `end`."""

    plan: TilePlan
    first: int
    end: int

    @property
    def own(self) -> Window | None:
        """The pixels, of full width, that no other band has a share in; None where there are none."""
        rows = self.plan.rows
        top = rows.use(self.first)[0] + (rows.blend if self.first else 0)
        height = rows.done(self.end - 1) - top
        return Window(row=top, col=0, height=height, width=self.plan.cols.length) if height else None

    @property
    def seam_above(self) -> Window | None:
        """The pixels that it shares with the band above."""
        return seam_window(self.plan, self.first) if self.first and self.plan.rows.blend else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The files of a band, in a folder that appears when all of it is finished.

    Its own pixels are working rasters of a map; its shares of the pixels between bands are class probabilities, float32
    of shape (class, row, col).
    """

    folder: Path
    band: Band
    grid: Grid
    kept: bool

    @property
    def finished(self) -> bool:
        """Whether it has been inferred."""
        return self.folder.is_dir()

    @property
    def maps(self) -> MapFiles | None:
        """Working rasters of its own pixels, if there are any; on the grid of these."""
        return self._maps(self.folder)

    def seam_above(self) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Its share of the pixels between it and the band above, and where they are valid (row, col)."""
        return np.load(self.folder / "above.npy", mmap_mode="r"), np.load(self.folder / "above-valid.npy")

    def seam_below(self) -> NDArray[np.float32]:
        """Its share of the pixels between it and the band below."""
        found: NDArray[np.float32] = np.load(self.folder / "below.npy", mmap_mode="r")
        return found

    def infer(self, job: Job, runtime: Runtime, legend: Legend) -> None:
        """Infer the band and write its files; where another worker is faster, its files stay.

        Raises:
            InputError: a part of the scene cannot be read.
            OutputError: the files cannot be written.
        """
        temporary = self.folder.with_name(f".{self.folder.name}-{uuid4().hex}")
        try:
            temporary.mkdir()
            pieces = infer_band(job, range(self.band.first, self.band.end), runtime, lambda *_: None)
            self._write(pieces, temporary, legend)
            self._appear(temporary)
        except OSError as error:
            if isinstance(error, GeosegError):
                raise
            raise OutputError(
                f"{self.folder.parent}: a worker cannot write there ({error.strerror}); all workers need the folder of "
                "the outputs under the same path, and room in it"
            ) from error
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    def _write(self, pieces: Iterator[Piece], folder: Path, legend: Legend) -> None:
        maps, own = self._maps(folder), self.band.own
        shares = []
        with ExitStack() as stack:
            writer = None if maps is None else stack.enter_context(MapWriter(maps, legend))
            for piece in pieces:
                if piece.share:  # a copy, which does not hold on to the whole tile
                    shares.append(replace(piece, probabilities=piece.probabilities.copy()))
                elif writer is not None and own is not None:
                    writer.write(replace(piece, window=replace(piece.window, row=piece.window.row - own.row)))
            if writer is not None:
                writer.sync()
        self._write_shares(shares, folder)

    def _write_shares(self, shares: list[Piece], folder: Path) -> None:
        above = self.band.seam_above
        upper = [piece for piece in shares if above is not None and piece.window.row == above.row]
        if upper:
            _save(folder / "above.npy", np.concatenate([piece.probabilities for piece in upper], axis=2))
            _save(folder / "above-valid.npy", np.concatenate([piece.valid for piece in upper], axis=1))
        for piece in shares[len(upper) :]:
            _save(folder / "below.npy", piece.probabilities)

    def _appear(self, temporary: Path) -> None:
        try:
            temporary.rename(self.folder)
        except OSError:
            if not self.finished:
                raise

    def _maps(self, folder: Path) -> MapFiles | None:
        own = self.band.own
        if own is None:
            return None
        return MapFiles.in_folder(folder, self.grid[own], name="part", with_probabilities=self.kept)


def _save(path: Path, numbers: NDArray[np.generic]) -> None:
    with path.open("wb") as file:
        np.save(file, numbers, allow_pickle=False)
        file.flush()
        os.fsync(file.fileno())
