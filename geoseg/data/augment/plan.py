"""The augmentations there are, by name, in the order in which they are applied."""

from __future__ import annotations

from dataclasses import fields

from pydantic.dataclasses import dataclass

from geoseg.data.augment.mix.classmix import ClassMix
from geoseg.data.augment.mix.copypaste import CopyPaste
from geoseg.data.augment.mix.cutout import Cutout
from geoseg.data.augment.sensor.blur import Blur
from geoseg.data.augment.sensor.clahe import Clahe
from geoseg.data.augment.sensor.dropout import BandDropout
from geoseg.data.augment.sensor.gain import Gain
from geoseg.data.augment.sensor.gamma import Gamma
from geoseg.data.augment.sensor.histogram import HistogramMatch
from geoseg.data.augment.sensor.noise import Noise
from geoseg.data.augment.technique import Change, Warp
from geoseg.data.augment.warp.affine import Affine
from geoseg.data.augment.warp.crop import Crop
from geoseg.data.augment.warp.elastic import Elastic
from geoseg.data.augment.warp.flip import Flip
from geoseg.data.augment.warp.perspective import Perspective
from geoseg.data.augment.warp.scale import Scale
from geoseg.data.augment.warp.turn import Turn
from geoseg.data.augment.weather.clouds import Clouds
from geoseg.data.augment.weather.fog import Fog
from geoseg.data.augment.weather.haze import Haze
from geoseg.data.augment.weather.missing import MissingLines
from geoseg.data.augment.weather.rain import Rain
from geoseg.data.augment.weather.shadow import CloudShadow
from geoseg.data.augment.weather.snow import Snow
from geoseg.data.augment.weather.stripes import Stripes
from geoseg.data.options import STRICT


@dataclass(config=STRICT, frozen=True, slots=True, kw_only=True)
class Augmentation:
    """Augmentations by name; one that is not named is not used, `{}` takes its defaults.

    They are applied in the order of this list: what lies on the ground, what hangs above it (while the sun still
    stands where it stood), how the ground is looked at, what the sensor does.
    """

    copy_paste: CopyPaste | None = None
    class_mix: ClassMix | None = None
    snow: Snow | None = None
    cloud_shadow: CloudShadow | None = None
    clouds: Clouds | None = None
    haze: Haze | None = None
    fog: Fog | None = None
    rain: Rain | None = None
    affine: Affine | None = None
    scale: Scale | None = None
    perspective: Perspective | None = None
    elastic: Elastic | None = None
    flip: Flip | None = None
    turn: Turn | None = None
    crop: Crop | None = None
    histogram_match: HistogramMatch | None = None
    clahe: Clahe | None = None
    gamma: Gamma | None = None
    gain: Gain | None = None
    blur: Blur | None = None
    noise: Noise | None = None
    stripes: Stripes | None = None
    missing_lines: MissingLines | None = None
    band_dropout: BandDropout | None = None
    cutout: Cutout | None = None

    @property
    def techniques(self) -> dict[str, Change | Warp]:
        """The chosen techniques by name, in their order."""
        chosen = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: technique for name, technique in chosen.items() if technique is not None}


def every_technique(size: int) -> Augmentation:
    """Each technique once with its defaults; crops to chips of `size` pixels."""
    defaults: dict[str, dict[str, int]] = {field.name: {} for field in fields(Augmentation)}
    return Augmentation(**{**defaults, "crop": {"size": size}})  # type: ignore[arg-type]
