"""What a training is made of, so that it is only taken up again by the same one."""

from __future__ import annotations

from collections.abc import Mapping

from geoseg.core.identity import flat
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
    keys = dict(flat(config.model_dump(mode="json")))
    return found | {key: value for key, value in keys.items() if key not in _NO_MATTER}
