"""The triangle filter against torch's interpolation with antialias."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from geoseg.core.resampling import resize


@pytest.mark.parametrize("scale", [0.75, 1.25, 0.8, 0.5, 0.35, 2])
@pytest.mark.parametrize(("rows", "cols"), [(40, 60), (20, 80)])
def test_it_is_what_torch_calls_bilinear_with_antialias(rows, cols, scale):
    values = np.random.default_rng(0).normal(size=(2, 3, rows, cols)).astype(np.float32)
    shape = round(rows * scale), round(cols * scale)
    precise = torch.from_numpy(values.astype(np.float64))  # in float32 torch's positions are cruder than this tolerance
    expected = torch.nn.functional.interpolate(precise, shape, mode="bilinear", antialias=True)
    np.testing.assert_allclose(resize(values, shape, scale), expected, rtol=0, atol=2e-6)
