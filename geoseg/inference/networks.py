"""What infers a scene: one network or the mean of several, seen once or, augmented, from several sides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from geoseg.core.identity import flat
from geoseg.inference.contract import Fit
from geoseg.inference.precision import Choice, open_for_scene
from geoseg.models.ensemble import Ensemble
from geoseg.models.runtime import RuntimeOptions
from geoseg.models.runtime.augmented import augmented
from geoseg.models.runtime.averaged import AveragedRuntime
from geoseg.models.runtime.protocol import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Networks:
    """The runtime, its precision, and what its numbers depend on beside the models' content, by name."""

    runtime: Runtime
    choice: Choice
    identity: Mapping[str, str]


def open_networks(fit: Fit, ensemble: Ensemble, options: RuntimeOptions, precision: str, tta: str) -> Networks:
    """Make the networks of an ensemble ready for a scene that fits it.

    Each is opened as `open_for_scene` has it, with a precision of its own where that is "auto"; which is judged by
    single networks without test-time augmentation. All are held at the same time.

    Raises:
        InputError: see there; or an unknown augmentation.
        BundleError: a bundle's weights or graph are damaged.
    """
    bands = (fit.bands, *fit.others)
    fits = [replace(fit, bands=own, others=()) for own in bands]
    opened = [
        open_for_scene(own, bundle, options, precision) for own, bundle in zip(fits, ensemble.bundles, strict=True)
    ]
    runtimes = [runtime for runtime, _ in opened]
    network = runtimes[0] if len(runtimes) == 1 else AveragedRuntime(runtimes)
    statistics = [[asdict(band) for band in own] for own in bands]
    return Networks(
        runtime=augmented(network, tta, ensemble.spec.stride),
        choice=_joined(ensemble.names, [choice for _, choice in opened], tta),
        identity={
            "runtime": network.name,
            "test-time augmentation": tta,
            **dict(flat({"bands": statistics[0], **dict(zip(_further(ensemble), statistics[1:], strict=True))})),
        },
    )


def _further(ensemble: Ensemble) -> list[str]:
    return [f"bands for {name}" for name in ensemble.names[1:]]


def _joined(names: Sequence[str], choices: Sequence[Choice], tta: str) -> Choice:
    """One choice that tells of all."""
    first = choices[0]
    compared = any(choice.compared for choice in choices)
    precision, reason = first.precision, first.reason
    if any(choice != first for choice in choices):
        precision = " and ".join(dict.fromkeys(choice.precision for choice in choices))
        reason = "; ".join(f"{name} in {c.precision}: {c.reason}" for name, c in zip(names, choices, strict=True))
    if compared and tta != "none":
        reason += "; compared without test-time augmentation"
    return Choice(precision=precision, reason=reason, compared=compared)
