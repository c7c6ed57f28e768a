"""Whole runs, for all tests of a session; nobody changes them."""

import io

import pytest


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory):
    """`unbroken(name)`: folder, result and output of an uninterrupted run, made once."""
    from tests.trainers.training.tiny import SETTINGS, make_config, run
    from trainers.training import RunFolder

    made = {}

    def get(name):
        if name not in made:
            path = tmp_path_factory.mktemp(name)
            stream = io.StringIO()
            result = run(path, make_config(**SETTINGS[name]), stream=stream)
            made[name] = RunFolder(path), result, stream.getvalue()
        return made[name]

    return get


@pytest.fixture(scope="session")
def initial(tmp_path_factory):
    """The folder of a run to start from."""
    from tests.trainers.training.tiny import TRAINING, make_config, run

    path = tmp_path_factory.mktemp("initial") / "run"
    run(path, make_config(**TRAINING))
    return path
