"""A scene that fits its models to the working rasters of a map: plan, infer, write, resume."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from geoseg.core.identity import flat
from geoseg.core.provenance import Provenance
from geoseg.core.tiling import TilePlan
from geoseg.inference.adaptive import Adapted, CoarseMap, coarser, settle
from geoseg.inference.contract import Fit
from geoseg.inference.engine import Job, Known, Progress, infer
from geoseg.inference.journal import Journal
from geoseg.inference.maps import MapFiles, MapWriter, regrid
from geoseg.inference.networks import Networks, open_networks
from geoseg.inference.options import PredictOptions
from geoseg.inference.plan import disk_of, require_room
from geoseg.inference.precision import Choice
from geoseg.inference.tiles import TileOptions, choose_tiles, load_of, memory_of
from geoseg.inference.wanted import Reach, Wanted, open_wanted, reach_of
from geoseg.models.ensemble import Ensemble
from geoseg.models.runtime import RuntimeOptions
from geoseg.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawPlan:
    """What it takes to draw a map: tiles, where it is wanted, bytes of memory and of working files.

    `kept` = with the probabilities of all classes, `to_scene` = brought back to another grid than it is inferred on.
    """

    tiles: TilePlan
    wanted: Wanted
    to_scene: bool
    kept: bool
    memory_bytes: int
    disk_bytes: int

    def reach(self) -> Reach:
        """The tiles that are wanted."""
        return reach_of(self.tiles, self.wanted.inferred)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnMap:
    """Working rasters of a map, the runtime that inferred it and its precision, pixels computed over pixels wanted.

    `adapted` is None where all was inferred in full without asking.
    """

    maps: MapFiles
    runtime: str
    choice: Choice
    redundancy: float
    adapted: Adapted | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A folder for working rasters, whether class probabilities are among them, and fingerprints of what is mapped.

    What the folder holds of the same work is not done again.
    """

    folder: Path
    with_probabilities: bool = False
    inputs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A scene that fits, what infers it, and where to."""

    fit: Fit
    spec: ModelSpec
    networks: Networks
    place: Workplace
    progress: Progress


def plan_drawing(fit: Fit, ensemble: Ensemble, options: PredictOptions, *, with_probabilities: bool) -> DrawPlan:
    """Decide how a scene that fits an ensemble is mapped.

    Raises:
        InputError: the area of interest cannot be read, or does not meet the scene; or memory, tile and overlap do not
            fit each other.
    """
    load = load_of(ensemble, options.tta)
    asked = TileOptions(tile=options.tile, overlap=options.overlap, memory=options.memory, small=options.adaptive)
    tiles = choose_tiles(fit.scene.grid, load, asked)
    to_scene = options.grid == "scene" and fit.source.grid != fit.scene.grid
    kept = to_scene or with_probabilities
    return DrawPlan(
        tiles=tiles,
        wanted=open_wanted(options.aoi, fit, to_scene=to_scene),
        to_scene=to_scene,
        kept=kept,
        memory_bytes=memory_of(tiles, load),
        disk_bytes=disk_of(tiles, ensemble.spec, kept=kept, cleaned=bool(options.clean)),
    )


Drawer = Callable[[Fit, Ensemble, Workplace, PredictOptions, Progress], DrawnMap]
"""Draws a map, as `draw` does on this machine."""


def draw(fit: Fit, ensemble: Ensemble, place: Workplace, options: PredictOptions, progress: Progress) -> DrawnMap:
    """Map a scene that fits an ensemble to working rasters; see `MapFiles`.

    Raises:
        InputError: the scene or the area of interest cannot be read, or they do not meet.
        OutputError: the folder cannot be written, or holds another work.
    """
    plan = plan_drawing(fit, ensemble, options, with_probabilities=place.with_probabilities)
    networks = networks_for(fit, ensemble, options)
    work = Work(fit=fit, spec=ensemble.spec, networks=networks, place=place, progress=progress)
    reach = plan.reach()
    computed, known, adapted = reach.pixels_read, None, None
    if options.adaptive:
        looked = plan_drawing(_coarser(fit), ensemble, replace(options, grid="scene"), with_probabilities=True)
        coarse, adapted = _look(work, looked, reach)
        computed += looked.reach().pixels_read - (adapted.settled - adapted.tried) * plan.tiles.tile_pixels
        known = coarse.known
    maps = _infer(work, plan, known)
    return replace(finish(work, plan, maps), redundancy=computed / reach.pixels, adapted=adapted)


def finish(work: Work, plan: DrawPlan, maps: MapFiles) -> DrawnMap:
    """A map that was inferred, on the grid on which it is wanted."""
    if plan.to_scene:
        folder, results = work.place.folder, plan.wanted.results
        maps = regrid(maps, work.fit.source, work.spec.legend, folder, work.progress, results)
    return DrawnMap(
        maps=maps,
        runtime=work.networks.runtime.name,
        choice=work.networks.choice,
        redundancy=plan.reach().redundancy,
    )


def job_of(fit: Fit, spec: ModelSpec, plan: DrawPlan) -> Job:
    """All that is to be inferred."""
    return Job(
        scene=fit.scene,
        bands=fit.stack,
        indices=spec.indices,
        classes=spec.classes,
        plan=plan.tiles,
        area=plan.wanted.inferred,
    )


def _infer(work: Work, plan: DrawPlan, known: Known | None = None) -> MapFiles:
    """Infer what the folder does not hold yet; see `Job` for what is `known`."""
    folder, spec = work.place.folder, work.spec
    maps = MapFiles.in_folder(folder, work.fit.scene.grid, name="model", with_probabilities=plan.kept)
    journal = Journal(folder)
    journal.take_up(identity_of(work, plan) | {"adaptive": "no" if known is None else "yes"})
    require_room(plan.memory_bytes, 0 if journal.done else plan.disk_bytes, folder)
    job = replace(job_of(work.fit, spec, plan), done=journal.done, known=known)
    with MapWriter(maps, spec.legend) as writer:
        for piece in infer(job, work.networks.runtime, work.progress):
            writer.write(piece)
            if piece.done > journal.done:
                writer.sync()
                journal.mark(piece.done)
    return maps


def _look(work: Work, plan: DrawPlan, reach: Reach) -> tuple[CoarseMap, Adapted]:
    """Infer in coarser pixels, in a folder within the folder; which of the tiles does that settle?"""
    folder = work.place.folder / "coarse"
    folder.mkdir(exist_ok=True)
    maps = _infer(replace(work, fit=_coarser(work.fit), place=replace(work.place, folder=folder)), plan)
    windows = [tile.read for tile in reach.tiles]
    return settle(maps, windows, work.fit, work.spec, work.networks.runtime)


def _coarser(fit: Fit) -> Fit:
    return replace(fit, scene=fit.source.on_grid(coarser(fit.scene.grid)))


def networks_for(fit: Fit, ensemble: Ensemble, options: PredictOptions) -> Networks:
    """The networks of an ensemble, ready for a scene that fits it; see `open_networks`."""
    asked = RuntimeOptions(runtime=options.runtime, device=options.device, threads=options.threads)
    return open_networks(fit, ensemble, asked, options.precision, options.tta)


def identity_of(work: Work, plan: DrawPlan) -> dict[str, str]:
    """Everything that the numbers in the working rasters depend on, by name."""
    versions = Provenance.now(inputs={}).versions
    found = {f"version of {name}": version for name, version in versions.items() if name != "python"}
    found |= {f"content of {name}": value for name, value in work.place.inputs.items()}
    found |= {**work.networks.identity, "probabilities": "kept" if plan.kept else "not kept"}
    cuts = {
        name: {"tiles": len(cut), "size": cut.size, "overlap": cut.blend, "of": cut.length}
        for name, cut in (("rows", plan.tiles.rows), ("cols", plan.tiles.cols))
    }
    return found | dict(flat(cuts))
