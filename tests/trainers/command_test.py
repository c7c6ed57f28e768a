"""What is bad input to the commands that work on a run."""

import pytest
import tensorflow as tf

from awd_keras.errors import InputError
from tests.trainers.in_process import assert_one_line, run_main
from trainers import command
from trainers.errors import NonFiniteLossError, UserError


@pytest.fixture
def call(capfd):
    """Function that runs a command whose work is a given function."""
    tf.config.list_logical_devices()  # what TensorFlow says as it looks is not the command's
    return lambda function, *arguments: run_main(
        capfd, lambda: command.main(function, max_arguments=1), *arguments
    )


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize("kind", [UserError, InputError, UserError, UserError])
def test_bad_input(call, kind):
    ended = call(raising(kind("what was expected")))
    assert (ended.code, ended.stderr) == (1, "error: what was expected\n")


def test_divergence(call):
    ended = call(raising(NonFiniteLossError("inf")))
    assert (ended.code, ended.stderr) == (3, "error: inf\n")


def test_other_errors_are_not_hidden(call):
    with pytest.raises(ValueError):
        call(raising(ValueError()))


def test_arguments(call):
    received = []
    assert call(received.append, "a").code == 0
    assert_one_line(call(received.append, "a", "b"), "expected 1 besides flags. Received: a b")
    assert received == ["a"]
