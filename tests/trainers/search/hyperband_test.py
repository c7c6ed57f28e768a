"""Tests of Hyperband: its later rounds go on with the runs of the earlier ones."""

from unittest import mock

import pytest

from tests.trainers.search.searches import Killed, make, no_training, search
from tests.trainers.training.tiny import assert_same_run, make_config, run
from trainers import search as tuning
from trainers.training import RunFolder, loop


@pytest.fixture(scope="module")
def hyperband(tmp_path_factory):
    path = tmp_path_factory.mktemp("hyperband") / "search"
    config = make_config(epochs=4, num_layers=1, logging_interval=5, non_monotone_interval=1)
    tuner = make(tuning.Hyperband, path, config, tune=["learning_rate"], factor=4)
    steps = [0]
    make_train_step = loop.make_train_step

    def make_step(*args, **kwargs):
        train_step = make_train_step(*args, **kwargs)

        def step(*values):
            steps[0] += 1
            return train_step(*values)

        return step

    with mock.patch.object(loop, "make_train_step", make_step):
        return tuner, search(tuner), steps[0]


class TestHyperband:
    def later(self, tuner):
        return [
            trial
            for trial in tuner.oracle.trials.values()
            if "tuner/trial_id" in trial.hyperparameters.values
        ]

    def test_all_trials_are_made(self, hyperband):
        tuner, results, _ = hyperband
        assert len(results) == tuner.oracle.num_trials
        assert {r.epochs for r in results} == {1, 4}
        assert all(set(r.settings) == {"learning_rate"} for r in results)

    def test_a_later_round_is_the_unbroken_run(self, hyperband, tmp_path):
        tuner, _, _ = hyperband
        (trial, *_) = self.later(tuner)
        values = trial.hyperparameters.values
        config = tuner.hypermodel.base_config.replace(learning_rate=values["learning_rate"])
        run(tmp_path / "run", config)
        assert_same_run(tuner.run_folder(trial.trial_id), tmp_path / "run")

    def test_no_step_is_made_twice(self, hyperband):
        tuner, _, steps = hyperband
        made = 0
        for trial in tuner.oracle.trials.values():
            values = trial.hyperparameters.values
            rows = RunFolder(tuner.run_folder(trial.trial_id)).last_checkpoint
            from trainers.training import read_checkpoint

            total = read_checkpoint(rows)[1]["state"]["step"]
            made += total
            if "tuner/trial_id" in values:
                before = RunFolder(tuner.run_folder(values["tuner/trial_id"])).last_checkpoint
                made -= read_checkpoint(before)[1]["state"]["step"]
        assert steps == made

    def test_killed_while_it_takes_a_run_over(self, hyperband, tmp_path):
        tuner, _, _ = hyperband
        (trial, *_) = self.later(tuner)
        workdir = tmp_path / "trial" / "run"
        workdir.parent.mkdir()
        past = trial.hyperparameters.values["tuner/trial_id"]
        with mock.patch("shutil.copytree", side_effect=Killed), pytest.raises(Killed):
            tuner._go_on_from(past, workdir)
        (tmp_path / "trial" / "run.partial").mkdir()
        (tmp_path / "trial" / "run.partial" / "half").write_text("")
        tuner._go_on_from(past, workdir)
        names = {path.name for path in workdir.iterdir()}
        assert {"config.json", "metrics.csv", "checkpoints"} <= names
        assert not names & {"half", "results.json", "curves.png"}

    def test_killed_in_a_trial_it_is_the_unbroken_search(self, tmp_path):
        config = make_config(epochs=4, num_layers=1)

        def make_one(name):
            return make(tuning.Hyperband, tmp_path / name, config, ["learning_rate"], factor=2)

        def perplexity(config):
            return 100 + config.learning_rate / config.epochs

        with no_training(perplexity):
            unbroken = make_one("unbroken")
            search(unbroken)
        calls = []

        def kill(config, folder):
            calls.append(str(folder.path))
            if len(calls) in (2, 6, 9):
                raise Killed

        for _ in range(3):
            with no_training(perplexity, kill), pytest.raises(Killed):
                search(make_one("killed"))
        with no_training(perplexity, kill):
            tuner = make_one("killed")
            search(tuner)
        values = [
            {key: trial.hyperparameters.values for key, trial in each.oracle.trials.items()}
            for each in (tuner, unbroken)
        ]
        assert values[0] == values[1]
        assert len(values[0]) == tuner.oracle.num_trials == len(calls) - 3

    def test_a_schedule_spans_the_longest_trial(self, tmp_path):
        config = make_config(epochs=9, learning_rate_schedule="cosine", trigger="never")
        tuner = make(tuning.Hyperband, tmp_path / "search", config, tune=["learning_rate"])
        assert tuner.hypermodel.base_config.schedule_length == 9
        assert tuner.hypermodel.base_config.replace(epochs=3).schedule_length == 9
