"""torchgeo datasets that a config names: which class, which files, what they do not tell of themselves."""

from __future__ import annotations

import difflib
import inspect
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as options_dataclass
from pyproj import CRS

from geoseg.core.legend import UNLABELLED
from geoseg.data.interop.naming import one_line
from geoseg.data.options import STRICT, LocalPath
from geoseg.errors import InputError, MissingFileError

if TYPE_CHECKING:
    from torchgeo.datasets import GeoDataset

_MODULE = "torchgeo.datasets"
_CACHE = re.compile(r"classes-[0-9a-f]{16}\.tif")  # as geoseg.data.store names the labels that it keeps
_COMPOSED = ("GeoDataset", "IntersectionDataset", "UnionDataset")


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeoSource:
    """A torchgeo dataset: its class, its files, and what else it is made with."""

    dataset: str
    """A class of `torchgeo.datasets` that is a `GeoDataset`, such as NAIP, NLCD or RasterDataset."""
    paths: LocalPath | tuple[LocalPath, ...] | None = None
    """A folder, a file, or a list of them; null = the class's own default, counted from the current folder."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of the class: crs, res, bands, years, ..."""
    filename_glob: str | None = None
    """Which files of a folder belong to the dataset, such as "*.tif"; null = as the class says."""
    filename_regex: str | None = None
    """Which of these, with a group `date`, or groups `start` and `stop`, for the time; null = as the class says."""
    date_format: str | None = None
    """Of those groups, such as "%Y%m%d"; null = as the class says."""
    is_image: bool | None = None
    """Whether files are images or masks; null = as the class says, and for a plain RasterDataset as it is used here."""


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeoDatasetOptions:
    """What a torchgeo dataset does not tell of its images and masks."""

    bands: tuple[str, ...] = ()
    """Common names of the image's channels in their order; empty = the names that the dataset itself gives them."""
    scale: float | None = None
    """reflectance = value * scale + offset; 1 where the dataset's values are reflectance already."""
    offset: float = 0.0
    nodata: float | None = None
    """The value of invalid pixels; null = what the image's first file declares. Where files leave gaps, torchgeo fills
    with that number too, or with 0 where none is declared."""
    ignore: tuple[int, ...] = (UNLABELLED,)
    """Codes of the mask that are unlabelled ground; 255 always is."""
    region: str = ""
    """A name for where the scenes lie: for `split.attribute: region` and `sampling.balance: regions`."""


@options_dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class GeoDatasetConfig:
    """Images and masks from torchgeo: either `image` and `mask`, which are intersected, or one `dataset` of both."""

    image: GeoSource | None = None
    mask: GeoSource | None = None
    dataset: str | None = None
    """A class of `torchgeo.datasets` that gives images and masks, such as L7Irish."""
    paths: LocalPath | tuple[LocalPath, ...] | None = None
    """Of `dataset`: a folder, a file, or a list of them."""
    arguments: dict[str, Any] = Field(default_factory=dict)
    """Further arguments of `dataset`."""
    spatial_only: bool = False
    """Whether image and mask belong together whatever their dates. Images of all dates are then merged into one."""
    allow_download: bool = False
    """`download: true` among the arguments is refused without it."""
    options: GeoDatasetOptions = GeoDatasetOptions()

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        pair = (self.image is not None, self.mask is not None)
        if self.dataset is None and not all(pair):
            msg = "needs `image` and `mask`, or `dataset` for a class that gives both"
            raise ValueError(msg)
        if self.dataset is not None and any(pair):
            msg = "found `dataset` beside `image` or `mask`; give `image` and `mask`, or `dataset` alone"
            raise ValueError(msg)
        if self.dataset is None and (self.paths is not None or self.arguments):
            msg = "`paths` and `arguments` belong to `dataset`; those of `image` and `mask` stand inside of these"
            raise ValueError(msg)
        return self


def open_geodataset(config: GeoDatasetConfig) -> GeoDataset:
    """Make the torchgeo dataset that a config describes.

    Classes are looked up by name in `torchgeo.datasets`; nothing else is imported, and nothing is downloaded unless
    `allow_download` and the argument `download` say so.

    Raises:
        MissingFileError: a path is not there.
        InputError: an unknown class or argument, no file of that dataset, or images and masks without common ground.
    """
    from torchgeo.datasets import IntersectionDataset  # noqa: PLC0415  (takes seconds)

    with redirect_stdout(io.StringIO()):  # torchgeo prints what it converts
        if config.image is None or config.mask is None:
            source = GeoSource(dataset=config.dataset or "", paths=config.paths, arguments=config.arguments)
            return _open_source(source, allow_download=config.allow_download)
        image = _open_source(config.image, allow_download=config.allow_download, is_image=True)
        mask = _open_source(config.mask, allow_download=config.allow_download, is_image=False)
        try:
            return IntersectionDataset(image, mask, spatial_only=config.spatial_only)
        except RuntimeError as error:
            raise InputError(
                f"{config.image.dataset} and {config.mask.dataset}: {one_line(error)}; give images and masks of "
                "the same ground and time, or `spatial_only: true`"
            ) from error


def _open_source(source: GeoSource, *, allow_download: bool, is_image: bool | None = None) -> GeoDataset:
    kind = _class(source.dataset)
    arguments = _arguments(source, kind, allow_download=allow_download)
    dataset: GeoDataset = kind.__new__(kind)
    told = {name: getattr(source, name) for name in ("filename_glob", "filename_regex", "date_format", "is_image")}
    if kind.__name__ == "RasterDataset" and told["is_image"] is None:
        told["is_image"] = is_image
    for name, value in told.items():
        if value is not None:  # torchgeo reads these of the class; a class of our own could not travel to workers
            setattr(dataset, name, value)
    try:
        kind.__init__(dataset, **arguments)
    except Exception as error:  # each of torchgeo's classes fails in its own way
        raise InputError(f"{source.dataset}: torchgeo cannot open this dataset: {one_line(error)}") from error
    leave_out_caches(dataset)
    return dataset


def _class(text: str) -> Any:  # noqa: ANN401
    import torchgeo.datasets as known  # noqa: PLC0415  (takes seconds)

    kinds = {name: getattr(known, name) for name in known.__all__ if name not in _COMPOSED}
    usable = {
        name: kind
        for name, kind in kinds.items()
        if inspect.isclass(kind) and issubclass(kind, known.GeoDataset) and not inspect.isabstract(kind)
    }
    name = text.removeprefix(f"{_MODULE}.")
    if name in usable:
        return usable[name]
    lower = {known_name.lower(): known_name for known_name in usable}
    near = [lower[match] for match in difflib.get_close_matches(name.lower(), lower, n=4)] or sorted(usable)
    reason = "is no dataset of places that can be opened by name" if name in known.__all__ else f"is not in {_MODULE}"
    raise InputError(f"{text}: {reason}; near it are {', '.join(near)}")


def _arguments(source: GeoSource, kind: Any, *, allow_download: bool) -> dict[str, Any]:  # noqa: ANN401
    parameters = list(inspect.signature(kind.__init__).parameters)[1:]
    place = "paths" if "paths" in parameters else "root"
    unfit = [name for name in source.arguments if name not in parameters or name in {place, "transforms"}]
    if unfit:
        fit = ", ".join(name for name in parameters if name not in {place, "transforms"})
        raise InputError(f"{source.dataset}: found the arguments {', '.join(unfit)}, needed some of {fit}")
    download = bool(source.arguments.get("download"))
    if download and not allow_download:
        raise InputError(f"{source.dataset}: nothing is downloaded unless asked for; set `allow_download: true`")
    arguments = dict(source.arguments)
    if arguments.get("crs") is not None:
        arguments["crs"] = CRS.from_user_input(arguments["crs"])
    if isinstance(arguments.get("res"), list):
        arguments["res"] = tuple(arguments["res"])
    if source.paths is not None:
        arguments[place] = _paths(source.paths, source.dataset, must_exist=not download)
    return arguments


def _paths(paths: Path | tuple[Path, ...], name: str, *, must_exist: bool) -> str | list[str]:
    listed = [paths] if isinstance(paths, Path) else list(paths)
    missing = [str(path) for path in listed if must_exist and not path.exists() and not str(path).startswith("/vsi")]
    if missing:
        raise MissingFileError(f"{name}: {', '.join(missing)}: no such file or folder; check the paths")
    return str(paths) if isinstance(paths, Path) else [str(path) for path in paths]


def leaves_of(dataset: GeoDataset) -> list[GeoDataset]:
    """The datasets that intersections and unions consist of, in order."""
    parts = getattr(dataset, "datasets", None)
    return [leaf for part in parts for leaf in leaves_of(part)] if parts else [dataset]


def leave_out_caches(dataset: GeoDataset) -> None:
    """Take out what `geoseg.data.store` keeps beside labels: torchgeo finds it in the folders that it searches."""
    for leaf in leaves_of(dataset):
        kept = [_CACHE.fullmatch(Path(path).name) is not None for path in leaf.index.get("filepath", ())]
        if any(kept):
            leaf.index = leaf.index[~np.array(kept)]
