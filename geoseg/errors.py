"""What can go wrong, as few exception types as the command line needs to tell apart.

Every message says what was found, what was needed and what to do, in one line.
"""

from __future__ import annotations

from typing import ClassVar


class GeosegError(Exception):
    """Base of every error that geoseg raises on purpose; `exit_code` is what the command line ends with."""

    exit_code: ClassVar[int] = 3


class InputError(GeosegError, ValueError):
    """An input cannot be used: a value, a file's content, or two inputs that do not fit each other."""


class MissingFileError(InputError, FileNotFoundError):
    """An input file or folder is not there."""

    # what `MissingFileError()` takes; who looks it up by name, as pickling in a cluster does, would find ValueError's
    __new__ = FileNotFoundError.__new__  # type: ignore[assignment]


class ContractError(InputError):
    """A scene was refused by the input contract of a bundle."""


class BundleError(InputError):
    """A bundle is damaged, of another schema version, or holds something that may not be in it."""


class OutputError(GeosegError, OSError):
    """An output exists already, has an unknown suffix, or cannot be written."""


class MissingExtraError(GeosegError, ImportError):
    """An optional package is needed for this and is not installed."""
