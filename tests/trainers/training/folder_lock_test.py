"""Tests of the lock: two processes never work in one folder."""

import contextlib
import subprocess
import sys

import pytest

from tests.trainers.training import tiny
from trainers.errors import UserError
from trainers.training.folder_lock import folder_lock

HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def held_by_another_process(path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout.readline() == b"held\n"
        yield process
        process.kill()


class TestFolderLock:
    def test_one_process_at_a_time(self, tmp_path):
        with held_by_another_process(tmp_path):
            with pytest.raises(UserError, match="Another process works in"):
                with folder_lock(tmp_path):
                    pass

    def test_goes_with_a_killed_process(self, tmp_path):
        with held_by_another_process(tmp_path) as process:
            process.kill()
            process.wait()
            with folder_lock(tmp_path):
                assert not list(tmp_path.iterdir())

    def test_is_free_after_an_exception(self, tmp_path):
        with contextlib.suppress(KeyError), folder_lock(tmp_path):
            raise KeyError
        with folder_lock(tmp_path / "new"), folder_lock(tmp_path):
            assert (tmp_path / "new").is_dir()

    def test_training_respects_it(self, tmp_path):
        config = tiny.make_config(epochs=1)
        with held_by_another_process(tmp_path):
            with pytest.raises(UserError, match="Another process works in"):
                tiny.run(tmp_path, config)
            assert not list(tmp_path.iterdir())
        assert tiny.run(tmp_path, config).reason == "finished"
