"""What one training is: the YAML file of `geoseg train`, validated; unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from geoseg.core.legend import LandClass, Legend
from geoseg.errors import InputError, MissingFileError


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SceneConfig(_Part):
    """A scene (file, folder, or list of band files), its labels, and what the files themselves do not tell."""

    path: Path | list[Path]
    labels: Path
    column: str | None = None
    bands: dict[str, int] | None = None
    sensor: str | None = None
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None


class ClassConfig(_Part):
    """One class of the legend."""

    code: int = Field(ge=0, le=254)
    name: str
    colour: str
    parent: str | None = None


class ModelConfig(_Part):
    """The network: see `geoseg.models.spec.ModelSpec`; bands by common name.

    `pretrained` is a file of encoder weights, a torchgeo weight by name, "imagenet", or null for random weights;
    nothing is downloaded unless `allow_download`.
    """

    architecture: Literal["unet", "deeplabv3plus"] = "unet"
    encoder: str = "resnet18"
    decoder_channels: tuple[int, ...] | None = None
    bands: tuple[str, ...] = Field(min_length=1)
    indices: tuple[str, ...] = ()
    gsd_m: float = Field(gt=0)
    pretrained: str | None = None
    allow_download: bool = False


class SplitConfig(_Part):
    """Blocks of the ground in m, the buffer between folds in m, and the shares of train, val and test."""

    block_m: float = Field(default=3000, gt=0)
    buffer_m: float = Field(default=0, ge=0)
    shares: tuple[float, float, float] = (0.6, 0.2, 0.2)
    seed: int = 0

    @field_validator("shares")
    @classmethod
    def _shares_make_a_whole(cls, shares: tuple[float, float, float]) -> tuple[float, float, float]:
        train, val, test = shares
        if min(train, val) <= 0 or test < 0 or abs(sum(shares) - 1) > 1e-6:
            msg = f"train and val must be above 0, test at least 0, and the sum 1; found {shares}"
            raise ValueError(msg)
        return shares


class ChipConfig(_Part):
    """Chips: side in px, number an epoch, share centred on a class drawn uniformly; std of the radiometric jitter."""

    size: int = Field(default=128, gt=0)
    per_epoch: int = Field(default=800, gt=0)
    class_share: float = Field(default=0.5, ge=0, le=1)
    jitter_gain: float = Field(default=0, ge=0)
    jitter_band_gain: float = Field(default=0, ge=0)
    jitter_offset: float = Field(default=0, ge=0)


class FitConfig(_Part):
    """The loop: epochs, batch, AdamW, one warm-up cosine cycle, weights of the two losses.

    `class_weight_power` p weights each class in the cross-entropy by (its share among the drawn chips' pixels)^-p.
    """

    epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=8, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    cross_entropy: float = Field(default=1, ge=0)
    dice: float = Field(default=1, ge=0)
    class_weight_power: float = Field(default=0, ge=0, le=1)
    workers: int = Field(default=0, ge=0)


class TrainConfig(_Part):
    """Everything `geoseg train` needs; relative paths count from the config's own folder."""

    name: str = "model"
    description: str = ""
    scenes: list[SceneConfig] = Field(min_length=1)
    classes: list[ClassConfig] = Field(min_length=2)
    model: ModelConfig
    split: SplitConfig = SplitConfig()
    chips: ChipConfig = ChipConfig()
    fit: FitConfig = FitConfig()
    seed: int = 0

    @model_validator(mode="after")
    def _has_steps(self) -> Self:
        steps = self.fit.epochs * (self.chips.per_epoch // self.fit.batch_size)
        if steps < 2:
            msg = f"epochs, chips.per_epoch and fit.batch_size make {steps} steps, at least 2 are needed"
            raise ValueError(msg)
        return self

    @property
    def legend(self) -> Legend:
        """The classes as a legend, in the order of the file."""
        return Legend(tuple(LandClass(**c.model_dump()) for c in self.classes))


def read_config(path: Path) -> TrainConfig:
    """Read and validate a training config; relative paths are made absolute.

    Raises:
        MissingFileError: no such file.
        InputError: not YAML, or not a valid config; the message names every wrong key at once.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such config file") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    try:
        config = TrainConfig.model_validate(content)
        config.legend  # noqa: B018  # a legend checks its own laws
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors())
        raise InputError(f"{path}: {wrong}") from error
    except ValueError as error:
        raise InputError(f"{path}: classes: {error}") from error
    return _with_absolute_paths(config, path.resolve().parent)


def _with_absolute_paths(config: TrainConfig, folder: Path) -> TrainConfig:
    scenes = []
    for scene in config.scenes:
        paths = [folder / p for p in scene.path] if isinstance(scene.path, list) else folder / scene.path
        scenes.append(scene.model_copy(update={"path": paths, "labels": folder / scene.labels}))
    model = config.model
    if model.pretrained is not None and (folder / model.pretrained).is_file():
        model = model.model_copy(update={"pretrained": str(folder / model.pretrained)})
    return config.model_copy(update={"scenes": scenes, "model": model})
