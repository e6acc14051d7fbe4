"""What a training is made of, so that it is only taken up again by the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from geoseg.core.provenance import Provenance
from geoseg.training.config import TrainConfig

_LIBRARIES = ("geoseg", "torch", "numpy")
_NO_MATTER = ("name", "description", "cache", "fit.workers", "fit.tensorboard")  # the weights do not depend on them


def identity(config: TrainConfig, inputs: Mapping[str, str], split: str) -> dict[str, str]:
    """Everything that the weights depend on, by name: versions, inputs, the split, and every key of the config.

    Args:
        config: of the training.
        inputs: fingerprints of scenes and labels by name.
        split: the split's fingerprint.
    """
    versions = Provenance.now(inputs={}).versions
    found = {f"version of {name}": versions.get(name, "unknown") for name in _LIBRARIES}
    found |= {f"content of {name}": value for name, value in inputs.items()}
    found["split"] = split
    keys = dict(_flat("", config.model_dump(mode="json")))
    return found | {key: value for key, value in keys.items() if key not in _NO_MATTER}


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs, a phrase each; long values are cut short."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return tuple(f"{name} was {_short(before.get(name))}, is {_short(now.get(name))}" for name in names)


def _short(value: str | None) -> str:
    if value is None:
        return "not there"
    return value if len(value) <= 16 else f"{value[:12]}..."


def _flat(name: str, value: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401 (whatever JSON holds)
    """Plain values by their dotted place."""
    if isinstance(value, list | dict) and value:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from _flat(f"{name}.{key}" if name else str(key), part)
    else:
        yield name, str(value)
