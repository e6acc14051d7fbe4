from __future__ import annotations

import numpy as np
import pytest

from geoseg.core.legend import UNLABELLED, LandClass, Legend
from geoseg.errors import InputError


def land_class(code=1, name="water", colour="#1030ff"):
    return LandClass(code=code, name=name, colour=colour)


@pytest.fixture
def legend():
    return Legend((land_class(11, "water"), land_class(42, "forest"), land_class(0, "barren")))


def test_a_colour_is_three_numbers():
    assert land_class(colour="#10fF00").rgb == (16, 255, 0)


@pytest.mark.parametrize("colour", ["", "red", "#12345", "#1234567", "123456", "#12345g", "#123456\n"])
def test_a_bad_colour_is_refused_by_name(colour):
    with pytest.raises(InputError, match=r"'water'.*#rrggbb"):
        land_class(colour=colour)


@pytest.mark.parametrize("code", [-1, 255, 256])
def test_a_code_outside_of_0_to_254_is_refused_in_masks_and_labels(code):
    legend = Legend((land_class(code=code),))
    with pytest.raises(InputError, match=f"0 to 254, got {code}"):
        legend.codes  # noqa: B018


@pytest.mark.parametrize("code", [-(2**31) - 1, 2**31])
def test_a_code_of_more_than_32_bits_is_refused(code):
    with pytest.raises(InputError, match="32 bits"):
        land_class(code=code)


@pytest.mark.parametrize("code", [0, 254])
def test_the_outermost_codes_are_good(code):
    assert Legend((land_class(code),)).codes.tolist() == [code]


def test_a_class_needs_a_name():
    with pytest.raises(InputError, match="code 1 needs a name"):
        land_class(name="  ")


@pytest.mark.parametrize(
    "classes",
    [(), (land_class(1, "a"), land_class(1, "b")), (land_class(1, "a"), land_class(2, "a"))],
    ids=["no class", "one code twice", "one name twice"],
)
def test_an_ambiguous_or_empty_legend_is_refused(classes):
    with pytest.raises(InputError, match="unique codes and names"):
        Legend(classes)


def test_the_order_of_the_classes_is_the_order_of_the_model(legend):
    assert [c.name for c in legend] == ["water", "forest", "barren"]
    assert (len(legend), legend[1].code) == (3, 42)
    assert legend.codes.dtype == np.uint8
    assert legend.to_codes(np.array([[2, 1], [0, UNLABELLED]], dtype=np.uint8)).tolist() == [[0, 42], [11, 255]]


@pytest.mark.parametrize("index", [3, 254, -1, -256, 256, 1000])
def test_an_index_without_a_class_is_an_error(legend, index):
    with pytest.raises(IndexError, match=f"class index {index} in a legend of 3 classes"):
        legend.to_codes(np.array([0, index], dtype=np.int64))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "int64", "float32", "float64"])
def test_labels_of_any_number_type_become_indices(legend, dtype):
    codes = np.array([[11, 42], [0, 7]], dtype=dtype)
    indices = legend.to_indices(codes)
    assert indices.tolist() == [[0, 1], [2, UNLABELLED]]
    assert indices.dtype == np.uint8
    assert legend.unknown_codes(codes) == (7,)


def test_numbers_that_are_no_code_become_unlabelled(legend):
    # 267 = 256 + 11 and -245 = 11 - 256 would be water if the numbers were only wrapped into uint8
    codes = np.array([np.nan, -1, -245, 255, 267, 11.5, np.inf, -np.inf])
    assert (legend.to_indices(codes) == UNLABELLED).all()


def test_unknown_codes_are_told_but_unlabelled_and_nan_are_not(legend):
    codes = np.array([300, -1, 11, 255, 11.5, 7, 7, np.nan])
    assert legend.unknown_codes(codes) == (-1, 7, 11.5, 300)
    assert legend.unknown_codes(np.array([0, 11, 42, 255], dtype=np.uint8)) == ()
