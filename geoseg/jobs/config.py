"""What a job is: the YAML file of `geoseg run`, validated; unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg.data.options import LocalPath
from geoseg.errors import InputError
from geoseg.inference.options import PredictOptions
from geoseg.io.scene import SceneOptions
from geoseg.io.yamlfile import mistakes, read_yaml
from geoseg.vectorize.clean import CleanOptions
from geoseg.vectorize.simplify import SimplifyOptions


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class JobScenes(_Part):
    """Scenes of one kind, and what their files do not tell."""

    path: LocalPath | list[LocalPath]
    """A file, a folder, a pattern such as `incoming/*.tif`, which may match many scenes; or the band files of one."""
    name: str | None = None
    """What `{name}` stands for in the outputs, for a single scene; null = the file's name without suffix."""
    bands: dict[str, int] | None = None
    """Band numbers by common name, from 1, where the file does not name its bands."""
    sensor: str | None = None
    nodata: float | None = None
    scale: float | None = None
    """reflectance = DN * scale + offset."""
    offset: float | None = None

    @property
    def options(self) -> SceneOptions:
        """How to open them."""
        return SceneOptions(
            bands=self.bands, sensor=self.sensor, nodata=self.nodata, scale=self.scale, offset=self.offset
        )


class JobOutputs(_Part):
    """Where results of a scene go; `{name}` is the name of the scene. Folders are made."""

    polygons: LocalPath | None = None
    mask: LocalPath | None = None
    probabilities: LocalPath | None = None


class JobOptions(_Part):
    """How to predict, as the options of `geoseg predict` that have the same names."""

    grid: Literal["model", "scene"] = "model"
    aoi: LocalPath | None = None
    tile: int | None = Field(default=None, ge=32)
    overlap: int | None = Field(default=None, ge=0)
    threads: int | None = Field(default=None, ge=1)
    runtime: Literal["auto", "openvino", "onnxruntime", "torch"] = "auto"
    device: Literal["auto", "cpu", "cuda", "tensorrt"] = "auto"
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    tta: Literal["none", "flips", "d4", "scales"] = "none"
    standardise: bool | None = None
    majority: int | None = None
    fill_holes: float | None = None
    """m²"""
    min_area: float | None = None
    """m²"""
    simplify: float | None = Field(default=None, ge=0)
    """m"""
    simplify_method: Literal["visvalingam", "douglas-peucker"] = "visvalingam"
    smooth: int = Field(default=0, ge=0, le=5)
    regularise: list[str | int] = []
    """Names or codes of classes."""
    dissolve: bool = False

    def to_predict(self) -> PredictOptions:
        """As `geoseg.predict` takes them."""
        simplify = None
        if self.simplify is not None or self.smooth or self.regularise:
            simplify = SimplifyOptions(
                method=self.simplify_method,
                tolerance=self.simplify or 0.0,
                smooth=self.smooth,
                regularise=tuple(self.regularise),
            )
        return PredictOptions(
            grid=self.grid,
            aoi=self.aoi,
            tile=self.tile,
            overlap=self.overlap,
            threads=self.threads,
            runtime=self.runtime,
            device=self.device,
            precision=self.precision,
            tta=self.tta,
            standardise=self.standardise,
            clean=CleanOptions(majority=self.majority, fill_holes_m2=self.fill_holes, min_area_m2=self.min_area),
            simplify=simplify,
            dissolve=self.dissolve,
        )


class JobConfig(_Part):
    """Many scenes, each mapped with the same model to outputs of its own."""

    scenes: list[LocalPath | JobScenes] = Field(min_length=1)
    """Paths, patterns, or entries with more to say."""
    model: LocalPath | list[LocalPath] | None = None
    """A bundle; several are averaged; null = the one inside geoseg."""
    outputs: JobOutputs
    options: JobOptions = JobOptions()
    attempts: int = Field(default=2, ge=1)
    """How often a scene is tried in a run, before it counts as failed."""
    manifest: LocalPath | None = None
    """What is done: an SQLite file; null = `<job>.manifest.sqlite` beside the job file."""

    @property
    def models(self) -> tuple[Path | None, ...]:
        """The files of all models; None = the one inside geoseg."""
        return tuple(self.model) if isinstance(self.model, list) else (self.model,)


def read_job(path: Path) -> JobConfig:
    """Read and validate a job; relative paths count from its own folder.

    Raises:
        MissingFileError: no such file.
        InputError: not YAML, or not a valid job; the message names every wrong key at once.
    """
    content = read_yaml(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: needed is a mapping with scenes, outputs and, maybe, model and options")
    try:
        return JobConfig.model_validate(content, context={"folder": path.resolve().parent})
    except ValidationError as error:
        raise InputError(f"{path}: {mistakes(error)}") from error
