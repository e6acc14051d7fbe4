"""What a work is made of, by name, so that it is only taken up again by the same one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def flat(value: Any, name: str = "") -> Iterator[tuple[str, str]]:  # noqa: ANN401 (whatever JSON holds)
    """Plain values as text, by their dotted place."""
    if isinstance(value, list | tuple | dict) and value:
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        for key, part in parts:
            yield from flat(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, str(value)


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> tuple[str, ...]:
    """What differs, a phrase each; long values are cut short."""
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return tuple(f"{name} was {_short(before.get(name))}, is {_short(now.get(name))}" for name in names)


def listed(found: tuple[str, ...], most: int = 3) -> str:
    """Some phrases, and how many more there are."""
    return "; ".join((*found[:most], *([f"and {len(found) - most} more"] if len(found) > most else [])))


def _short(value: str | None) -> str:
    if value is None:
        return "not there"
    return value if len(value) <= 16 else f"{value[:12]}..."
