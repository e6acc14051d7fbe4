"""What the pages say to type is valid."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from geoseg.data.augment.plan import every_technique
from geoseg.training.config import TrainConfig

PAGE = (Path(__file__).parents[2] / "docs" / "ground-truth.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(block.split("```")[0]) for block in PAGE.split("```yaml")[1:]]
LEAST = {
    "scenes": [{"path": "a.tif", "labels": "b.tif"}],
    "classes": [{"code": 1, "name": "a", "colour": "#000000"}, {"code": 2, "name": "b", "colour": "#ffffff"}],
    "model": {"bands": ["red"], "gsd_m": 10},
}


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: next(iter(block)))
def test_every_block_of_a_config_is_valid(block):
    assert TrainConfig.model_validate(LEAST | block)


def test_every_augmentation_is_named():
    names = every_technique(32).techniques
    assert len(names) == 25
    assert all(f"`{name}`" in PAGE for name in names)
