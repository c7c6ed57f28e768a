"""Tests of the command that searches for settings, alone and with workers."""

import csv
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from unittest import mock

import pytest

from tests.trainers.command_line import ROOT
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training_command import arguments, snapshot, write_texts
from trainers import tune
from trainers.search import hypermodel
from trainers.training import RunFolder, factory, loop

MODULE = "trainers.tune"
SMALL = {"epochs": 1, "logging_interval": 0, "num_layers": 1}


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("data") / "texts")


def line(data_dir, workdir, *more, **changes):
    settings = arguments(data_dir, workdir, **{**SMALL, **changes})
    settings = [flag for flag in settings if not flag.startswith("--test_batch_size")]
    return [*settings, "--tune=learning_rate,ar_alpha", "--max_trials=2", *more]


def pretend(perplexity=None):
    """Inside, trials make no steps."""
    count = [0]

    def train(model, optimizer, corpus, config, folder):
        folder.begin(config, corpus)
        count[0] += 1
        result = mock.Mock(reason="finished")
        result.validation.perplexity = perplexity(config) if perplexity else 90.0 + count[0]
        return result

    return mock.patch.object(hypermodel, "train_and_evaluate", train)


def read_trials(workdir):
    with open(workdir / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_from_the_search_to_a_run_with_the_best_settings(data_dir, tmp_path, capfd):
    workdir = tmp_path / "search"
    ended = run_command(capfd, MODULE, *line(data_dir, workdir, tensorboard=True))
    assert ended.code == 0, ended.stderr
    best, other = read_trials(workdir)
    assert float(best["validation_perplexity"]) <= float(other["validation_perplexity"])
    assert ended.stdout.endswith(
        f"validation perplexity: {float(best['validation_perplexity']):.2f}\n"
    )
    assert "2 of 2 trials done" in ended.stdout
    assert list((workdir / f"trial_{best['trial']}" / "run" / "events").iterdir())
    config, _ = RunFolder(workdir / f"trial_{best['trial']}" / "run").read_config()
    assert config.learning_rate == float(best["learning_rate"])
    # A trial looks at the test text in as few steps as at the validation text; the run does not.
    assert config.test_batch_size == config.validation_batch_size

    file = workdir / "best.flags"
    ended = run_command(
        capfd, "trainers.ptb", f"--flagfile={file}", f"--workdir={tmp_path / 'run'}"
    )
    assert ended.code == 0, ended.stderr
    assert f"validation perplexity: {float(best['validation_perplexity']):.2f}\n" in ended.stdout
    trained, _ = RunFolder(tmp_path / "run").read_config()
    assert trained.replace(test_batch_size=1) == config.replace(test_batch_size=1)
    assert trained.test_batch_size == 1


class TestGoesOn:
    def test_interrupted_inside_a_trial(self, data_dir, tmp_path, capfd):
        workdir, make_train_step, count = tmp_path / "search", loop.make_train_step, [0]

        def make(*args, **kwargs):
            train_step = make_train_step(*args, **kwargs)

            def step(*values):
                count[0] += 1
                if count[0] == 9:
                    os.kill(os.getpid(), signal.SIGINT)
                return train_step(*values)

            return step

        with mock.patch.object(loop, "make_train_step", make):
            ended = run_command(capfd, MODULE, *line(data_dir, workdir, "--max_trials=1"))
            assert ended.code == 130, ended.stderr
            assert ended.stdout.endswith("interrupted; the same command goes on from here\n")
            ended = run_command(capfd, MODULE, *line(data_dir, workdir, "--max_trials=1"))
        assert ended.code == 0, ended.stderr
        assert "continuing after step 9" in ended.stdout

    def test_with_more_trials(self, data_dir, tmp_path, capfd, monkeypatch):
        with pretend():
            first = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
            before = read_trials(tmp_path / "search")
            # With auto, on hardware of the other kind.
            monkeypatch.setattr(factory, "resolve_dtype", lambda _: ("bfloat16", "it has it"))
            more = line(data_dir, tmp_path / "search", "--max_trials=5", dtype="auto")
            ended = run_command(capfd, MODULE, *more)
        assert (first.code, ended.code) == (0, 0), ended.stderr
        assert "continuing after 2 of 5 trials" in ended.stdout
        after = read_trials(tmp_path / "search")
        assert len(after) == 5 and all(row in after for row in before)
        assert "what mattered: " in ended.stdout
        pytest.importorskip("matplotlib")
        assert (tmp_path / "search" / "search.png").read_bytes().startswith(b"\x89PNG")

    def test_finished_it_prints_the_results_again(self, data_dir, tmp_path, capfd):
        with pretend():
            first = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
            again = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
        assert again.code == 0, again.stderr
        assert again.stdout.splitlines()[-5:] == first.stdout.splitlines()[-5:]
        assert "--- trial" not in again.stdout


class TestTuners:
    @pytest.mark.parametrize("tuner", ["bayesian", "hyperband"])
    def test_the_others(self, data_dir, tmp_path, capfd, tuner):
        if tuner == "bayesian":
            pytest.importorskip("sklearn")
        more = [f"--tuner={tuner}", "--max_trials=5", "--hyperband_factor=4"]
        with pretend(lambda config: 100 + config.ar_alpha):
            ended = run_command(
                capfd, MODULE, *line(data_dir, tmp_path / "search", *more, epochs=4)
            )
        assert ended.code == 0, ended.stderr
        trials = read_trials(tmp_path / "search")
        assert {row["status"] for row in trials} == {"COMPLETED"}
        if tuner == "hyperband":
            assert {row["epochs"] for row in trials} == {"1", "4"}
            assert re.search(r"to epoch 4, from trial \d+", ended.stdout)
            assert f"{len(trials)} of {len(trials)} trials done" in ended.stdout
        else:
            assert len(trials) == 5

    def test_without_its_libraries(self, data_dir, tmp_path, capfd, monkeypatch):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "s", "--tuner=bayesian"))
        assert_one_line(ended, "--tuner=bayesian needs scikit-learn and SciPy: pip install")
        assert not (tmp_path / "s").exists()


def test_divergence_is_a_bad_trial(data_dir, tmp_path, capfd):
    # Far above what a float32 holds, in the first trial; the others are random.
    arguments = line(data_dir, tmp_path / "search", learning_rate=1e30)
    ended = run_command(capfd, MODULE, *arguments, "--max_trials=1")
    assert ended.code == 1
    assert "failed: " in ended.stdout and "Training diverged at step" in ended.stdout
    assert re.fullmatch(r"error: Every trial failed[^\n]+\n", ended.stderr)
    assert not (tmp_path / "search" / "best.flags").exists()
    with pretend():
        ended = run_command(capfd, MODULE, *arguments, "--max_trials=2")
    assert ended.code == 0, ended.stderr
    assert [row["status"] for row in read_trials(tmp_path / "search")] == ["COMPLETED", "FAILED"]


class TestBadInput:
    @pytest.mark.parametrize(
        ("flags", "said"),
        [
            (["--tune=learning_rates"], "Received: 'learning_rates'"),
            (["--tune="], "at least one setting"),
            (["--tune=dropouts,dropout_multiplier"], "tune it, or them"),
            (["--data_dir=nowhere"], "nowhere does not exist"),
            (["--tune=weight_decay", "--weight_decay=0"], "on a logarithmic scale"),
        ],
    )
    def test_one_line_and_no_folder(self, data_dir, tmp_path, capfd, flags, said):
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"), *flags)
        assert_one_line(ended, said)
        assert not (tmp_path / "search").exists()

    def test_another_search(self, data_dir, tmp_path, capfd):
        workdir = tmp_path / "search"
        with pretend():
            run_command(capfd, MODULE, *line(data_dir, workdir))
        before = snapshot(workdir)
        other = line(data_dir, workdir, "--tune=bptt", "--search_seed=2", batch_size=5)
        ended = run_command(capfd, MODULE, *other)
        assert_one_line(
            ended,
            "batch_size: 4 -> 5",
            "tune: ['learning_rate', 'ar_alpha'] -> ['bptt']",
            "search_seed: 1 -> 2",
        )
        assert snapshot(workdir) == before

    def test_a_folder_of_something_else(self, data_dir, tmp_path, capfd):
        (tmp_path / "thesis.txt").write_text("years of work")
        assert_one_line(run_command(capfd, MODULE, *line(data_dir, tmp_path)), "search.json")
        assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]

    def test_what_no_trial_can_do(self, data_dir, tmp_path, capfd):
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search", batch_size=100))
        assert ended.code == 1
        assert re.fullmatch(r"error: The train text of text is too short[^\n]+\n", ended.stderr)

    def test_half_of_the_environment_of_workers(self, data_dir, tmp_path, capfd, monkeypatch):
        monkeypatch.setenv("KERASTUNER_TUNER_ID", "tuner0")
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
        assert_one_line(ended, "Missing: KERASTUNER_ORACLE_IP, KERASTUNER_ORACLE_PORT")

    def test_another_text(self, data_dir, tmp_path, capfd):
        workdir, moved = tmp_path / "search", tmp_path / "moved"
        with pretend():
            run_command(capfd, MODULE, *line(data_dir, workdir))
            # The same texts elsewhere are the same search.
            shutil.copytree(data_dir, moved)
            assert run_command(capfd, MODULE, *line(moved, workdir)).code == 0
            before = snapshot(workdir)
            file = moved / "valid.txt"
            file.write_text("\n".join(reversed(file.read_text().splitlines())) + "\n")
            ended = run_command(capfd, MODULE, *line(moved, workdir))
        assert_one_line(ended, "was begun with another text than that of", "--data_dir")
        assert snapshot(workdir) == before


class TestSeveralProcesses:
    @pytest.fixture
    def environment(self, monkeypatch):
        def set_environment(tuner_id, port):
            for name, value in (
                ("TUNER_ID", tuner_id),
                ("ORACLE_IP", "127.0.0.1"),
                ("ORACLE_PORT", port),
            ):
                monkeypatch.setenv(f"KERASTUNER_{name}", str(value))

        return set_environment

    @pytest.mark.parametrize("tuner_id", ["chief", "tuner0"])
    @pytest.mark.parametrize("port", ["abc", "0", "65536", "-1"])
    def test_no_port(self, data_dir, tmp_path, capfd, environment, tuner_id, port):
        environment(tuner_id, port)
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
        assert_one_line(ended, f"must be a port, from 1 to 65535. Received: '{port}'")
        assert not (tmp_path / "search").exists()

    def test_a_port_that_is_taken(self, data_dir, tmp_path, capfd, environment):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            environment("chief", port)
            ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
        assert_one_line(ended, f"cannot listen on 127.0.0.1:{port} (", "a free port by")
        assert not (tmp_path / "search").exists()

    def test_a_worker_waits_for_the_settings_of_the_chief(
        self, data_dir, tmp_path, capfd, environment, monkeypatch
    ):
        workdir = tmp_path / "search"
        with pretend():
            run_command(capfd, MODULE, *line(data_dir, tmp_path / "other", "--search_seed=2"))
        environment("tuner0", 1)

        def sleep(_):
            workdir.mkdir()
            shutil.copy(tmp_path / "other" / "search.json", workdir)

        monkeypatch.setattr(tune.time, "sleep", sleep)
        ended = run_command(capfd, MODULE, *line(data_dir, workdir))
        assert "waiting for the chief at 127.0.0.1:1, which writes" in ended.stdout
        assert re.fullmatch(r"error: .*another search \(search_seed: 2 -> 1\).*\n", ended.stderr), (
            ended.stderr
        )
        assert ended.code == 1 and [path.name for path in workdir.iterdir()] == ["search.json"]

    def test_without_a_chief_a_worker_gives_up(
        self, data_dir, tmp_path, capfd, environment, monkeypatch
    ):
        environment("tuner0", 1)
        monkeypatch.setattr(tune, "_WAIT_SECONDS", 0.0)
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
        assert ended.code == 1
        assert re.fullmatch(r"error: The chief at 127.0.0.1:1 has not written .*\n", ended.stderr)

    def test_a_chief_that_is_away(self, data_dir, tmp_path, capfd, environment, monkeypatch):
        with pretend():
            run_command(capfd, MODULE, *line(data_dir, tmp_path / "search"))
        environment("tuner0", 1)
        # KerasTuner waits an hour for the chief.
        monkeypatch.setattr("keras_tuner.src.distribute.oracle_client.TIMEOUT", 0.2)
        # It is the chief that --noresume speaks of.
        ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "search", "--noresume"))
        assert "waiting for the chief at 127.0.0.1:1 ...\n" in ended.stdout
        assert ended.code == 1
        assert re.fullmatch(r"error: The chief does not answer \([^\n]+\n", ended.stderr)


@pytest.mark.slow
def test_a_chief_and_two_workers_on_loopback(data_dir, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])

    def start(tuner_id, *more):
        environment = {
            **os.environ,
            "KERASTUNER_TUNER_ID": tuner_id,
            "KERASTUNER_ORACLE_IP": "127.0.0.1",
            "KERASTUNER_ORACLE_PORT": port,
        }
        command = [sys.executable, "-m", MODULE]
        command += [*line(data_dir, tmp_path / "search", "--max_trials=4", *more)]
        return subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    processes = {name: start(name) for name in ("chief", "tuner0", "tuner1")}
    ended = {name: process.communicate(timeout=560) for name, process in processes.items()}
    for name, process in processes.items():
        assert process.returncode == 0, ended[name]
    trials = read_trials(tmp_path / "search")
    assert len(trials) == 4 and {row["status"] for row in trials} == {"COMPLETED"}
    made = [
        re.findall(r"^--- trial (\d+)", ended[name][0], re.MULTILINE)
        for name in ("tuner0", "tuner1")
    ]
    assert sorted(made[0] + made[1]) == sorted(row["trial"] for row in trials)
    assert "what was found is with the chief" in ended["tuner0"][0]
    assert re.search(r"^validation perplexity: \d", ended["chief"][0], re.MULTILINE)
    assert (tmp_path / "search" / "best.flags").exists()
    json.loads((tmp_path / "search" / "oracle.json").read_text())
