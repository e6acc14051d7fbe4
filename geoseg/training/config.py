"""What one training is: the YAML file of `geoseg train`, validated; unknown keys are refused."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from geoseg.core.legend import LandClass, Legend
from geoseg.data.augment.plan import Augmentation
from geoseg.data.chips import ChipOptions
from geoseg.data.interop.sources import GeoDatasetConfig
from geoseg.data.labels.options import LabelsField
from geoseg.data.options import LocalPath
from geoseg.data.sampling import SamplingOptions
from geoseg.data.splits.options import SplitOptions
from geoseg.errors import InputError
from geoseg.io.yamlfile import mistakes, read_yaml
from geoseg.losses.mixture import USUAL, Losses
from geoseg.models.architectures import ARCHITECTURES, NetworkOptions
from geoseg.training.precision import Precision


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class SceneConfig(_Part):
    """A scene, its labels, and what the files themselves do not tell."""

    path: LocalPath | list[LocalPath]
    """A file, a folder, or a list of band files."""
    labels: LabelsField
    """A label file; or its options; or a list of them; or all label options (sources, aoi, consensus, ...)."""
    region: str = ""
    """Where the scene lies, such as a state: for `split.attribute: region` and `sampling.balance: regions`."""
    bands: dict[str, int] | None = None
    """Band numbers by common name, from 1, where the file does not name its bands."""
    sensor: str | None = None
    nodata: float | None = None
    scale: float | None = None
    """reflectance = DN * scale + offset."""
    offset: float | None = None
    sun: tuple[Annotated[float, Field(ge=-360, le=360)], Annotated[float, Field(ge=0, le=90)]] | None = None
    """Azimuth (clockwise from north) and elevation of the sun in degrees; null = drawn at random for cloud shadows."""


class ClassConfig(_Part):
    """One class of the legend."""

    code: int = Field(ge=0, le=254)
    name: str
    colour: str
    parent: str | None = None


class ModelConfig(_Part):
    """The network; see `geoseg.models.spec.ModelSpec`."""

    architecture: Annotated[str, Field(json_schema_extra={"enum": list(ARCHITECTURES)})] = "unet"
    encoder: str = "resnet18"
    decoder_channels: tuple[int, ...] | None = None
    """Widths of a U-Net's decoder from coarse to fine, three to five."""
    options: NetworkOptions = NetworkOptions()
    bands: tuple[str, ...] = Field(min_length=1)
    """Common names of the bands, in the order in which the network takes them."""
    indices: tuple[str, ...] = ()
    """Spectral indices as further channels."""
    gsd_m: float = Field(gt=0)
    """Ground sampling distance in m; scenes that differ by more than 10 % are resampled to it."""
    pretrained: str | None = None
    """A file of encoder weights, a torchgeo weight by name, "imagenet", or null for random weights."""
    allow_download: bool = False
    """Nothing is downloaded without it."""


class RefitConfig(_Part):
    """Decoupled training: after it the last layer is trained anew, on chips of which every class has as many."""

    epochs: int = Field(default=2, gt=0)
    learning_rate: float = Field(default=1e-3, gt=0)


class FitConfig(_Part):
    """The loop: epochs, batch, AdamW, one warm-up cosine cycle."""

    epochs: int = Field(default=10, gt=0)
    batch_size: int = Field(default=8, gt=0)
    learning_rate: float = Field(default=2e-3, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    auxiliary: float = Field(default=0.4, ge=0)
    """Weight of the mean loss of the auxiliary logits, where `model.options.deep_supervision` gives some."""
    encoder_rate: float = Field(default=1, gt=0)
    """Learning rate of the encoder in relation to that of the rest; below 1 it keeps more of what it knew."""
    clip: float | None = Field(default=1, gt=0)
    """The gradient is made shorter where its norm is above this; null = never."""
    accumulate: int = Field(default=1, gt=0)
    """Batches whose gradients make one step: as a batch so many times larger, in the memory of one."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of a running mean of the weights, such as 0.999: it is validated and bundled; null = the weights are."""
    patience: int | None = Field(default=None, gt=0)
    """Stop after so many epochs without a better validation mIoU; null = never."""
    refit: RefitConfig | None = None
    """Train the last layer anew, on balanced chips, while the features stay as they are; null = do not."""
    precision: Precision = "auto"
    """Numbers in the network; auto = fp32 on a CPU, on a GPU bf16 (fp16 where it has none)."""
    tensorboard: bool = False
    """Write curves for TensorBoard, too, which must be installed."""
    workers: int = Field(default=0, ge=0)
    """Processes that read chips; 0 = the main one."""
    devices: int = Field(default=1, gt=0)
    """GPUs that train together, each with batches of its own; without a GPU, processes that share the CPU."""


class TrainConfig(_Part):
    """Everything `geoseg train` needs; relative paths count from the config's own folder."""

    name: str = "model"
    description: str = ""
    scenes: tuple[SceneConfig, ...] = ()
    datasets: tuple[GeoDatasetConfig, ...] = ()
    """torchgeo datasets of images and masks."""
    classes: list[ClassConfig] = Field(min_length=1)
    model: ModelConfig
    split: SplitOptions = SplitOptions()
    chips: ChipOptions = ChipOptions()
    sampling: SamplingOptions = SamplingOptions()
    augment: Augmentation = Augmentation()
    loss: Losses = USUAL
    """What the training minimises: a weighted sum."""
    fit: FitConfig = FitConfig()
    cache: LocalPath | Literal["beside", "none"] = "beside"
    """Where labels on the scene's grid and their class index are kept: beside the labels, in a folder, or nowhere."""
    seed: int = 0

    @model_validator(mode="after")
    def _can_train(self) -> Self:
        if not self.scenes and not self.datasets:
            msg = "there is no ground to learn from: give `scenes`, or `datasets` of torchgeo"
            raise ValueError(msg)
        if len(self.classes) == 1:
            msg = (
                f"one class ({self.classes[0].name}) leaves nothing to tell apart: add a class for the rest, and name "
                "it as `background` in the labels"
            )
            raise ValueError(msg)
        fewest = min(self.fit.epochs, self.fit.refit.epochs if self.fit.refit else self.fit.epochs)
        steps = fewest * self.steps_per_epoch
        if steps < 2:
            made_of = "epochs, sampling.per_epoch, fit.batch_size, fit.accumulate and fit.devices"
            msg = f"{made_of} make {steps} steps, at least 2 are needed"
            raise ValueError(msg)
        model = ARCHITECTURES.get(self.model.architecture)
        if self.fit.batch_size == 1 and self.model.options.norm == "batch" and model is not None and model.pools:
            msg = (
                f"{self.model.architecture} averages over whole chips, and batch norm cannot judge a single mean: give "
                "fit.batch_size 2 or more, or model.options.norm group"
            )
            raise ValueError(msg)
        self.legend  # noqa: B018  # a legend checks its own laws
        return self

    @property
    def steps_per_epoch(self) -> int:
        """Steps of the optimiser an epoch; the last one may be of fewer batches than the others."""
        batches = self.sampling.per_epoch // self.fit.devices // self.fit.batch_size
        return -(-batches // self.fit.accumulate)

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
    content = read_yaml(path)
    if not isinstance(content, dict):
        found = "nothing" if content is None else f"a {type(content).__name__}"
        raise InputError(f"{path}: found {found}, needed a mapping with scenes, classes and model; see configs/")
    folder = path.resolve().parent
    try:
        config = TrainConfig.model_validate(content, context={"folder": folder})
    except ValidationError as error:
        raise InputError(f"{path}: {mistakes(error)}") from error
    pretrained = config.model.pretrained
    if pretrained is not None and (folder / pretrained).is_file():
        model = config.model.model_copy(update={"pretrained": str(folder / pretrained)})
        config = config.model_copy(update={"model": model})
    return config


def json_schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) of training configs, for editors; `configs/train.schema.json` is a copy."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **TrainConfig.model_json_schema()}
