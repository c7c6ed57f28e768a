"""How the commands that work on a run end."""

import errno
import warnings

import pytest
import tensorflow as tf

from awd_keras.config import ConfigError
from awd_keras.data import CorpusError
from awd_keras.training import CheckpointError, NonFiniteLossError, RunFolderError
from tests.trainers.in_process import assert_one_line, run_main
from trainers import command


@pytest.fixture
def call(capfd):
    """Function that runs a command whose work is a given function."""
    tf.config.list_logical_devices()  # what TensorFlow says as it looks is not the command's

    def run(function, *arguments, **options):
        return run_main(capfd, lambda: command.main(function, **options), *arguments)

    return run


def raising(error):
    def function():
        print("so far")
        raise error

    return function


def test_a_function_that_returns(call):
    ended = call(lambda: print("done"))
    assert (ended.code, ended.stdout, ended.stderr) == (0, "done\n", "")
    assert call(lambda: 7).code == 7


def test_arguments(call):
    received = []
    assert call(lambda *words: received.append(words), "a", "b", max_arguments=2).code == 0
    assert received == [("a", "b")]
    ended = call(lambda *words: received.append(words), "a", "b", max_arguments=1)
    assert_one_line(ended, "expected 1 besides flags. Received: a b")
    assert_one_line(call(received.append, "a"), "expected flags only. Received: a")
    assert len(received) == 1


@pytest.mark.parametrize("kind", [ConfigError, CorpusError, RunFolderError, CheckpointError])
def test_bad_input(call, kind):
    ended = call(raising(kind("what was expected")))
    assert (ended.code, ended.stderr) == (1, "error: what was expected\n")


def test_files(call):
    ended = call(raising(OSError(errno.ENOSPC, "No space left on device", "big.json")))
    assert (ended.code, ended.stderr) == (1, "error: No space left on device: big.json\n")
    ended = call(raising(OSError("unreadable")))
    assert (ended.code, ended.stderr) == (1, "error: unreadable\n")


def test_divergence(call):
    ended = call(raising(NonFiniteLossError("inf")))
    assert (ended.code, ended.stderr) == (3, "error: inf\n")


def test_interruption(call):
    ended = call(raising(KeyboardInterrupt()))
    assert (ended.code, ended.stderr) == (130, "")


def test_a_reader_that_went_away(call):
    ended = call(raising(BrokenPipeError()))
    assert (ended.code, ended.stderr) == (141, "")


def test_other_errors_are_not_hidden(call):
    with pytest.raises(ZeroDivisionError):
        call(raising(ZeroDivisionError()))


def test_warnings_are_one_line(call):
    ended = call(lambda: warnings.warn("look out", stacklevel=1))
    assert ended.stderr == "warning: look out\n"
