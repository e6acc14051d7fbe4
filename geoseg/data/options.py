"""What the options of this room share: they are checked wherever they come from, a YAML file or Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, ValidationInfo

STRICT = ConfigDict(extra="forbid", use_attribute_docstrings=True)
"""For `pydantic.dataclasses.dataclass`: unknown keys are refused; the text below a field describes it in the schema."""

Chance = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]


def _rising(pair: tuple[float, float]) -> tuple[float, float]:
    if not pair[0] <= pair[1]:
        msg = f"the first number must not be above the second, found {pair[0]:g} and {pair[1]:g}"
        raise ValueError(msg)
    return pair


Range = Annotated[tuple[float, float], AfterValidator(_rising)]
"""From, to: a number is drawn uniformly between them."""
NotNegativeRange = Annotated[tuple[NotNegative, NotNegative], AfterValidator(_rising)]
PositiveRange = Annotated[tuple[Positive, Positive], AfterValidator(_rising)]
ShareRange = Annotated[tuple[Chance, Chance], AfterValidator(_rising)]


def _from_folder(path: Path, info: ValidationInfo[Any]) -> Path:
    folder = (info.context or {}).get("folder")
    return path if folder is None else Path(folder) / path


LocalPath = Annotated[Path, AfterValidator(_from_folder)]
"""A path that, read from a config file, counts from the file's own folder (given as the validation's context)."""
