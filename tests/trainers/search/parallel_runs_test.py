"""Tests of runs in processes of their own; a small module stands for a training command."""

import os
import signal
import threading
import time

import pytest

from trainers.errors import UserError
from trainers.search import parallel_runs as module
from trainers.search.parallel_runs import parallel_runs

COMMAND = """
import os, pathlib, signal, sys, time
def leave(*_):
    path.write_text("interrupted")
    sys.exit(130)
signal.signal(signal.SIGINT, leave)
path, action = pathlib.Path(sys.argv[1]), sys.argv[2]
path.write_text(os.environ["TF_NUM_INTRAOP_THREADS"])
if action == "wait":
    time.sleep(60)
print("a warning", file=sys.stderr)
print("error: no text", file=sys.stderr)
sys.exit(int(action))
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    (tmp_path / "stand_in.py").write_text(COMMAND)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.delenv("TF_NUM_INTRAOP_THREADS", raising=False)
    return lambda name, action: ["stand_in", str(tmp_path / name), str(action)]


def test_jobs_run_their_commands_in_order(command, tmp_path):
    ended = []
    jobs = {
        "a": [command("a0", 0), command("a1", 0)],
        "b": [command("b0", 3), command("b1", 0)],  # diverged
    }
    parallel_runs(jobs, 2, lambda *arguments: ended.append(arguments))
    assert sorted(ended) == [("a", False), ("b", True)]
    assert {path.name for path in tmp_path.glob("*[01]")} == {"a0", "a1", "b0"}
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    assert (tmp_path / "a0").read_text() == str(threads)


def wait_for(path):
    """Waits until a stand-in handles signals: it writes its file afterwards."""
    for _ in range(6000):
        if path.exists() and path.read_text() != "":
            return
        time.sleep(0.01)
    pytest.fail(f"{path} was not written")


def test_a_failure_interrupts_the_others(command, tmp_path):
    jobs = {"waiting": [command("w", "wait"), command("never", 0)], "bad": [command("b", 1)]}
    start = module.subprocess.Popen

    def start_after_the_first(arguments, **options):
        if arguments[2:] == command("b", 1):
            wait_for(tmp_path / "w")
        return start(arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module.subprocess, "Popen", start_after_the_first)
        with pytest.raises(UserError, match="^bad failed: no text$"):
            parallel_runs(jobs, 2, lambda *_: None)
    assert (tmp_path / "w").read_text() == "interrupted"
    assert not (tmp_path / "never").exists()


def test_an_interruption_is_passed_on(command, tmp_path):
    def interrupt():
        try:
            wait_for(tmp_path / "w")
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        parallel_runs({"waiting": [command("w", "wait")]}, 1, lambda *_: None)
    assert (tmp_path / "w").read_text() == "interrupted"
