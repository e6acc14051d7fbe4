"""Where each tensor lies in a safetensors file: a header of names, kinds and shapes before raw little-endian numbers.

Format: https://github.com/huggingface/safetensors (8 bytes header length, JSON header, data without holes). Read here
without torch, so that a bundle can be checked, and its graph point into the file, before any library loads it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from geoseg.errors import BundleError

_HEADER_LIMIT = 16 << 20  # bytes; a network of ten thousand tensors needs about one MB
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U8": 1, "BOOL": 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One tensor: its kind as safetensors calls it ("F32"), shape, first byte in the file and length in bytes."""

    dtype: str
    shape: tuple[int, ...]
    offset: int
    length: int


def read_layout(file: IO[bytes], size: int) -> dict[str, Place]:
    """The place of every tensor, by name, of an open safetensors file of `size` bytes.

    Raises:
        BundleError: if the header is damaged, or its tensors do not fill the file exactly.
    """
    length = int.from_bytes(file.read(8), "little")
    if not 2 <= length <= min(_HEADER_LIMIT, size - 8):
        raise BundleError(f"the weights are damaged: their header claims {length} bytes of {size}; get the file again")
    try:
        header = json.loads(file.read(length))
        header.pop("__metadata__", None)
        layout = {str(name): _place(entry, 8 + length) for name, entry in header.items()}
    except (ValueError, AttributeError, KeyError, TypeError) as error:
        raise BundleError(f"the weights are damaged: their header is not readable ({error}); get it again") from None
    _check_filled(layout, 8 + length, size)
    return layout


def _place(entry: Mapping[str, Any], start: int) -> Place:
    first, end = entry["data_offsets"]
    place = Place(dtype=entry["dtype"], shape=tuple(entry["shape"]), offset=start + first, length=end - first)
    if min(first, *place.shape, 0) < 0 or place.length != math.prod(place.shape) * _BYTES[place.dtype]:
        msg = f"{place.dtype} of shape {place.shape} in {place.length} bytes"
        raise ValueError(msg)
    return place


def _check_filled(layout: Mapping[str, Place], start: int, size: int) -> None:
    end = start
    for name, place in sorted(layout.items(), key=lambda item: (item[1].offset, item[1].length)):
        if place.offset != end:
            raise BundleError(f"the weights are damaged: {name} starts at byte {place.offset}, not {end}; get it again")
        end += place.length
    if end != size:
        raise BundleError(f"the weights are damaged: {size} bytes instead of {end}; get the file again")
