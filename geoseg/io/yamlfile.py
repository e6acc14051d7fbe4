"""YAML files that people write: read, and checked against what they are to say."""

from __future__ import annotations

from pathlib import Path

import yaml
from pydantic import ValidationError

from geoseg.errors import InputError, MissingFileError


def read_yaml(path: Path) -> object:
    """The content of a file in plain values; None where it is empty.

    Raises:
        MissingFileError: no such file.
        InputError: it is not YAML, or cannot be read.
    """
    try:
        content: object = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise MissingFileError(f"{path}: no such file; check the path") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise InputError(f"{path}: not a readable YAML file: {' '.join(str(error).split())}") from error
    return content


def mistakes(error: ValidationError) -> str:
    """All that is wrong in one line; without what is wrong with a whole of which a part is told already."""
    found = [(e["loc"], e["msg"]) for e in error.errors()]
    places = [loc for loc, _ in found]
    return "; ".join(
        f"{_place(loc)}: {_reason(message)}"
        for loc, message in found
        if not any(len(other) > len(loc) and other[: len(loc)] == loc for other in places)
    )


def _place(loc: tuple[int | str, ...]) -> str:
    named = [str(part) for part in loc if str(part).replace("_", "").isalnum()]  # not: literal['auto']
    return ".".join(named) or "config"


def _reason(message: str) -> str:
    message = message.removeprefix("Value error, ").replace("Unexpected keyword argument", "there is no such option")
    return message.replace("Extra inputs are not permitted", "there is no such option")
