"""Tests of training by two workers on this machine, which share the run folder."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys

import pytest

from tests.trainers.training.tiny import make_config, run
from tests.trainers.training_command import SETTINGS, arguments, write_texts
from trainers.training import RunFolder, read_checkpoint

ROOT = pathlib.Path(__file__).absolute().parents[2]


def start_workers(*flags):
    """Starts two processes of the training command; the first one is the chief."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in sockets]
    for server in sockets:
        server.close()
    processes = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        processes.append(
            subprocess.Popen(
                [sys.executable, "-m", "trainers.ptb", "--strategy=multi_worker", *flags],
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": cluster},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    return processes


@pytest.mark.slow
def test_two_workers_train_like_one_process_and_stop_together(tmp_path):
    data_dir, workdir = write_texts(tmp_path / "texts"), tmp_path / "run"
    flags = arguments(data_dir, workdir, learning_rate=1.0, trigger="epoch:1")
    for process in start_workers(*flags):
        stdout, stderr = process.communicate(timeout=300)
        assert process.returncode == 0, stderr
    assert "perplexity" not in stdout  # only the chief prints
    config = make_config(**{**SETTINGS, "learning_rate": 1.0, "trigger": "epoch:1"})
    alone = run(tmp_path / "alone", config)
    together = RunFolder(workdir).read_results()
    assert together["test"]["loss"] == pytest.approx(alone.test.loss, rel=1e-4)

    # A signal to one worker stops both at the same step.
    chief, worker = start_workers(*flags, "--epochs=100000")
    for line in chief.stdout:
        if line.startswith("epoch"):
            worker.send_signal(signal.SIGINT)
            break
    stdout, stderr = chief.communicate(timeout=300)
    worker.communicate(timeout=300)
    assert (chief.returncode, worker.returncode) == (130, 130), stderr
    (step,) = re.findall(r"interrupted after step ([\d,]+); saved", stdout)
    last = read_checkpoint(RunFolder(workdir).last_checkpoint)[1]
    assert last["state"]["step"] == int(step.replace(",", ""))
