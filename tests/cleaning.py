"""Cleaning of label rasters once more, as plain as its rules are said: for comparison, on small rasters."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

SIDES = ((0, 1), (1, 0), (0, -1), (-1, 0))


def areas_of(codes):
    """A mask of each 4-connected area of one class, by rising first pixel."""
    masks = []
    for code in np.unique(codes[codes != np.iinfo(codes.dtype).max]):
        numbers, count = ndimage.label(codes == code)
        masks += [numbers == number for number in range(1, count + 1)]
    return sorted(masks, key=lambda mask: np.flatnonzero(mask)[0])


def borders_of(mask):
    """The pixels on the other side of every pixel edge around an area; None = outside of the raster."""
    for row, col in np.argwhere(mask):
        for down, along in SIDES:
            other = row + down, col + along
            if min(other) < 0 or other[0] >= mask.shape[0] or other[1] >= mask.shape[1]:
                yield None, down
            elif not mask[other]:
                yield other, down


def sieve(codes, limit, weights, sides=(1, 1)):
    """Labels, areas merged and areas kept; `weights` is the area of a pixel by row, `sides` those along and down."""
    codes, nodata = codes.copy(), np.iinfo(codes.dtype).max
    merged, kept = 0, set()
    while True:
        small = []
        for mask in areas_of(codes):
            area, first = (mask.sum(axis=1) * weights).sum(), np.flatnonzero(mask)[0]
            if area < limit and first not in kept:
                small.append((area, first, mask))
        if not small:
            return codes, merged, len(kept)
        _, first, mask = min(small, key=lambda entry: entry[:2])
        border = {}
        for other, down in borders_of(mask):
            if other is not None and codes[other] != nodata:
                length, earliest = border.get(codes[other], (0, codes.size))
                pixel = other[0] * codes.shape[1] + other[1]
                border[codes[other]] = length + sides[0 if down else 1], min(earliest, pixel)
        if border:
            codes[mask] = min(border, key=lambda code: (-border[code][0], border[code][1]))
            merged += 1
        else:
            kept.add(first)


def fill_holes(codes, limit, weights):
    """Labels and how many areas were filled."""
    masks = areas_of(codes)
    numbers = np.full(codes.shape, -1)
    for number, mask in enumerate(masks):
        numbers[mask] = number
    size = [(mask.sum(axis=1) * weights).sum() for mask in masks]
    label = [codes[mask][0] for mask in masks]
    beyond = [{-1 if other is None else int(numbers[other]) for other, _ in borders_of(mask)} for mask in masks]
    is_open = [area >= limit or -1 in others for area, others in zip(size, beyond, strict=True)]
    before = None
    while before != is_open:
        before = is_open
        is_open = [
            here or len({label[other] for other in others if before[other]}) > 1
            for here, others in zip(before, beyond, strict=True)
        ]
    closed = {number for number in range(len(masks)) if not is_open[number]}
    fills = {}
    for group in parts(closed, beyond):
        around = {label[other] for member in group for other in beyond[member] if is_open[other]}
        if len(around) == 1 and sum(size[member] for member in group) < limit:
            fills |= dict.fromkeys(group, around.pop())
        else:
            fills |= nested(group, beyond, size, label, limit, is_open)
    out = codes.copy()
    for member, code in fills.items():
        out[masks[member]] = code
    return out, len(fills)


def nested(group, beyond, size, label, limit, is_open):
    """The class of the outermost encloser of each member that has one."""
    largest = {}
    for encloser in group:
        for part in parts(group - {encloser}, beyond):
            area = sum(size[member] for member in part)
            if area < limit and not any(is_open[other] for member in part for other in beyond[member]):
                largest |= {
                    member: (area, label[encloser]) for member in part if area > largest.get(member, (0, None))[0]
                }
    return {member: code for member, (_, code) in largest.items()}


def parts(members, beyond):
    """Sets of members that hang together."""
    left = set(members)
    while left:
        part, queue = set(), [left.pop()]
        while queue:
            member = queue.pop()
            part.add(member)
            near = beyond[member] & left
            left -= near
            queue += near
        yield part


def majority(codes, size):
    """Labels."""
    out, nodata, halo = codes.copy(), np.iinfo(codes.dtype).max, size // 2
    for row, col in np.argwhere(codes != nodata):
        window = codes[max(0, row - halo) : row + halo + 1, max(0, col - halo) : col + halo + 1].ravel()
        order = [codes[row, col], *(code for code in window if code != nodata)]
        out[row, col] = max(order, key=lambda code: (window == code).sum())  # of equal ones the first
    return out
