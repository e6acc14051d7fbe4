"""Bundles that map a scene together."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from geoseg.core.legend import Legend
from geoseg.errors import InputError
from geoseg.models.bundle import Bundle
from geoseg.models.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensemble:
    """Bundles whose class probabilities are averaged; one alone is an ensemble, too.

    All have the same bands and indices in the same order, classes (codes and names) in the same order, and GSD.
    Networks, strides, means and standard deviations may differ, since each gets channels of its own. Colours and
    parents of the classes are those of the first.

    Raises:
        InputError: for none, one that comes twice, or bundles that do not belong together; every difference is named.
    """

    bundles: tuple[Bundle, ...]

    def __post_init__(self) -> None:
        if not self.bundles:
            raise InputError("found no model, needed at least one")
        seen: dict[str, str] = {}
        for bundle, name in zip(self.bundles, self.names, strict=True):
            if bundle.sha256 in seen:
                raise InputError(f"{name} is the same model as {seen[bundle.sha256]}; name each model once")
            seen[bundle.sha256] = name
            differing = "; ".join(_differences(self.bundles[0].spec, bundle.spec))
            if differing:
                raise InputError(
                    f"{name} cannot be averaged with {self.names[0]}: {differing}; models that are averaged need the "
                    "same bands, indices and classes in the same order, and the same GSD"
                )

    @property
    def spec(self) -> ModelSpec:
        """The contract of the first, with a stride that suits all."""
        spec = self.bundles[0].spec
        return replace(spec, stride=math.lcm(*(bundle.spec.stride for bundle in self.bundles)))

    @property
    def names(self) -> tuple[str, ...]:
        """File names in order, or paths where two files share a name."""
        names = [bundle.path.name for bundle in self.bundles]
        return tuple(
            name if names.count(name) == 1 else str(bundle.path)
            for name, bundle in zip(names, self.bundles, strict=True)
        )

    @property
    def hashes(self) -> Mapping[str, str]:
        """The sha256 of every file, by name."""
        return {name: bundle.sha256 for name, bundle in zip(self.names, self.bundles, strict=True)}


def as_ensemble(model: Bundle | Ensemble) -> Ensemble:
    """A bundle as an ensemble of one."""
    return model if isinstance(model, Ensemble) else Ensemble(bundles=(model,))


def _differences(wanted: ModelSpec, found: ModelSpec) -> Iterator[str]:
    pairs = {
        "bands": (wanted.bands.text, found.bands.text),
        "indices": (", ".join(wanted.indices) or "none", ", ".join(found.indices) or "none"),
        "classes": (_classes(wanted.legend), _classes(found.legend)),
        "GSD": (f"{wanted.gsd_m:g} m", f"{found.gsd_m:g} m"),
    }
    for what, (needed, there) in pairs.items():
        if needed != there:
            yield f"found the {what} {there}, needed {needed}"


def _classes(legend: Legend) -> str:
    return ", ".join(f"{c.code} {c.name}" for c in legend)
