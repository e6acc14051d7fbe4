"""How torchgeo's datasets and errors are named in messages."""

from __future__ import annotations


def class_name(dataset: object) -> str:
    """Of a dataset."""
    return type(dataset).__name__


def one_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
