"""Contact sheets: what is on them is looked up in their pixels."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from factory import BANDS, LEGEND, reflectance_dn

from geoseg.data.augment.batch import Batch
from geoseg.data.augment.sensor.gain import Gain
from geoseg.errors import MissingExtraError, OutputError
from geoseg.views.sheet import SheetOptions, contact_sheet

image = pytest.importorskip("matplotlib.image")
MAGENTA, WATER = (255, 0, 255), (0x46, 0x6B, 0x9F)
TOP, LEFT = 40, 6  # where the first panel is: below the header and the row's title
NOTHING = Gain(gain=0, band_gain=0, offset=0)


@dataclass(frozen=True)
class ShiftRight:
    """A warp by whole pixels."""

    chance: float = 1.0
    by: int = 8

    def move(self, places, random):
        return places - torch.tensor([self.by, 0])


@dataclass(frozen=True)
class Brighter:
    """A change that is the same in every draw."""

    chance: float = 1.0
    by: float = 0.05

    def apply(self, batch, random):
        return replace(batch, values=batch.values + self.by)


def a_batch(chips=2, rows=32, cols=48, **changes):
    values = np.stack([reflectance_dn(rows, cols, seed=i) for i in range(chips)]) * 2e-5 - 0.1
    batch = Batch(
        values=torch.from_numpy(values.astype(np.float32)),
        valid=torch.ones((chips, rows, cols), dtype=torch.bool),
        labels=torch.zeros((chips, rows, cols), dtype=torch.uint8),
        soft=None,
        sun=torch.full((chips, 2), torch.nan),
        bands=BANDS,
        classes=3,
        gsd_m=30.0,
    )
    return replace(batch, **changes)


def drawn(tmp_path, batch, techniques, **options):
    out = tmp_path / "sheet.png"
    chosen = {"draws": 1, "panel": 96, "labels": "none"} | options
    contact_sheet(batch, techniques, LEGEND, out, options=SheetOptions(**chosen), overwrite=True)
    return (image.imread(out)[..., :3] * 255).round().astype(np.uint8)


def panel(sheet, row, column, height=64, width=96):
    y, x = TOP + row * (height + 26), LEFT + column * (width + 6)
    return sheet[y : y + height, x : x + width].astype(int)


def test_a_sheet_has_a_row_a_technique_and_a_column_a_draw(tmp_path):
    batch = a_batch()
    one = drawn(tmp_path, batch, {"a": NOTHING}, draws=5)
    two = drawn(tmp_path, batch, {"a": NOTHING, "b": NOTHING}, draws=6)
    assert two.shape[0] - one.shape[0] == 64 + 6 + 20
    assert two.shape[1] - one.shape[1] == 96 + 6
    assert drawn(tmp_path, batch, {"a": NOTHING}, draws=5, chips=2).shape[1] == 2 * 6 * (96 + 6) + 6
    assert (
        drawn(tmp_path, batch, {"a": NOTHING}, draws=5, chips=2, labels="beside").shape[1] == 12 * (96 + 2 + 48 + 6) + 6
    )


def test_panels_hold_the_chip_enlarged_in_true_colour_with_the_stretch_of_the_original(tmp_path):
    batch = a_batch()
    sheet = drawn(tmp_path, batch, {"same": NOTHING, "brighter": Brighter()})
    rgb = batch.values[0, [2, 1, 0]].numpy()
    low, high = np.quantile(rgb.reshape(3, -1), (0.02, 0.98), axis=1)[..., None, None]
    for row, added in enumerate((0, 0.05)):
        expected = (((rgb + added - low) / (high - low)).clip(0, 1) * 255).transpose(1, 2, 0)
        found = panel(sheet, row, 1)
        assert np.abs(found[::2, ::2] - expected).max() <= 1
        assert np.array_equal(found[::2, ::2], found[1::2, 1::2])
    assert np.array_equal(panel(sheet, 0, 0), panel(sheet, 1, 0))


def test_draws_differ_and_a_sheet_does_not(tmp_path):
    batch = a_batch()
    sheet = drawn(tmp_path, batch, {"gain": Gain(chance=0)}, draws=3)
    pictures = [panel(sheet, 0, column) for column in range(4)]
    assert all(not np.array_equal(pictures[i], pictures[j]) for i in range(4) for j in range(i))
    assert np.array_equal(sheet, drawn(tmp_path, batch, {"gain": Gain(chance=0)}, draws=3))
    assert not np.array_equal(sheet, drawn(tmp_path, batch, {"gain": Gain(chance=0)}, draws=3, seed=9))


def test_warps_are_drawn_and_what_they_uncover_is_invalid(tmp_path):
    moved = panel(drawn(tmp_path, a_batch(), {"shift": ShiftRight()}), 0, 1)
    assert ((moved[:, :16, 0] > 100) & (moved[:, :16, 1] == 0)).all()
    original = panel(drawn(tmp_path, a_batch(), {"shift": ShiftRight()}), 0, 0)
    assert np.abs(moved[:, 16:] - original[:, :-16]).max() <= 1


def test_the_sun_of_moved_ground_is_unknown(tmp_path):
    batch = a_batch()
    batch = replace(batch, values=batch.values * 0, sun=torch.tensor([[90.0, 40.0], [90.0, 40.0]]))
    sheet = drawn(tmp_path, batch, {"shift": ShiftRight(by=0)})
    assert panel(sheet, 0, 0).any()
    assert not panel(sheet, 0, 1).any()


def test_invalid_pixels_are_magenta_and_do_not_touch_the_stretch(tmp_path):
    batch = a_batch()
    valid = batch.valid.clone()
    valid[:, :4] = False
    pictures = []
    for garbage in (torch.nan, 65535.0):
        values = batch.values.where(valid[:, None], garbage)
        pictures.append(panel(drawn(tmp_path, replace(batch, values=values, valid=valid), {"same": NOTHING}), 0, 0))
    assert np.array_equal(*pictures)
    assert (pictures[0][:8] == MAGENTA).all(axis=-1).mean() > 0.8
    assert not (pictures[0][8:] == MAGENTA).all(axis=-1).any()


def test_labels_are_beside_or_outlined(tmp_path):
    labels = torch.full((2, 32, 48), 255, dtype=torch.uint8)
    labels[:, 8:16, 8:24] = 0
    batch = a_batch(labels=labels)
    plain = panel(drawn(tmp_path, batch, {"same": NOTHING}), 0, 0)
    beside = drawn(tmp_path, batch, {"same": NOTHING}, labels="beside")
    assert np.array_equal(panel(beside, 0, 0), plain)
    strip = beside[TOP : TOP + 32, LEFT + 98 : LEFT + 98 + 48]
    assert np.array_equal((strip == WATER).all(axis=-1), labels[0] == 0)
    outlined = panel(drawn(tmp_path, batch, {"same": NOTHING}, labels="outlines"), 0, 0)
    assert (outlined[16, 16:48] == WATER).all()
    assert (outlined[16:32, 47] == WATER).all()
    assert np.array_equal(outlined[17:31, 17:47], plain[17:31, 17:47])
    changed = (outlined != plain).any(axis=-1)
    assert 0.05 < changed[40:].mean() < 0.2, "unlabelled ground is hatched thinly"


def test_an_arrow_goes_away_from_a_known_sun(tmp_path):
    dark = a_batch()
    dark = replace(dark, values=dark.values * 0)
    ends = {0: (11, 22), 90: (22, 33), 180: (33, 22), 270: (22, 11)}  # where the dot of the sun is
    for azimuth, dot in ends.items():
        sun = torch.tensor([[azimuth, 40.0], [torch.nan, torch.nan]])
        sheet = drawn(tmp_path, replace(dark, sun=sun), {"same": NOTHING}, chips=2)
        arrow = panel(sheet, 0, 0)
        assert arrow[dot].sum() > 400
        bright = np.argwhere(arrow.sum(axis=-1) > 400)
        length, width = (np.ptp(bright[:, axis]) for axis in ((1, 0) if azimuth % 180 else (0, 1)))
        assert 15 < length < 35
        assert width < 0.6 * length
        assert (panel(sheet, 0, 2) == 0).all(), "no arrow where the sun is unknown"


@pytest.mark.parametrize("count", [1, 2])
def test_few_bands_are_shown_too(tmp_path, count):
    batch = a_batch()
    batch = replace(batch, values=batch.values[:, :count], bands=BANDS.select(range(count)))
    picture = panel(drawn(tmp_path, batch, {"same": NOTHING}), 0, 0)
    assert np.array_equal(picture[..., 0], picture[..., 1])
    assert picture.std() > 20


def test_small_and_empty_chips_make_a_sheet(tmp_path):
    assert drawn(tmp_path, a_batch(1, 1, 1), {"same": NOTHING}).shape[0] > 96
    nothing = a_batch(valid=torch.zeros((2, 32, 48), dtype=torch.bool))
    assert (panel(drawn(tmp_path, nothing, {"same": NOTHING}), 0, 0)[..., 1] == 0).all()


def test_outputs_are_refused_before_any_work(tmp_path):
    out = tmp_path / "sheet.jpg"
    with pytest.raises(OutputError, match=r"ends in \.png"):
        contact_sheet(a_batch(), {"bad": None}, LEGEND, out)
    out = tmp_path / "sheet.png"
    out.write_bytes(b"old")
    with pytest.raises(OutputError, match="exists already"):
        contact_sheet(a_batch(), {"bad": None}, LEGEND, out)
    assert out.read_bytes() == b"old"


def test_without_matplotlib_the_message_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"need matplotlib, .* pip install 'geoseg\[view\]'"):
        contact_sheet(a_batch(), {"same": NOTHING}, LEGEND, tmp_path / "sheet.png")
    assert not list(tmp_path.iterdir())


def test_importing_the_module_imports_no_matplotlib():
    code = "import sys, geoseg.views.sheet; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_pyplot_is_never_imported(tmp_path):
    before = "matplotlib.pyplot" in sys.modules
    drawn(tmp_path, a_batch(), {"same": NOTHING})
    assert ("matplotlib.pyplot" in sys.modules) == before
