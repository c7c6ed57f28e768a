"""Tests of the command that verifies a machine."""

import functools
import importlib
import re

import pytest
import tensorflow as tf

from awd_keras.ops.lstm_portable import lstm_portable
from tests.trainers.in_process import assert_one_line, run_command
from trainers import verification
from trainers.verification import Check, kernels

MODULE = "trainers.verify"
lstm_module = importlib.import_module("awd_keras.ops.lstm")


@pytest.fixture
def command(capfd):
    tf.config.list_logical_devices()  # what TensorFlow says as it looks is not the command's
    return functools.partial(run_command, capfd, MODULE)


@pytest.fixture
def given_checks(monkeypatch):
    """Function that puts `Check`s in place of what is checked."""

    def give(**checks):
        for name in verification.CHECKS:
            monkeypatch.setitem(verification.CHECKS, name, lambda n=name: iter(checks.get(n, [])))

    return give


PASSED = Check("sum", 1.25e-7, 1e-5, "third row")
SKIPPED = Check("product", None, 1e-3, "TensorFlow sees no GPU", skipped=True)
FAILED = Check("quotient", 0.5, 1e-5, "by kernel")
BROKEN = Check("root", None, 0, "RuntimeError: no")


def test_the_table(command, given_checks):
    given_checks(reference=[PASSED], lstm=[SKIPPED], resume=[])
    ended = command()
    assert (ended.code, ended.stderr) == (0, "")
    versions, device, dtype, empty, *table, also_empty, last = ended.stdout.splitlines()
    assert f"TensorFlow {tf.__version__}" in versions
    assert device.startswith(("CPU: ", "GPU: ")) and dtype.startswith("runs multiply ")
    assert empty == also_empty == ""
    assert [re.split(r"  +", line) for line in table] == [
        ["check", "result", "figure", "at most", "where"],
        ["sum", "ok", "1.2e-07", "1e-05", "third row"],
        ["product", "skipped: TensorFlow sees no GPU", "0.001"],
    ]
    assert re.fullmatch(r"1 checks passed, 1 skipped, 0 failed, in \d+ seconds", last)


@pytest.mark.parametrize("bad", [FAILED, BROKEN])
def test_a_failure(command, given_checks, bad):
    given_checks(reference=[PASSED], lstm=[bad], resume=[SKIPPED])
    ended = command()
    assert ended.code == 1
    assert re.search(rf"^{bad.name} +FAILED +.*{bad.detail}$", ended.stdout, re.MULTILINE)
    assert "1 checks passed, 1 skipped, 1 failed" in ended.stdout


def test_some_of_the_checks(command, given_checks):
    given_checks(reference=[FAILED], lstm=[PASSED], resume=[SKIPPED])
    ended = command("--checks=resume,lstm,resume")
    assert ended.code == 0
    assert ended.stdout.index("product") < ended.stdout.index("sum")
    assert "1 checks passed, 1 skipped, 0 failed" in ended.stdout


def test_the_flag_names_all_there_is():
    command = importlib.import_module(MODULE)
    assert list(command._CHECKS) == list(verification.CHECKS)


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("--checks=lstms", "--checks must be some of reference,lstm,resume. Received: lstms"),
        ("--checks=lstm,", "--checks must be some of"),
        ("--checks=", "--checks must be some of"),
        ("lstm", "expected flags only. Received: lstm"),
    ],
)
def test_bad_input_is_one_line(command, argument, part):
    assert_one_line(command(argument), part)


def test_an_error_of_the_machine_is_one_line(command, monkeypatch):
    def full():
        raise OSError(28, "No space left on device", "checkpoint.npz")
        yield

    monkeypatch.setitem(verification.CHECKS, "resume", full)
    ended = command("--checks=resume")
    assert ended.code == 1
    assert ended.stderr == "error: No space left on device: checkpoint.npz\n"


@pytest.mark.parametrize("factor", [1.0, 1.001])
def test_a_kernel(command, monkeypatch, factor):
    def portable(*arguments, **options):
        outputs, h, c = lstm_portable(*arguments, **options)
        return factor * outputs, h, c

    monkeypatch.setattr(lstm_module, "lstm_portable", portable)
    monkeypatch.setattr(kernels, "PORTABLE_LIMITS", {"float32": 2e-5})
    monkeypatch.setattr(kernels, "KERAS_LIMITS", {})
    monkeypatch.setattr(kernels, "CASES", (kernels.LENGTHS,))
    ended = command("--checks=lstm")
    result, code = ("ok", 0) if factor == 1.0 else ("FAILED", 1)
    assert ended.code == code, ended
    assert re.search(rf"^LSTM, float32: portable +{result} ", ended.stdout, re.MULTILINE)


@pytest.mark.slow
def test_this_machine(command):
    ended = command()
    assert ended.code == 0, ended  # TensorFlow may log on standard error
    assert " 0 failed, " in ended.stdout.splitlines()[-1]
