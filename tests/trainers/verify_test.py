"""Tests of the command that verifies a machine."""

import importlib
import math
import re

import numpy as np
import pytest

from tests.trainers.in_process import run_command
from trainers.commands.verify import largest_error, relative_error
from trainers.verification import kernels, reference_vectors, resume

lstm_module = importlib.import_module("awd_keras.ops.lstm")


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_right_and_a_wrong_kernel(capfd, monkeypatch, factor):
    lstm_portable = lstm_module.lstm_portable

    def portable(*arguments, **options):
        outputs, h, c = lstm_portable(*arguments, **options)
        return factor * outputs, h, c

    monkeypatch.setattr(lstm_module, "lstm_portable", portable)
    monkeypatch.setattr(reference_vectors, "LIMITS", {"float32": 2e-5})
    monkeypatch.setattr(kernels, "LIMITS", {("portable", "bfloat16"): 5e-2})
    monkeypatch.setattr(kernels, "CELL_LIMITS", {("qrnn", "scan", "float32"): 2e-5})
    monkeypatch.setattr(kernels, "compare_xla_step", lambda: [("weights", [1.0], [1.0])])
    monkeypatch.setattr(resume, "compare_runs", lambda: [("weights", [1.0], [1.0])])
    ended = run_command(capfd, "trainers.verify")
    assert ended.code == (0 if factor == 1.0 else 1), ended
    result = "ok" if factor == 1.0 else "FAILED"
    assert re.search(rf"^reference vectors, float32 +{result} ", ended.stdout, re.MULTILINE)
    assert re.search(r"^resumed run, bit for bit +ok +0 +0 ", ended.stdout, re.MULTILINE)
    failed = 0 if factor == 1.0 else 1
    assert ended.stdout.endswith(f"{6 - failed} checks passed, {failed} failed\n")


def test_relative_error():
    assert relative_error(np.ones(3), np.ones(2)) == math.inf
    assert relative_error([0.5], [0.0]) == 0.5
    assert relative_error([1.0, 2.5], [1.0, 2.0]) == 0.25
    assert math.isnan(relative_error([math.nan, 5.0], [1.0, 1.0]))


def test_nan_is_the_largest_error():
    pairs = [("a", [math.nan], [1.0]), ("b", [9.0], [1.0]), ("c", [1.0], [1.0])]
    assert largest_error(lambda: pairs[1:]) == (8.0, "b")
    error, name = largest_error(lambda: pairs)
    assert math.isnan(error) and name == "a"


def test_exceptions():
    error, message = largest_error(lambda: 1 / 0)
    assert math.isnan(error) and message == "ZeroDivisionError: division by zero"
