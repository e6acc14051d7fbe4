from __future__ import annotations

import pickle

import pytest

from geoseg import errors

KINDS = {
    errors.InputError: (ValueError, 3),
    errors.MissingFileError: (FileNotFoundError, 3),
    errors.ContractError: (ValueError, 3),
    errors.BundleError: (ValueError, 3),
    errors.OutputError: (OSError, 3),
    errors.MissingExtraError: (ImportError, 3),
}


def test_every_error_is_listed_here():
    defined = {e for e in vars(errors).values() if isinstance(e, type) and issubclass(e, errors.GeosegError)}
    assert defined - {errors.GeosegError} == set(KINDS)


@pytest.mark.parametrize(("error", "kind", "exit_code"), [(e, *kind) for e, kind in KINDS.items()])
def test_an_error_is_ours_and_a_standard_kind_with_its_exit_code(error, kind, exit_code):
    assert issubclass(error, errors.GeosegError)
    assert issubclass(error, kind)
    assert error.exit_code == exit_code


@pytest.mark.parametrize("error", KINDS)
def test_who_makes_one_by_its_class_alone_can(error):
    """As clusters do, which pickle errors in a way of their own."""
    assert type(error.__new__(error, "found this")) is error


@pytest.mark.parametrize("error", KINDS)
def test_a_message_stays_one_plain_line_also_through_another_process(error):
    message = "found this, needed that: do so"
    copy = pickle.loads(pickle.dumps(error(message)))  # noqa: S301 -- our own bytes
    assert str(copy) == message
    assert type(copy) is error
