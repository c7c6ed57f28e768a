"""Tests of what workers agree on; two of them train in trainers/multi_worker_test."""

import numpy as np
import tensorflow as tf

from trainers.training import workers
from trainers.training.workers import Workers


class TestOneWorker:
    def setup_method(self):
        self.workers = Workers(tf.distribute.get_strategy())

    def test_is_the_chief(self):
        assert (self.workers.num_workers, self.workers.index) == (1, 0)
        assert self.workers.is_chief

    def test_keeps_what_it_has(self):
        assert self.workers.any(True) and not self.workers.any(False)
        assert self.workers.of_chief(0.1) == 0.1
        assert self.workers.bytes_of_chief(b"abc") == b"abc"

    def test_works_in_the_folder_itself(self, tmp_path):
        with self.workers.run_folder(tmp_path) as folder:
            assert folder == tmp_path


class Chief(Workers):
    """The sums of a chief are its own numbers."""

    def __init__(self):
        super().__init__(tf.distribute.get_strategy())
        self.num_workers = 2
        self._sum = lambda value: value


class Follower(Workers):
    """A worker whose sums are those of a chief that has some bytes."""

    def __init__(self, data):
        super().__init__(tf.distribute.get_strategy())
        self.num_workers, self.index = 2, 1
        numbers = np.frombuffer(data.ljust(-(-len(data) // 8) * 8, b"\0"), np.int64)
        chunks = [numbers[i : i + workers._CHUNK] for i in range(0, len(numbers), workers._CHUNK)]
        answers = iter([np.int64(len(data)), *chunks])
        self._sum = lambda value: value + tf.constant(next(answers))


class TestBytesOfChief:
    def test_arrive_whatever_their_number(self, monkeypatch):
        monkeypatch.setattr(workers, "_CHUNK", 3)
        for size in (0, 1, 8, 24, 25, 100):
            data = bytes(range(size))
            assert Chief().bytes_of_chief(data) == data
            assert Follower(data).bytes_of_chief(b"not these") == data


class TestRunFolder:
    def test_a_copy_has_the_runs_files_and_no_others(self, tmp_path):
        best = tmp_path / "checkpoints" / "best" / "checkpoint.npz"
        best.parent.mkdir(parents=True)
        (tmp_path / "elsewhere").write_bytes(b"weights")
        best.symlink_to(tmp_path / "elsewhere")
        (tmp_path / "config.json").write_text("{}")
        (tmp_path / "mine.txt").write_text("private")
        with Follower(workers._pack(tmp_path)).run_folder("elsewhere") as copy:
            copied = tmp_path.__class__(copy)
            assert (copied / best.relative_to(tmp_path)).read_bytes() == b"weights"
            assert (copied / "config.json").read_text() == "{}"
            assert not (copied / "mine.txt").exists()
        assert not copied.exists()

    def test_the_chief_works_in_the_folder_itself(self, tmp_path):
        with Chief().run_folder(tmp_path) as folder:
            assert folder == tmp_path
        assert list(tmp_path.iterdir()) == []
