"""Fixtures of the tests of the commands."""

import functools

import pytest


@pytest.fixture
def command(request, capfd):
    """Function that runs the command that the tests name, their `MODULE`, with arguments."""
    from tests.trainers.in_process import run_command

    return functools.partial(run_command, capfd, request.module.MODULE)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """A folder with the tiny texts; tests must not change it."""
    from tests.trainers.training_command import write_texts

    return write_texts(tmp_path_factory.mktemp("data") / "texts")
