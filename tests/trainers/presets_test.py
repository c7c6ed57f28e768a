"""Tests of the presets: the settings of the paper and of the authors' command lines."""

import pytest

from trainers.presets import PRESETS, RECIPES

SHARED = {
    "rnn": "lstm",
    "embedding_dim": 400,
    "hidden_dim": 1150,
    "num_layers": 3,
    "tie_weights": True,
    "bptt": 70,
    "bptt_std": 5.0,
    "bptt_min": 5,
    "bptt_max": None,
    "bptt_full_probability": 0.95,
    "output_dropout": 0.4,
    "embedding_dropout": 0.1,
    "weight_dropout": 0.5,
    "ar_alpha": 2.0,
    "tar_beta": 1.0,
    "non_monotone_interval": 5,
    "learning_rate": 30.0,
    "global_clipnorm": 0.25,
    "weight_decay": 1.2e-6,
    "optimizer": "sgd",
    "trigger": "non_monotonic",
    "logging_interval": 0,
    "validation_batch_size": 10,
    "test_batch_size": 1,
    "dropout_multiplier": 1.0,
    "learning_rate_drop_epochs": (),
    "max_vocabulary_size": None,
}
QRNN = {
    "rnn": "qrnn",
    "num_layers": 4,
    "hidden_dim": 1550,
    "weight_dropout": 0.1,
    "input_dropout": 0.4,
}
OWN = {
    "ptb": {
        "corpus": "ptb",
        "batch_size": 40,
        "input_dropout": 0.4,
        "hidden_dropout": 0.3,
        "epochs": 750,
    },
    "ptb_authors": {
        "corpus": "ptb",
        "batch_size": 20,
        "input_dropout": 0.4,
        "hidden_dropout": 0.25,
        "epochs": 500,
        "seed": 141,
    },
    "ptb_qrnn": {
        **QRNN,
        "corpus": "ptb",
        "batch_size": 20,
        "hidden_dropout": 0.3,
        "global_clipnorm": 0.2,
        "epochs": 550,
        "seed": 9001,
    },
    "wikitext2_qrnn": {
        **QRNN,
        "corpus": "wikitext2",
        "batch_size": 40,
        "hidden_dropout": 0.2,
        "epochs": 500,
        "seed": 4002,
    },
    "wikitext2": {
        "corpus": "wikitext2",
        "batch_size": 80,
        "input_dropout": 0.65,
        "hidden_dropout": 0.3,
        "epochs": 750,
    },
    "wikitext2_authors": {
        "corpus": "wikitext2",
        "batch_size": 80,
        "input_dropout": 0.65,
        "hidden_dropout": 0.2,
        "epochs": 750,
        "seed": 1882,
    },
}

# The authors' command lines with Adam.
ADAM = {
    "num_layers": 3,
    "ar_alpha": 0.0,
    "tar_beta": 0.0,
    "embedding_dropout": 0.0,
    "optimizer": "adam",
    "trigger": "never",
    "global_clipnorm": 0.25,
    "seed": 1111,
}
BY_ADAM = {
    "wikitext103_qrnn": {
        "corpus": "wikitext103",
        "rnn": "qrnn",
        "num_layers": 4,
        "embedding_dim": 400,
        "hidden_dim": 2500,
        "adaptive_softmax_cutoffs": (2800, 20000, 76000),
        "input_dropout": 0.1,
        "hidden_dropout": 0.1,
        "output_dropout": 0.1,
        "weight_dropout": 0.0,
        "weight_decay": 0.0,
        "bptt": 140,
        "batch_size": 60,
        "learning_rate": 1e-3,
        "learning_rate_drop_epochs": (12,),
        "epochs": 14,
    },
    "ptb_character": {
        "corpus": "ptb_character",
        "tokenizer": "whitespace",
        "embedding_dim": 200,
        "hidden_dim": 1000,
        "input_dropout": 0.1,
        "hidden_dropout": 0.25,
        "output_dropout": 0.1,
        "weight_dropout": 0.5,
        "weight_decay": 1.2e-6,
        "bptt": 150,
        "batch_size": 128,
        "learning_rate": 2e-3,
        "learning_rate_drop_epochs": (300, 400),
        "epochs": 500,
    },
    "enwik8": {
        "corpus": "enwik8",
        "tokenizer": "character",
        "embedding_dim": 400,
        "hidden_dim": 1840,
        "input_dropout": 0.1,
        "hidden_dropout": 0.1,
        "output_dropout": 0.4,
        "weight_dropout": 0.2,
        "weight_decay": 1.2e-6,
        "bptt": 200,
        "batch_size": 128,
        "learning_rate": 1e-3,
        "learning_rate_drop_epochs": (25, 35),
        "epochs": 50,
    },
}


@pytest.mark.parametrize("name", BY_ADAM)
def test_command_lines_with_adam(name):
    settings = PRESETS[name].config.to_dict()
    expected = {**ADAM, **BY_ADAM[name]}
    assert {key: settings[key] for key in expected} == expected


@pytest.mark.parametrize("name", OWN)
def test_published_settings(name):
    settings = PRESETS[name].config.to_dict()
    expected = {**SHARED, **OWN[name]}
    assert {key: settings[key] for key in expected} == expected
    assert set(PRESETS[name].expected) == {"trained", "fine-tuned", "cache"}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_recipe_fits_every_preset(name, recipe):
    assert PRESETS[name].config.replace(**RECIPES[recipe].changes)
    assert PRESETS[name].description and RECIPES[recipe].description
