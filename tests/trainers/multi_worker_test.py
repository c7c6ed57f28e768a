"""Tests of training by two processes on loopback."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).absolute().parents[2]
SIZES = [
    "--preset=demo",
    "--embedding_dim=16",
    "--hidden_dim=24",
    "--dtype=float32",
    "--logging_interval=0",
    "--noplot",
]


def command(workdir, *arguments):
    return [sys.executable, "-m", "trainers.ptb", f"--workdir={workdir}", *SIZES, *arguments]


def start_workers(workdir, *arguments, ours=()):
    """Starts two workers; the first is the chief, the second also has the arguments `ours`."""
    sockets = [socket.socket() for _ in range(2)]
    for bound in sockets:
        bound.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{bound.getsockname()[1]}" for bound in sockets]
    for bound in sockets:
        bound.close()
    started = []
    for index in range(2):
        task = {"type": "worker", "index": index}
        cluster = json.dumps({"cluster": {"worker": addresses}, "task": task})
        started.append(
            subprocess.Popen(
                command(workdir, "--strategy=multi_worker", *arguments, *(ours if index else ())),
                cwd=ROOT,
                env={**os.environ, "TF_CONFIG": cluster},
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
    return started


def ended(process):
    try:
        stdout, stderr = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, stdout, stderr


def arrays(workdir):
    with np.load(workdir / "checkpoints" / "last" / "checkpoint.npz") as archive:
        return {name: archive[name] for name in archive.files}


class TestMultiWorker:
    def test_two_workers_train_as_one_process(self, tmp_path):
        folder = tmp_path
        length = ["--epochs=1", "--max_train_tokens=700"]
        workers = [ended(process) for process in start_workers(folder / "two", *length)]
        alone = subprocess.run(
            command(folder / "one", *length), cwd=ROOT, capture_output=True, text=True, timeout=300
        )
        assert alone.returncode == 0, alone.stderr
        for code, _, stderr in workers:
            assert code == 0, stderr
        assert "worker 0 of 2: writes the run folder" in workers[0][1]
        assert workers[1][1].splitlines()[1:] == ["worker 1 of 2: follows"]
        together, expected = arrays(folder / "two"), arrays(folder / "one")
        assert set(together) == set(expected)
        for name, array in expected.items():
            if array.dtype.kind == "f":
                np.testing.assert_allclose(together[name], array, atol=1e-5, err_msg=name)
        files = [folder / run / "results.json" for run in ("one", "two")]
        losses = [json.loads(file.read_text())["test"]["loss"] for file in files]
        assert losses[0] == pytest.approx(losses[1], abs=1e-5)

    def test_a_killed_worker_stops_the_other_and_the_run_goes_on(self, tmp_path):
        workdir = tmp_path / "run"
        length = ["--max_train_tokens=4000", "--validation_batch_size=40"]
        chief, worker = start_workers(workdir, "--epochs=1000", *length)
        checkpoint = workdir / "checkpoints" / "last" / "checkpoint.npz"
        deadline = time.monotonic() + 200
        while not checkpoint.exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        assert checkpoint.exists()
        worker.send_signal(signal.SIGKILL)
        ended(worker)
        code, stdout, stderr = ended(chief)
        assert code == 4, stdout + stderr
        assert "error: worker 0 of 2 stopped, since another is gone" in stderr
        assert "same command: they go on from the last checkpoint" in stderr

        # The same command goes on; a signal to one worker stops both, at one step.
        chief, worker = start_workers(workdir, "--epochs=1000", *length)
        lines = []
        for line in chief.stdout:
            lines.append(line)
            if line.startswith("epoch"):
                worker.send_signal(signal.SIGINT)
                break
        code, stdout, stderr = ended(chief)
        assert code == 130, stderr
        assert ended(worker)[0] == 130
        text = "".join(lines) + stdout
        continued = re.search(r"continuing after step ([\d,]+)", text)
        assert continued is not None, text
        assert int(continued[1].replace(",", "")) > 0
        stopped = re.search(r"interrupted after step ([\d,]+)", text)
        assert stopped is not None, text

        # One process goes on from there as well: there is nothing left to train here.
        alone = subprocess.run(
            command(workdir, "--epochs=1", *length),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert alone.returncode == 0, alone.stderr
        assert f"continuing after step {stopped[1]}" in alone.stdout

    def test_workers_with_other_settings_are_refused(self, tmp_path):
        workers = start_workers(tmp_path / "run", "--max_train_tokens=700", ours=["--seed=1"])
        for code, _, stderr in map(ended, workers):
            assert code == 1, stderr
            assert "error: The workers have not all the same settings" in stderr

    def test_without_a_cluster_there_is_one_line(self, tmp_path):
        environment = {key: value for key, value in os.environ.items() if key != "TF_CONFIG"}
        workdir = tmp_path / "run"
        result = subprocess.run(
            command(workdir, "--strategy=multi_worker"),
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert result.returncode == 1
        assert re.fullmatch(r"error: multi_worker reads .*Received: nothing\n", result.stderr)
        assert not workdir.exists()
