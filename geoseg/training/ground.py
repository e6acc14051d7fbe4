"""The ground of a config: scenes on the model's grid, each with its labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from geoseg.core.bands import Band, BandSet, common_name_of
from geoseg.data.ground import Labels, Pixels
from geoseg.data.interop.from_torchgeo import fit_pixels, scenes_of
from geoseg.data.interop.sources import open_geodataset
from geoseg.data.labels import open_labels
from geoseg.data.pixelstore import store_pixels
from geoseg.data.stack import UNKNOWN_SUN
from geoseg.data.store import StoredLabels, store_labels
from geoseg.errors import InputError
from geoseg.inference.contract import CheckOptions, fit_scene
from geoseg.inference.engine import Progress
from geoseg.io.scene import Scene, SceneOptions, open_scene
from geoseg.models.spec import ModelSpec
from geoseg.training.config import SceneConfig, TrainConfig


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Source:
    """A scene with the model's bands on the model's grid, its labels there, and what the config says of both."""

    pixels: Pixels
    labels: StoredLabels
    label_paths: tuple[Path, ...]
    region: str = ""
    sun: tuple[float, float] = UNKNOWN_SUN


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ground:
    """All labelled ground of a config, and the model's spec, yet without the training data's mean and std.

    `notes` tell what is to be known of it, a sentence each.
    """

    sources: tuple[Source, ...]
    draft: ModelSpec
    notes: tuple[str, ...] = ()

    @property
    def maps(self) -> list[StoredLabels]:
        """The labels of all scenes."""
        return [source.labels for source in self.sources]

    @property
    def regions(self) -> list[str]:
        """The region of every scene."""
        return [source.region for source in self.sources]

    @property
    def paths(self) -> list[Path]:
        """Every file of scenes and labels, each once."""
        files = [path for source in self.sources for path in (*source.pixels.paths, *source.label_paths)]
        return list(dict.fromkeys(files))


def open_ground(config: TrainConfig, progress: Progress = lambda _stage, _done, _total: None) -> Ground:
    """Open every scene and torchgeo dataset, fit it to the model, and put its labels on its grid.

    Raises:
        ContractError: a scene lacks a band that the model wants, is not calibrated, or is too coarse.
        InputError: labels that do not overlap their scene, hold unknown codes, or cannot be read.
    """
    draft = _draft_spec(config)
    opened = [*_scenes(config, draft), *_datasets(config, draft)]
    sources = []
    for done, (pixels, labels, region, sun) in enumerate(opened):
        progress("labels", done, len(opened))
        stored = store_labels(labels, pixels, config.cache)
        kept = pixels if stored.temporary else store_pixels(pixels, stored, config.chips.size)
        sources.append(Source(pixels=kept, labels=stored, label_paths=labels.paths, region=region, sun=sun))
    progress("labels", len(opened), len(opened))
    return Ground(sources=tuple(sources), draft=draft, notes=_notes(sources, config))


def _notes(sources: list[Source], config: TrainConfig) -> tuple[str, ...]:
    if config.cache == "none":
        return ()
    names = dict.fromkeys(str(path) for s in sources if s.labels.temporary for path in s.label_paths[:1])
    return tuple(
        f"nothing can be written beside {name}, so its labels are made anew every time; set `cache`" for name in names
    )


def _draft_spec(config: TrainConfig) -> ModelSpec:
    model, side = config.model, config.chips.size
    bands = BandSet(tuple(Band(name=name, common_name=common_name_of(name)) for name in model.bands))
    spec = ModelSpec(
        architecture=model.architecture,
        encoder=model.encoder,
        bands=bands,
        indices=model.indices,
        legend=config.legend,
        gsd_m=model.gsd_m,
        decoder_channels=model.decoder_channels,
        options=model.options,
    )
    if side % spec.needed_stride:
        msg = f"chips.size is {side}, but {model.architecture} takes sides that are multiples of {spec.needed_stride}"
        raise InputError(f"{msg}; take {side + -side % spec.needed_stride}")
    return spec


_Opened = tuple[Pixels, Labels, str, tuple[float, float]]


def _scenes(config: TrainConfig, draft: ModelSpec) -> Iterator[_Opened]:
    for source in config.scenes:
        scene = _fit(_open(source), draft)
        yield scene, open_labels(source.labels, scene.grid, draft.legend), source.region, source.sun or UNKNOWN_SUN


def _datasets(config: TrainConfig, draft: ModelSpec) -> Iterator[_Opened]:
    for source in config.datasets:
        for pixels, labels in scenes_of(open_geodataset(source), source.options, draft.legend):
            yield fit_pixels(pixels, draft.bands, draft.gsd_m), labels, source.options.region, UNKNOWN_SUN


def _open(source: SceneConfig) -> Scene:
    options = SceneOptions(
        bands=source.bands, sensor=source.sensor, nodata=source.nodata, scale=source.scale, offset=source.offset
    )
    return open_scene(source.path, options=options)


def _fit(scene: Scene, spec: ModelSpec) -> Scene:
    """The scene as predict would read it; one without known calibration is refused, as its numbers mean nothing."""
    return fit_scene(scene, spec, CheckOptions(standardise=False)).require().scene
