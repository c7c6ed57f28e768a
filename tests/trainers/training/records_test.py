"""Tests of the reader of JSON records, which users may edit or damage."""

import json
import math

import pytest

from trainers.errors import UserError
from trainers.training.records import check_form, read_record, reading

FORM = {"epochs": int | float, "test": ({"perplexity": float},), "settings": dict}


@pytest.mark.parametrize("test", [{}, {"test": None}, {"test": {"perplexity": 2.0, "loss": []}}])
def test_a_record(tmp_path, test):
    record = {"epochs": 2, "settings": {}, "more": "keys", **test}
    path = tmp_path / "record.json"
    path.write_text(json.dumps(record))
    assert read_record(path, FORM, "Restore it.") == {"test": None, **record}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings": None}, "settings must be of type dict. Received: None"),
        ({"settings": "x" * 100}, "settings must be of type dict. Received: 'x"),
        ({"settings": [1]}, r"settings must be of type dict. Received: \[1\]"),
        ({"epochs": "3"}, "epochs must be of type int | float. Received: '3'"),
        ({"epochs": math.nan}, "epochs must be of type int | float. Received: nan"),
        ({"epochs": 10**400}, "epochs must be of type int | float. Received: 1000"),
        ({"test": []}, r"test must be of type dict. Received: \[\]"),
        ({"test": {}}, "perplexity must be of type float. Received: None"),
    ],
)
def test_another_form(changes, message):
    with pytest.raises(ValueError, match=message) as error:
        check_form({"epochs": 2, "settings": {}, **changes}, FORM)
    assert len(str(error.value)) < 140


@pytest.mark.parametrize("content", ["", "[]", '{"epochs": 3', '"x"', "null", "[" * 10**5, "\xff"])
def test_a_damaged_file(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_text(content, encoding="latin-1")
    with pytest.raises(UserError, match=r"record.json cannot be read \(.*\). Restore it.$"):
        read_record(path, FORM, "Restore it.")


def test_an_interruption_is_not_an_error_of_the_file():
    with pytest.raises(KeyboardInterrupt), reading("file", "Restore it."):
        raise KeyboardInterrupt
