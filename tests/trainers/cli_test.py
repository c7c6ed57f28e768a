"""How the commands begin and end."""

import errno
import warnings

import pytest
import tensorflow as tf

from tests.trainers.in_process import assert_one_line, run_main
from trainers import old_cli as command


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


class TestArguments:
    def test_their_number(self, call):
        received = []
        take = received.append
        assert_one_line(call(take, "a"), "expected flags only. Received: a. See --help.")
        ended = call(take, "a", "b", max_arguments=1)
        assert_one_line(ended, "expected 1 besides flags. Received: a b. See --help.")
        assert received == []
        assert call(take, "a", max_arguments=1).code == 0
        assert received == ["a"]

    def test_any_number(self, call):
        received = []
        assert call(lambda *words: received.append(words), *"abc", max_arguments=None).code == 0
        assert received == [("a", "b", "c")]


class TestTensorFlow:
    @pytest.fixture
    def order(self, monkeypatch):
        """What is called, in its order."""
        calls = []
        monkeypatch.setattr(command, "start_tensorflow", lambda: calls.append("tensorflow"))
        return calls

    def errors_of(self, order):
        return lambda: order.append("errors") or {}

    def test_it_is_loaded_before_the_errors_and_the_work(self, call, order):
        assert call(lambda: order.append("work"), errors=self.errors_of(order)).code == 0
        assert order == ["tensorflow", "errors", "work"]

    def test_not_where_the_command_needs_none(self, call, order):
        options = {"errors": self.errors_of(order), "tensorflow": False}
        assert call(lambda: order.append("work"), **options).code == 0
        assert order == ["errors", "work"]

    @pytest.mark.parametrize("argument", ["--help", "--nosuch", "stray"])
    def test_help_and_a_wrong_flag_do_not_wait_for_it(self, call, order, argument):
        assert call(lambda: order.append("work"), argument).code == 1
        assert order == []

    def test_ctrl_c_while_it_is_loaded(self, call, monkeypatch):
        monkeypatch.setattr(command, "start_tensorflow", raising(KeyboardInterrupt()))
        ended = call(lambda: pytest.fail("called"))
        assert (ended.code, ended.stderr) == (130, "")


class TestErrors:
    def test_each_has_its_code(self, call):
        def errors():
            return {LookupError: 1, ArithmeticError: 3}

        ended = call(raising(IndexError("what was expected")), errors=errors)
        assert (ended.code, ended.stdout) == (1, "so far\n")
        assert ended.stderr == "error: what was expected\n"
        ended = call(raising(OverflowError("inf")), errors=errors)
        assert (ended.code, ended.stderr) == (3, "error: inf\n")

    def test_files(self, call):
        ended = call(raising(OSError(errno.ENOSPC, "No space left on device", "big.json")))
        assert (ended.code, ended.stderr) == (1, "error: No space left on device: big.json\n")
        ended = call(raising(OSError("gRPC cannot listen")))
        assert (ended.code, ended.stderr) == (1, "error: gRPC cannot listen\n")

    def test_interruption(self, call):
        ended = call(raising(KeyboardInterrupt()))
        assert (ended.code, ended.stderr) == (130, "")

    def test_a_reader_that_went_away(self, call):
        ended = call(raising(BrokenPipeError()))
        assert (ended.code, ended.stderr) == (141, "")

    def test_others_are_not_hidden(self, call):
        with pytest.raises(ZeroDivisionError):
            call(raising(ZeroDivisionError()), errors=lambda: {ValueError: 1})
        with pytest.raises(ValueError):
            call(raising(ValueError()))


def test_warnings_are_one_line(call):
    ended = call(lambda: warnings.warn("look out", stacklevel=1))
    assert ended.stderr == "warning: look out\n"
