"""Functions compiled by numba."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import numba

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """The decorator of numba, with the function's type kept; the compiled function lets other threads run."""
    try:
        return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # no folder for a cache is writable, not even the user's: compile in every process
        return cast("Callable[P, R]", numba.njit(nogil=True)(function))
