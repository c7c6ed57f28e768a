"""Tests of the rows of the ablation: the paper's numbers, and the settings that a part is."""

import pytest

from awd_keras.data.batching import bptt_windows
from trainers.config import TrainingConfig
from trainers.errors import UserError
from trainers.search.ablation_rows import ABLATION_ROWS, FULL, ablation_row

# The paper's table 4, validation and test: Penn Treebank, then WikiText-2.
TABLE_4 = {
    "full": (60.0, 57.3, 68.6, 65.8),
    "no_fine_tuning": (60.7, 58.8, 69.1, 66.0),
    "no_nt_asgd": (66.3, 63.7, 73.3, 69.7),
    "no_variable_length": (61.3, 58.9, 69.3, 66.2),
    "no_embedding_dropout": (65.1, 62.7, 71.1, 68.1),
    "no_weight_decay": (63.7, 61.0, 71.9, 68.7),
    "no_ar_tar": (62.7, 60.3, 73.2, 70.1),
    "full_sized_embedding": (68.0, 65.6, 73.7, 70.7),
    "no_weight_dropping": (71.1, 68.9, 78.4, 74.9),
}
CHANGED = {
    "full": {},
    "no_fine_tuning": {},
    "no_nt_asgd": {"trigger_action": "reduce_learning_rate"},
    "no_variable_length": {"bptt_full_probability": 1.0, "bptt_std": 0.0},
    "no_embedding_dropout": {"embedding_dropout": 0.0},
    "no_weight_decay": {"weight_decay": 0.0},
    "no_ar_tar": {"ar_alpha": 0.0, "tar_beta": 0.0},
    "full_sized_embedding": {"embedding_dim": 1150},
    "no_weight_dropping": {"weight_dropout": 0.0},
}


def test_the_rows_are_those_of_the_paper():
    assert list(ABLATION_ROWS) == list(TABLE_4)


@pytest.mark.parametrize("name", TABLE_4)
def test_the_papers_numbers(name):
    row = ablation_row(name)
    assert (*row.paper["ptb"], *row.paper["wikitext2"]) == TABLE_4[name]


@pytest.mark.parametrize("name", CHANGED)
def test_a_row_changes_its_part_and_nothing_else(name):
    config = TrainingConfig()
    assert ablation_row(name).config(config) == config.replace(**CHANGED[name])


def test_which_are_fine_tuned():
    not_fine_tuned = [name for name, row in ABLATION_ROWS.items() if not row.fine_tuned]
    assert not_fine_tuned == ["no_fine_tuning", "no_nt_asgd"]
    shared = {name: row.trained_as for name, row in ABLATION_ROWS.items() if row.trained_as}
    assert shared == {"no_fine_tuning": FULL}


def test_without_variable_lengths_every_window_has_one():
    config = ablation_row("no_variable_length").config(TrainingConfig())
    lengths = bptt_windows(
        700,
        config.bptt,
        config.seed,
        0,
        bptt_std=config.bptt_std,
        bptt_min=config.bptt_min,
        bptt_full_probability=config.bptt_full_probability,
    )
    assert lengths == [70] * 10


@pytest.mark.parametrize("name", [name for name, changed in CHANGED.items() if changed])
def test_a_part_that_is_missing_already(name):
    config = TrainingConfig(**CHANGED[name])
    with pytest.raises(UserError, match="changes nothing: the full model has"):
        ablation_row(name).config(config)


def test_a_row_that_does_not_exist():
    with pytest.raises(UserError, match="rows must be some of full, .*'no_tying'"):
        ablation_row("no_tying")
