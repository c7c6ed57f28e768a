"""Tests of what is told of a search."""

import csv
import io

import numpy as np
import pytest
from absl import flags

from trainers.config import TrainingConfig
from trainers.presets import preset
from trainers.search import TrialResult, flags_of, importance, trials_csv
from trainers.search.results import comparable, trials_table


def result(index, perplexity=None, status="COMPLETED", epochs=2, **settings):
    return TrialResult(str(index), status, epochs, perplexity, settings)


class TestImportance:
    def make(self, function, count=40):
        generator = np.random.default_rng(4)
        found = []
        for index in range(count):
            settings = {
                "learning_rate": float(10 ** generator.uniform(0, 2)),
                "ar_alpha": float(generator.uniform(0, 4)),
            }
            found.append(result(index, function(settings), **settings))
        return found

    def test_what_decides_explains_all_and_what_does_not_nothing(self):
        shares = importance(self.make(lambda s: 100 * np.exp(0.3 * np.log10(s["learning_rate"]))))
        assert list(shares) == ["learning_rate", "ar_alpha"]
        assert shares["learning_rate"] > 0.95 and shares["ar_alpha"] < 0.15

    def test_a_valley_counts_too(self):
        shares = importance(self.make(lambda s: 100 + (np.log10(s["learning_rate"]) - 1) ** 2))
        assert shares["learning_rate"] > 0.8

    def test_a_setting_that_never_changed_explains_nothing(self):
        found = [result(index, 100.0 + index, bptt=70, ar_alpha=index) for index in range(8)]
        assert importance(found)["bptt"] == 0

    def test_too_few(self):
        assert importance([result(index, 100.0 + index, bptt=index) for index in range(4)]) == {}

    def test_trials_of_other_lengths_are_not_compared(self):
        found = [
            *(result(i, 100.0, epochs=1) for i in range(3)),
            result(3, 90.0, epochs=9),
            result(4, None, "FAILED", epochs=1),
        ]
        assert [r.trial_id for r in comparable(found)] == ["0", "1", "2"]
        assert comparable([]) == []


class TestTables:
    RESULTS = [
        result(2, 98.7654321, ar_alpha=0.123456789, batch_size=20),
        result(0, 101.5, ar_alpha=2.0, batch_size=40),
        result(1, None, "FAILED", ar_alpha=3.0, batch_size=40),
    ]

    def test_csv_has_all_digits(self):
        rows = list(csv.DictReader(io.StringIO(trials_csv(self.RESULTS))))
        assert float(rows[0]["validation_perplexity"]) == 98.7654321
        assert float(rows[0]["ar_alpha"]) == 0.123456789
        assert rows[2]["validation_perplexity"] == "" and rows[2]["status"] == "FAILED"

    def test_rows_for_a_terminal(self):
        rows = trials_table(self.RESULTS, 2)
        assert rows == [
            ["trial", "perplexity", "epochs", "ar_alpha", "batch_size"],
            ["2", "98.77", "2", "0.1235", "20"],
            ["0", "101.50", "2", "2", "40"],
        ]
        assert trials_table(self.RESULTS)[3][1] == "failed"


class TestFlags:
    def parse(self, tmp_path, text):
        """The settings that the training command makes of such a file."""
        from trainers import common

        path = tmp_path / "best.flags"
        path.write_text(text)
        values, before = flags.FLAGS, set(flags.FLAGS)
        try:
            common.define_flags("ptb")
            values(["ptb", f"--flagfile={path}"])
            return common.config_from_flags()
        finally:
            for name in set(values) - before:
                delattr(values, name)

    @pytest.mark.parametrize("name", ["ptb", "demo"])
    def test_the_training_command_reads_the_same_settings(self, tmp_path, name):
        start = preset(name).config
        config = start.replace(
            learning_rate=1.2345678901234567,
            weight_decay=3.4e-7,
            tie_weights=False,
            bptt=33,
            learning_rate_drop_epochs=(3, 5),
            trigger="epoch:2",
            tensorboard=False,
            data_dir="a folder",
        )
        text = flags_of(config, name, start, ["found by a search"])
        assert text.startswith("# found by a search\n--preset=")
        assert self.parse(tmp_path, text) == config

    def test_what_no_flag_can_say(self):
        start = TrainingConfig(bptt_max=80)
        with pytest.raises(ValueError, match="take bptt_max away from the preset ptb"):
            flags_of(start.replace(bptt_max=None), "ptb", start)
