"""Tests of the flags of the settings."""

import sys
import types

import pytest

from tests.trainers.in_process import assert_one_line, run_main
from trainers import cli, config_flags
from trainers.config import TrainingConfig


@pytest.fixture
def configure(capfd, monkeypatch):
    """Function that parses a command line; returns how it ended, and the settings and folder."""

    def run(*arguments):
        received = []

        def work():
            received.append(config_flags.config_from_flags())
            received.append(config_flags.default_workdir())

        def main():
            config_flags.define_training_flags("ptb")
            cli.main("made_up", "A command.")

        monkeypatch.setitem(sys.modules, "made_up", types.SimpleNamespace(main=work))
        return run_main(capfd, main, *arguments), *received

    return run


def test_the_defaults_are_the_presets(configure):
    _, config, workdir = configure()
    assert (config, workdir) == (TrainingConfig(), "runs/ptb")


def test_flags_change_the_recipe_and_the_recipe_the_preset(configure):
    _, config, workdir = configure(
        "--preset=wikitext2", "--recipe=fast", "--epochs=3", "--notie_weights"
    )
    assert (config.input_dropout, config.optimizer, config.epochs) == (0.65, "adam", 3)
    assert not config.tie_weights
    assert workdir == "runs/wikitext2-fast"


def test_a_list(configure):
    _, config, _ = configure("--learning_rate_drop_epochs=3,5")
    assert config.learning_rate_drop_epochs == (3, 5)
    _, config, _ = configure("--adaptive_softmax_cutoffs=3,5")
    assert config.adaptive_softmax_cutoffs == (3, 5)
    ended, *_ = configure("--learning_rate_drop_epochs=x")
    assert_one_line(ended, "must be a tuple, each an integer from 1 to 1,000,000")


def test_a_huge_integer(configure):
    for name, highest in (("epochs", "1,000,000"), ("num_layers", "64"), ("seed", "4,294,967,295")):
        (ended,) = configure(f"--{name}={10**23}")
        message = f"flag --{name}={10**23}: must be an integer from "
        assert_one_line(ended, message, f" to {highest}. See --help.")


def test_every_setting_has_a_flag_in_its_section(configure):
    (ended,) = configure("--help")
    sections = {}
    for line in ended.stdout.splitlines():
        if line and not line.startswith(" ") and line.endswith(":"):
            heading = line[:-1]
        elif line.startswith("  --"):
            name = line.strip().removeprefix("--").removeprefix("[no]").partition(":")[0]
            sections[name] = heading
    for name, field in TrainingConfig.__dataclass_fields__.items():
        assert sections[name] == field.metadata["section"]
    headings = list(dict.fromkeys(sections.values()))
    expected = ["Data", "Model", "Regularization", "Optimization", "Run", "Logging"]
    assert headings == ["Flags", *expected]
