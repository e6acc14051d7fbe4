"""The augmentations of a training config, on its own chips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path

from geoseg.data.augment.plan import every_technique
from geoseg.data.augment.technique import Change, Warp
from geoseg.errors import InputError
from geoseg.io.output import check_writable
from geoseg.training.config import TrainConfig, read_config
from geoseg.training.ground import open_ground
from geoseg.training.task import physical
from geoseg.training.truth import TrainingGround, divide, ground_truth
from geoseg.views.sheet import SheetOptions, contact_sheet

_PARTNERS = 4  # techniques that mix chips or match them need others in the batch


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentationSheet:
    """What is shown: the config's augmentations, or `every` one there is, or those in `names`, with their defaults.

    `size` is the side of a chip in px, None = the config's.
    """

    every: bool = False
    names: tuple[str, ...] = ()
    chips: int = 1
    draws: int = 5
    size: int | None = None
    overwrite: bool = False


def draw_augmentations(config_path: Path, out: Path, options: AugmentationSheet) -> None:
    """Draw a contact sheet (PNG) of augmentations on the first training chips of a config.

    Raises:
        InputError: the config cannot be used, has no augmentations, or a name is unknown.
        OutputError: `out` is no .png, exists already, or cannot be written.
        MissingExtraError: matplotlib is not installed.
    """
    check_writable(out, overwrite=options.overwrite)
    config = read_config(config_path)
    size = options.size or config.chips.size
    techniques = _techniques(config, options, size)
    config = config.model_copy(update={"chips": replace(config.chips, size=size)})
    ground = open_ground(config)
    split = divide(ground, config).split
    truth = ground_truth(ground, split.map(), split.fingerprint)
    chips = TrainingGround(truth, config).chips
    batch = physical(truth.stack([chips[i] for i in range(min(len(chips), options.chips + _PARTNERS))]), truth.spec)
    look = SheetOptions(chips=options.chips, draws=options.draws)
    contact_sheet(batch, techniques, truth.spec.legend, out, options=look, overwrite=options.overwrite)


def _techniques(config: TrainConfig, options: AugmentationSheet, size: int) -> Mapping[str, Change | Warp]:
    known = every_technique(max(1, size // 2)).techniques | config.augment.techniques
    if options.every:
        return known
    for name in options.names:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"no augmentation is named {name!r}{hint}; there are {', '.join(known)}")
    chosen = {name: known[name] for name in options.names} or config.augment.techniques
    if not chosen:
        raise InputError("the config has no `augment` section; add one, or show --every augmentation or a --technique")
    return chosen
