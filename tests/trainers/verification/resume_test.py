"""Tests of the check that an interrupted run is the unbroken one."""

import pytest

from trainers.training import RunFolder, read_checkpoint, write_checkpoint
from trainers.verification import check_resume, resume

NAMES = [
    "resume, float32: weights and averages that differ",
    "resume, float32: rows of metrics.csv that differ",
]
CONFIG = resume.CONFIG.replace(dtype="float32")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two folders of the same run, one of them of an interrupted one."""
    path, corpus = tmp_path_factory.mktemp("runs"), resume.synthetic_corpus()
    resume.train(path / "unbroken", CONFIG, corpus)
    steps = [resume.train(path / "other", CONFIG, corpus, n) for n in resume.INTERRUPTIONS]
    resume.train(path / "other", CONFIG, corpus)
    return path / "unbroken", path / "other", steps


def test_interruptions_come_where_they_matter(runs):
    unbroken, other, steps = runs
    # In the middle of an epoch; at the end of one, between validations; with an average.
    assert steps == [8, 15, 20]
    rows = RunFolder(unbroken).read_metrics()
    assert [int(row["step"]) for row in rows] == [4, 8, 12, 16, 20, 24, 28]
    assert [row["averaging"] for row in rows] == ["0", "0", "0", "1", "1", "1", "1"]
    log = RunFolder(other).log_file.read_text()
    assert [log.count(f"interrupted after step {step};") for step in steps] == [1, 1, 1]


def test_equal_runs(runs):
    unbroken, other, _ = runs
    assert resume.different_arrays(other, unbroken) == ([], 34)
    assert resume.different_rows(other, unbroken) == ([], 8)


def test_one_bit_is_seen(runs):
    unbroken, other, _ = runs
    path = RunFolder(other).last_checkpoint
    before = path.read_bytes()
    arrays, facts = read_checkpoint(path)
    name = next(name for name, array in sorted(arrays.items()) if array.dtype == "float32")
    array = arrays[name].copy()
    array.view("uint32").reshape(-1)[0] ^= 1
    facts.pop("format_version")
    write_checkpoint(path, {**arrays, name: array}, facts)
    assert resume.different_arrays(other, unbroken)[0] == [f"last: {name}"]
    arrays.pop(name)
    write_checkpoint(path, arrays, facts)
    assert resume.different_arrays(other, unbroken) == ([f"last: {name}"], 34)
    path.write_bytes(before)


def test_one_digit_is_seen(runs, tmp_path):
    unbroken, other, _ = runs
    text = RunFolder(other).metrics_file.read_text()
    changed = RunFolder(tmp_path)
    lines = text.splitlines()
    lines[3] = lines[3].replace("0.", "1.", 1)
    changed.metrics_file.write_text("\n".join(lines) + "\n")
    assert resume.different_rows(tmp_path, unbroken)[0] == [3]
    changed.metrics_file.write_text("\n".join(lines[:3]) + "\n")
    assert resume.different_rows(tmp_path, unbroken)[0] == [3, 4, 5, 6, 7]
    # The last two columns tell the time.
    times = [",".join([*line.split(",")[:-2], "0", "0"]) for line in text.splitlines()]
    changed.metrics_file.write_text("\n".join(times) + "\n")
    assert resume.different_rows(tmp_path, unbroken)[0] == []


class TestChecks:
    """`check_resume`, with runs that only write down what they would do."""

    @pytest.fixture(autouse=True)
    def short_runs(self, monkeypatch):
        self.calls, self.different = [], {}

        def train(path, config, corpus, line=None):
            self.calls.append((path.name, line))
            return 10 * len(self.calls)

        def different_arrays(path, other):
            return self.different.get(path.name, []), 34

        monkeypatch.setattr(resume, "train", train)
        monkeypatch.setattr(resume, "different_arrays", different_arrays)
        monkeypatch.setattr(resume, "different_rows", lambda *_: ([], 8))

    def test_equal(self):
        checks = list(check_resume(CONFIG))
        assert [check.name for check in checks] == NAMES
        assert [(check.figure, check.detail) for check in checks] == [
            (0, "34 arrays, stopped after steps 20, 30, 40"),
            (0, "of 8 rows"),
        ]
        assert all(check.passed for check in checks)
        assert self.calls == [
            ("unbroken", None),
            ("interrupted", 2),
            ("interrupted", 3),
            ("interrupted", 3),
            ("interrupted", None),
        ]

    def test_different(self):
        self.different["interrupted"] = ["last: a", "best: b"]
        check = next(check_resume(CONFIG))
        assert (check.result, check.figure) == ("FAILED", 2)
        assert check.detail == "of 34 arrays, the first last: a"

    def test_a_device_that_does_not_repeat_itself(self):
        self.different.update(interrupted=["last: a"], again=["last: a"])
        check = next(check_resume(CONFIG))
        assert check.failed and "does not repeat itself" in check.detail

    def test_runs_that_fail(self, monkeypatch):
        def train(*_):
            raise RuntimeError("no kernel")

        monkeypatch.setattr(resume, "train", train)
        (check,) = check_resume(CONFIG)
        assert check.failed and check.detail == "RuntimeError: no kernel"


def test_an_interruption_that_does_not_come(tmp_path):
    with pytest.raises(RuntimeError, match="after line 1000 was finished"):
        config = CONFIG.replace(epochs=1, trigger="never")
        resume.train(tmp_path, config, resume.synthetic_corpus(), line=1000)
