"""Tests of the command that looks for a learning rate."""

import json
import re

import pytest

from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.training_command import arguments, write_texts

MODULE = "trainers.learning_rate_range"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_texts(tmp_path_factory.mktemp("data") / "texts")


def line(data_dir, workdir, **changes):
    return [*arguments(data_dir, workdir, **changes), "--num_steps=12"]


def test_a_plot_and_two_rates(capfd, tmp_path, data_dir):
    workdir = tmp_path / "run"
    ended = run_command(capfd, MODULE, *line(data_dir, workdir))
    assert ended.code == 0, ended.stderr
    content = json.loads((workdir / "learning_rate_range.json").read_text())
    assert content["range"] == {"lowest": 0.1, "highest": 1000.0, "num_steps": 12}
    rates = re.findall(r"learning rate of the .*: (\S+)", ended.stdout)
    assert rates == [f"{content[name]:.3g}" for name in ("steepest", "lowest_loss")]
    pytest.importorskip("matplotlib")
    assert (workdir / "learning_rate_range.png").read_bytes().startswith(b"\x89PNG")
    again = run_command(capfd, MODULE, *line(data_dir, workdir))
    assert again.stdout.splitlines()[2:] == ended.stdout.splitlines()[2:]


def test_a_schedule_of_the_momentum_stands_still(capfd, tmp_path, data_dir):
    changes = {
        "optimizer": "adam",
        "learning_rate": 0.01,
        "learning_rate_schedule": "one_cycle",
        "momentum": 0.8,
        "momentum_min": 0.7,
    }
    ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "run", **changes))
    assert ended.code == 0, ended.stderr
    config = json.loads((tmp_path / "run" / "range_config.json").read_text())["settings"]
    assert (config["momentum"], config["momentum_min"]) == (0.7, None)
    content = json.loads((tmp_path / "run" / "learning_rate_range.json").read_text())
    assert content["range"]["lowest"] == 1e-5


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--lowest_learning_rate=5", "--highest_learning_rate=2"], "highest_learning_rate=2.0"),
        (["--num_steps=1"], "num_steps=1"),
        (["--initial_run=runs/other"], "leave initial_run out"),
    ],
)
def test_bad_input(capfd, tmp_path, data_dir, flags, said):
    ended = run_command(capfd, MODULE, *line(data_dir, tmp_path / "run"), *flags)
    assert_one_line(ended, said)
    assert not (tmp_path / "run").exists()
