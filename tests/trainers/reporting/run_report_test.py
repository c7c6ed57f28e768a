"""Tests of what a page is told of a run."""

import dataclasses
import inspect
import re

import pytest

from tests.trainers.reporting.reports import make_report, make_words
from trainers.reporting import RunReport, WordTables

MADE = {RunReport: make_report, WordTables: make_words}


@pytest.fixture(params=MADE, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


def values_of(report):
    return {field.name: getattr(report, field.name) for field in dataclasses.fields(report)}


def test_nothing_is_left_out(kind):
    """What a page does not tell must be said: None where there is none, an empty list."""
    values = values_of(MADE[kind]())
    assert kind(**values) == MADE[kind]()
    for name in values:
        others = {key: value for key, value in values.items() if key != name}
        with pytest.raises(TypeError, match=f"'{name}'"):
            kind(**others)


def test_every_argument_is_explained_in_its_order(kind):
    explained = re.findall(r"^    (\w+(?:, \w+)*): ", inspect.getdoc(kind), re.MULTILINE)
    names = [name for line in explained for name in line.split(", ")]
    assert names == list(values_of(MADE[kind]()))


def test_a_report_does_not_change(kind):
    report = MADE[kind]()
    for name in values_of(report):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(report, name, None)


def test_reports_that_say_the_same_are_equal():
    assert make_report(words=make_words()) == make_report(words=make_words())
    assert make_report(words=make_words(min_count=6)) != make_report(words=make_words())
