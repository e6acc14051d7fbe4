"""Random class rasters of any integer type."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

DTYPES = [np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32]


@st.composite
def class_rasters(draw):
    """Codes (row, col) of any integer type, and which of them is nodata."""
    dtype = draw(st.sampled_from(DTYPES))
    limits, int32 = np.iinfo(dtype), np.iinfo(np.int32)
    lowest, highest = max(limits.min, int32.min), min(limits.max, int32.max)
    values = draw(st.lists(st.integers(lowest, highest), min_size=2, max_size=5, unique=True))
    shape = draw(st.tuples(st.integers(1, 10), st.integers(1, 10)))
    codes = draw(arrays(dtype, shape, elements=st.sampled_from(values)))
    nodata = draw(st.sampled_from([None, *values]))
    if (codes == nodata).all():
        codes[0, 0] = next(value for value in values if value != nodata)
    return codes, nodata
