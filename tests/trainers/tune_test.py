"""Tests of the command that searches for settings, alone and with workers."""

import csv
import os
import pathlib
import re
import socket
import subprocess
import sys

import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training_command import arguments, snapshot
from trainers.training import RunFolder

MODULE = "trainers.tune"
ROOT = pathlib.Path(__file__).absolute().parents[2]


def line(data_dir, workdir, *more, **changes):
    settings = {"epochs": 1, "logging_interval": 0, "num_layers": 1, **changes}
    tune = ["--tune=learning_rate,ar_alpha", "--max_trials=2"]
    return [*arguments(data_dir, workdir, **settings), *tune, *more]


def read_trials(workdir):
    with open(workdir / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_a_search_then_a_run_with_the_best_settings(data_dir, tmp_path, capfd):
    workdir = tmp_path / "search"
    ended = run_command(capfd, MODULE, *line(data_dir, workdir))
    assert ended.code == 0, ended
    best, other = read_trials(workdir)
    assert float(best["validation_perplexity"]) <= float(other["validation_perplexity"])
    last = f"validation perplexity: {float(best['validation_perplexity']):.2f}\n"
    assert ended.stdout.endswith(last)

    before = snapshot(workdir)
    ended = run_command(capfd, MODULE, *line(data_dir, workdir))
    assert ended.code == 0 and ended.stdout.endswith(last) and "--- trial" not in ended.stdout
    ended = run_command(capfd, MODULE, *line(data_dir, workdir, "--search_seed=2", bptt=11))
    assert_one_line(ended, "bptt: 10 -> 11", "search_seed: 1 -> 2")
    assert snapshot(workdir).keys() == before.keys()

    (workdir / "trial_0" / "trial.json").unlink()
    for reason in ("without trial 0", "list indices"):
        ended = run_command(capfd, MODULE, *line(data_dir, workdir))
        assert ended.code == 1
        message = f"error: KerasTuner's files in {workdir} cannot be read ({reason}"
        assert ended.stderr.startswith(message)
        (workdir / "oracle.json").write_text("[]")

    run = tmp_path / "run"
    ended = run_command(
        capfd, "trainers.ptb", f"--flagfile={workdir / 'best.flags'}", f"--workdir={run}"
    )
    assert ended.code == 0 and last in ended.stdout, ended
    trained = RunFolder(run).read_config()[0]
    assert trained == RunFolder(workdir / f"trial_{best['trial']}" / "run").read_config()[0]


def test_every_trial_fails(data_dir, tmp_path, capfd):
    # Far above what a float32 can represent.
    flags = line(data_dir, tmp_path / "search", "--max_trials=1", learning_rate=1e39)
    ended = run_command(capfd, MODULE, *flags)
    assert ended.code == 1 and "trial 0 failed: " in ended.stdout
    assert re.fullmatch(r"error: Every trial failed[^\n]+\n", ended.stderr), ended.stderr
    assert not (tmp_path / "search" / "best.flags").exists()


def test_incomplete_environment_of_workers(data_dir, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner0")
    ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
    assert_one_line(ended, "Missing: KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT")


def test_the_chief_cannot_listen(data_dir, tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("KERASTUNER_TUNER_ID", "chief")
    monkeypatch.setenv("KERASTUNER_ORACLE_IP", "127.0.0.1")
    monkeypatch.setenv("KERASTUNER_ORACLE_PORT", "none")
    ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
    assert ended.code == 1 and "error: The chief cannot listen: Failed to bind" in ended.stderr


@pytest.mark.slow
def test_a_chief_and_two_workers(data_dir, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def start(tuner_id):
        environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": tuner_id,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": port,
        }
        command = [sys.executable, "-m", MODULE]
        return subprocess.Popen(
            [*command, *line(data_dir, tmp_path / "search", "--max_trials=4")],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    processes = {name: start(name) for name in ("chief", "tuner0", "tuner1")}
    ended = {name: process.communicate(timeout=560) for name, process in processes.items()}
    assert [process.returncode for process in processes.values()] == [0, 0, 0], ended
    trials = read_trials(tmp_path / "search")
    assert len(trials) == 4 and {row["status"] for row in trials} == {"COMPLETED"}
    made = [
        trial
        for name in ("tuner0", "tuner1")
        for trial in re.findall(r"^--- trial (\d+)", ended[name][0], re.MULTILINE)
    ]
    assert sorted(made) == sorted(row["trial"] for row in trials)
    assert re.search(r"^validation perplexity: \d", ended["chief"][0], re.MULTILINE)
