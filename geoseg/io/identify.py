"""Which band is which, and what its numbers mean: from what files declare, in a fixed order, never by guessing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import date

from geoseg.core.bands import Band, BandSet, common_name_of
from geoseg.core.sensors import SENSORS, Sensor, canonical_band_name, describe_band, sensors_with
from geoseg.errors import InputError

_COLOURS = {"red": "red", "green": "green", "blue": "blue", "nir": "nir", "coastal": "coastal", "rededge": "rededge"}
_PLATFORM_TAGS = ("PLATFORM", "SPACECRAFT_ID", "SPACECRAFT_NAME", "SATELLITE", "DATATAKE_1_SPACECRAFT_NAME")
_BASELINE_TAGS = ("PROCESSING_BASELINE", "S2:PROCESSING_BASELINE")
_DATE_TAGS = (
    "DATE_ACQUIRED",
    "ACQUISITION_DATE",
    "DATETIME",
    "PRODUCT_START_TIME",
    "DATATAKE_1_DATATAKE_SENSING_START",
)
_NAME_TAGS = ("PRODUCT_URI", "PRODUCT_ID", "LANDSAT_PRODUCT_ID", "SCENE_ID", "LANDSAT_SCENE_ID")
_OFFSET_BASELINE = 4.0
_OFFSET_SINCE = date(2022, 1, 25)
_BEFORE = "-before-04.00"
_ASSUMED = "assumed scaling"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneOptions:
    """What the user says about a scene, over what its files declare.

    `bands` maps names to 1-based band indices (for several files the index counts files); `sensor` is a key of
    `geoseg.core.sensors.SENSORS`; value = DN * `scale` + `offset`.
    """

    bands: Mapping[str, int] | None = None
    sensor: str | None = None
    nodata: float | None = None
    scale: float | None = None
    offset: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BandFacts:
    """What a file declares about one band; `named_by_file` where the description is the file's name."""

    description: str
    named_by_file: bool = False
    colour: str = "undefined"
    scale: float = 1.0
    offset: float = 0.0
    nodata: float | None = None
    dtype: str = "uint16"


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneFacts:
    """What the files of a scene declare; `labels` are names of files and folders, which may hold a product's name."""

    bands: tuple[BandFacts, ...]
    tags: Mapping[str, str] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def identify(
    facts: SceneFacts, options: SceneOptions, *, looks_unshifted: Callable[[], bool]
) -> tuple[BandSet, tuple[str, ...]]:
    """Name the bands of a scene and find the scaling of each.

    Args:
        facts: what the files declare.
        options: what the user says; it wins.
        looks_unshifted: asked only for Sentinel-2 of unknown processing baseline and date: do many pixels lie below
            DN 1000, so that the offset of -1000 cannot be in the data?

    Returns:
        The bands in the order of the facts, and sentences that say how they were found.

    Raises:
        InputError: for an unknown sensor.
    """
    names, how = _names(facts, options)
    sensors = _sensors(facts, options, names)
    bands, doubt = _with_common_names(names, sensors)
    bands = tuple(replace(band, nodata=fact.nodata) for band, fact in zip(bands, facts.bands, strict=True))
    assumption = _Assumption.of(facts, options, sensors, looks_unshifted)
    if sensors and not doubt and any(describe_band(sensors[0], name) for name in names):
        how += f"; sensor {_or(assumption.sensors)}" + (" as given" if options.sensor else " by band names")
    bands, scaling = _scaled(bands, facts, options, assumption)
    return BandSet(bands), tuple(note for note in (how, doubt, scaling) if note)


def band_label(stem: str) -> str:
    """The part of a file's stem that names its band ("T10SGJ_20200802_B04_10m" -> "B04"), else the whole stem."""
    tokens = re.sub(r"[_-]\d+m$", "", stem).split("_")
    for start in range(len(tokens)):
        label = "_".join(tokens[start:])
        long_enough = start == 0 or len(label) > 2 or any(ch.isdigit() for ch in label)
        if long_enough and is_band_name(label):
            return label
    return stem


def is_band_name(text: str) -> bool:
    """True for common names and for the band names of any known sensor."""
    return common_name_of(text) is not None or any(describe_band(sensor, text) for sensor in SENSORS.values())


def _names(facts: SceneFacts, options: SceneOptions) -> tuple[tuple[str, ...], str]:
    descriptions = tuple(fact.description for fact in facts.bands)
    numbers = tuple(str(i) for i in range(1, len(descriptions) + 1))
    source = "file name" if all(fact.named_by_file for fact in facts.bands) else "description"
    colours = tuple(_COLOURS.get(fact.colour) for fact in facts.bands)
    if options.bands is not None:
        return descriptions, "bands as given"
    if any(descriptions):
        names = tuple(name or number for name, number in zip(descriptions, numbers, strict=True))
        if len(set(names)) == len(names):
            return names, f"bands by {source}"
        return numbers, f"bands numbered: the same {source} occurs twice"
    if options.sensor in SENSORS and len(SENSORS[options.sensor].bands) == len(numbers):
        return SENSORS[options.sensor].band_set().names, f"bands in the order of the sensor {options.sensor}"
    if {"red", "green", "blue"} <= set(colours) and len(set(filter(None, colours))) == sum(map(bool, colours)):
        names = tuple(colour or number for colour, number in zip(colours, numbers, strict=True))
        return names, "bands from the declared colour interpretation"
    return numbers, "bands numbered: the file has no band descriptions and declares no colours; name them with --bands"


def _sensors(facts: SceneFacts, options: SceneOptions, names: tuple[str, ...]) -> tuple[Sensor, ...]:
    """The sensors that fit what is declared; several where that leaves it open."""
    if options.sensor is not None:
        if options.sensor not in SENSORS:
            raise InputError(f"unknown sensor {options.sensor!r}; known are {', '.join(SENSORS)}")
        return (SENSORS[options.sensor],)
    numbered = [name for name in names if common_name_of(name) is None and is_band_name(name)]
    commons = {common for name in names if (common := common_name_of(name))}
    product = _product(facts)
    if numbered:
        fitting = _by_spelling(sensors_with(numbered), names)
    elif product and commons:
        fitting = tuple(s for s in SENSORS.values() if commons <= set(s.band_set().common_names))
    else:
        return ()
    declared = tuple(sensor for sensor in fitting if product and sensor.name.startswith(product))
    return declared or (fitting if numbered else ())


def _by_spelling(sensors: tuple[Sensor, ...], names: tuple[str, ...]) -> tuple[Sensor, ...]:
    """Only Sentinel-2 and the harmonised Landsat (HLS) write B02 for B2, and HLS Landsat has no B08."""
    if not any(re.fullmatch(r"B0\d", name, re.IGNORECASE) for name in names):
        return sensors
    families = ("sentinel-2",) if "b8" in map(canonical_band_name, names) else ("sentinel-2", "landsat-8", "landsat-9")
    return tuple(sensor for sensor in sensors if sensor.name.startswith(families))


def _product(facts: SceneFacts) -> str | None:
    """The beginning of the sensor's name that tags and file names declare ("landsat-8", "sentinel-2-l2a"), or None."""
    for label in (*_tag_values(facts, _NAME_TAGS), *facts.labels):
        if found := re.search(r"(?<![A-Za-z])L[COTEM]0?([4-9])_L([12])", label):
            return f"landsat-{found[1]}-l{found[2]}"
        if found := re.search(r"(?<![A-Za-z])L[COTEM]([4-9])\d{13}", label):
            return f"landsat-{found[1]}-l1"
        if found := re.search(r"(?<![A-Za-z])S2[A-D]_(?:MSI)?(L1C|L2A)?", label):
            return f"sentinel-2-{found[1].lower()}" if found[1] else "sentinel-2"
    for platform in _tag_values(facts, _PLATFORM_TAGS):
        if found := re.search(r"(landsat|sentinel)[-_ ]?(\d)", platform.lower()):
            return f"{found[1]}-{found[2]}"
    return None


def _with_common_names(names: tuple[str, ...], sensors: tuple[Sensor, ...]) -> tuple[tuple[Band, ...], str]:
    bands, doubtful = [], []
    for name in names:
        meanings = {band.common_name for sensor in sensors if (band := describe_band(sensor, name))}
        common = common_name_of(name) or (meanings.pop() if len(meanings) == 1 else None)
        if len(meanings) > 1 and common is None:
            doubtful.append(name)
        bands.append(Band(name=name, common_name=common))
    if not doubtful:
        return tuple(bands), ""
    return tuple(bands), f"{_listed(doubtful)} left without a meaning: it differs between {_or(sensors)}; pass --sensor"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Assumption:
    """The sensors whose scaling may be assumed for bands that declare none, and why these."""

    sensors: tuple[Sensor, ...]
    given: bool
    reason: str = ""

    @classmethod
    def of(
        cls,
        facts: SceneFacts,
        options: SceneOptions,
        sensors: tuple[Sensor, ...],
        looks_unshifted: Callable[[], bool],
    ) -> _Assumption:
        given = options.sensor is not None
        open_question = options.scale is None and any(map(_needs_scaling, facts.bands))
        if given or not open_question or not sensors or not all(s.name.startswith("sentinel-2") for s in sensors):
            return cls(sensors=sensors, given=given)
        before, reason = _is_before_offset(facts, looks_unshifted)
        chosen = tuple(sensor for sensor in sensors if sensor.name.endswith(_BEFORE) == before)
        return cls(sensors=chosen, given=False, reason=reason)

    def scalings(self, band: Band) -> set[tuple[float | None, float]]:
        """(scale, offset) of this band for every sensor that has it."""
        found = [self._band_of(sensor, band) for sensor in self.sensors]
        return {(known.scale, known.offset) for known in found if known is not None}

    def _band_of(self, sensor: Sensor, band: Band) -> Band | None:
        known = describe_band(sensor, band.name)
        if known is not None:
            return known
        if band.common_name is not None:
            position = sensor.band_set().find(band)
            return None if position is None else sensor.band_set()[position]
        unnamed = self.given and band.name.isdigit()
        return replace(band, scale=sensor.scale, offset=sensor.offset) if unnamed else None


def _scaled(
    bands: tuple[Band, ...], facts: SceneFacts, options: SceneOptions, assumption: _Assumption
) -> tuple[tuple[Band, ...], str]:
    scaled, disputed = [], list[str]()
    assumed = set[tuple[float, float]]()
    for band, fact in zip(bands, facts.bands, strict=True):
        scale, offset = (None, 0.0) if _is_default(fact) else (fact.scale, fact.offset)
        if _needs_scaling(fact) and options.scale is None:
            choices = assumption.scalings(band)
            if len(choices) == 1:
                scale, offset = choices.pop()
                if scale is not None:
                    assumed.add((scale, offset))
            elif choices:
                disputed.append(band.name)
        if options.scale is not None:
            scale, offset = options.scale, 0.0
        if options.offset is not None:
            scale, offset = 1.0 if scale is None else scale, options.offset
        scaled.append(replace(band, scale=scale, offset=offset))
    return tuple(scaled), _scaling_note(assumption, assumed, disputed)


def _scaling_note(assumption: _Assumption, assumed: set[tuple[float, float]], disputed: list[str]) -> str:
    if disputed:
        return (
            f"no scaling assumed for {_listed(disputed)}: the file declares none and it differs between "
            f"{_or(assumption.sensors)}; pass --sensor"
        )
    if not assumed:
        return ""
    numbers = " and ".join(f"{scale:g}" + (f" with offset {offset:g}" if offset else "") for scale, offset in assumed)
    why = f"the file declares none{assumption.reason and ' and '}{assumption.reason}"
    return f"{_ASSUMED} {numbers} from sensor {_or(assumption.sensors)}: {why}"


def says_assumed(note: str) -> bool:
    """True for the note that a scaling was assumed, not declared."""
    return note.startswith(_ASSUMED)


def _is_default(fact: BandFacts) -> bool:
    return (fact.scale, fact.offset) == (1.0, 0.0)


def _needs_scaling(fact: BandFacts) -> bool:
    """A sensor's scaling is of its 16-bit products; bytes are renderings and floats are calibrated already."""
    return _is_default(fact) and fact.dtype in ("uint16", "int16", "uint32", "int32")


def _is_before_offset(facts: SceneFacts, looks_unshifted: Callable[[], bool]) -> tuple[bool, str]:
    """True where Sentinel-2 data carry no offset of -1000 (processing baselines before 04.00), and the evidence."""
    baseline = _baseline(facts)
    if baseline is not None:
        return baseline < _OFFSET_BASELINE, f"the processing baseline is {baseline:05.2f}"
    acquired = acquired_on(facts)
    if acquired is not None and acquired < _OFFSET_SINCE:
        return True, f"its date {acquired} is before processing baseline 04.00"
    if looks_unshifted():
        return True, "its processing baseline is unknown, but many DN lie below 1000, so no offset of -1000 is in them"
    return False, "its processing baseline is unknown, but hardly any DN lies below 1000, as if offset by -1000"


def _baseline(facts: SceneFacts) -> float | None:
    for value in _tag_values(facts, _BASELINE_TAGS):
        if re.fullmatch(r"\d\d?\.\d\d", value):
            return float(value)
    for label in (*_tag_values(facts, _NAME_TAGS), *facts.labels):
        found = re.search(r"_N(\d\d)(\d\d)_", label)
        if found and found[1] != "99":  # N9999 marks products of a user's own processor
            return float(f"{found[1]}.{found[2]}")
    return None


def acquired_on(facts: SceneFacts) -> date | None:
    """The first date in the tags that tell when a scene was taken, else in the names of its files and folders."""
    for text in (*_tag_values(facts, _DATE_TAGS), *facts.labels):
        for found in re.finditer(r"(?<!\d)((?:19|20)\d\d)-?(0[1-9]|1[0-2])-?(0[1-9]|[12]\d|3[01])(?!\d)", text):
            with suppress(ValueError):  # the 30th of February
                return date(int(found[1]), int(found[2]), int(found[3]))
    return None


def _tag_values(facts: SceneFacts, keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(facts.tags[key] for key in keys if key in facts.tags)


def _or(sensors: tuple[Sensor, ...]) -> str:
    return " or ".join(sensor.name for sensor in sensors)


def _listed(names: list[str]) -> str:
    return f"band {names[0]}" if len(names) == 1 else f"bands {', '.join(names)}"
