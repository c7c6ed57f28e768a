"""Tests of the numbers that bound a request."""

import dataclasses

import pytest

from serving.limit_settings import Limits

NAMES = [field.name for field in dataclasses.fields(Limits)]


@pytest.mark.parametrize("value", [0, -1, 2**31, 1.5, True, None])
def test_a_limit_is_a_positive_integer(value):
    with pytest.raises(ValueError, match=r"max_words must be a positive integer.*Received: "):
        Limits(max_words=value)


@pytest.mark.parametrize("name", NAMES)
def test_every_limit_is_checked_and_named(name):
    with pytest.raises(ValueError) as error:
        Limits(**{name: -7})
    assert str(error.value) == f"{name} must be a positive integer below 2**31. Received: -7"
    for value in (1, 2**31 - 1):  # what an int32 of the graph can hold
        assert dataclasses.asdict(Limits(**{name: value})) == {
            **dataclasses.asdict(Limits()),
            name: value,
        }


def test_limits_do_not_change():
    limits = Limits()
    with pytest.raises(dataclasses.FrozenInstanceError):
        limits.max_k = 2
    # Two of the same numbers are the same limits: they may stand for each other as a key.
    assert {limits: "found"}[Limits()] == "found"
