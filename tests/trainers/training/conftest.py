"""Whole runs shared by the tests of a session, which must not change them."""

import io

import pytest


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The folder, the result and the output of a run of three epochs, averaged after the first."""
    from tests.trainers.training.tiny import make_config, run
    from trainers.training import RunFolder

    path, stream = tmp_path_factory.mktemp("trained") / "run", io.StringIO()
    result = run(path, make_config(trigger="epoch:1"), stream=stream)
    return RunFolder(path), result, stream.getvalue()
