"""Tests of the presets: the settings of the paper and of the authors' command lines."""

import ast
import dataclasses

import pytest

from trainers.config import TrainingConfig
from trainers.presets import PRESETS, RECIPES

# The defaults of their main.py.
DEFAULTS = (
    "--model LSTM --emsize 400 --nhid 1150 --nlayers 3 --tied True --dropout 0.4 --dropouth 0.3 "
    "--dropouti 0.65 --dropoute 0.1 --wdrop 0.5 --alpha 2 --beta 1 --wdecay 1.2e-6 --lr 30 "
    "--clip 0.25 --optimizer sgd --when --nonmono 5 --epochs 8000 --batch_size 80 --bptt 70 "
    "--seed 1111 "
)
# What it has no flags for.
FIXED = (
    "--bptt_std 5 --bptt_min 5 --bptt_max None --bptt_full_probability 0.95 --logging_interval 0 "
    "--validation_batch_size 10 --test_batch_size 1 --dropout_multiplier 1 "
    "--max_vocabulary_size None --tokenizer whitespace --adaptive_softmax_cutoffs "
)
QRNN = "--model QRNN --nlayers 4 --nhid 1550 --wdrop 0.1 --dropouti 0.4 "
ADAM = "--optimizer adam --alpha 0 --beta 0 --dropoute 0 "
LINES = {
    "ptb": "--corpus ptb --batch_size 40 --dropouti 0.4 --seed 141 --epochs 750",
    "ptb_authors": "--corpus ptb --batch_size 20 --dropouti 0.4 --dropouth 0.25 --seed 141 "
    "--epochs 500",
    "ptb_qrnn": QRNN + "--corpus ptb --batch_size 20 --clip 0.2 --seed 9001 --epochs 550",
    "wikitext2": "--corpus wikitext2 --seed 141 --epochs 750",
    "wikitext2_authors": "--corpus wikitext2 --dropouth 0.2 --seed 1882 --epochs 750",
    "wikitext2_qrnn": QRNN + "--corpus wikitext2 --batch_size 40 --dropouth 0.2 --seed 4002 "
    "--epochs 500",
    "wikitext103_qrnn": QRNN + ADAM + "--corpus wikitext103 --nhid 2500 --dropouti 0.1 "
    "--dropouth 0.1 --dropout 0.1 --wdrop 0 --wdecay 0 --bptt 140 --batch_size 60 --lr 1e-3 "
    "--when 12 --epochs 14 --adaptive_softmax_cutoffs 2800 20000 76000",
    "ptb_character": ADAM + "--corpus ptb_character --emsize 200 --nhid 1000 --dropouti 0.1 "
    "--dropouth 0.25 --dropout 0.1 --bptt 150 --batch_size 128 --lr 2e-3 --when 300 400 "
    "--epochs 500",
    "enwik8": ADAM + "--corpus enwik8 --tokenizer character --nhid 1840 --dropouti 0.1 "
    "--dropouth 0.1 --wdrop 0.2 --bptt 200 --batch_size 128 --lr 1e-3 --when 25 35 --epochs 50",
}
NAMES = {field.metadata["reference"]: field.name for field in dataclasses.fields(TrainingConfig)}


def value(text):
    try:
        return ast.literal_eval(text)
    except ValueError:
        return text.lower()


def settings(line):
    """Returns the settings of a command line of the authors, the values as tuples."""
    flags = (flag.split() for flag in line.split("--")[1:])
    names = {**NAMES, "model": "rnn"}
    return {names.get(name, name): tuple(map(value, values)) for name, *values in flags}


@pytest.mark.parametrize("name", LINES)
def test_the_authors_command_lines(name):
    expected = settings(DEFAULTS + FIXED + LINES[name])
    preset = PRESETS[name]
    actual = {key: getattr(preset.config, key) for key in expected}
    assert {k: v if isinstance(v, tuple) else (v,) for k, v in actual.items()} == expected
    if preset.config.optimizer == "adam":
        assert preset.config.trigger == "never"
    else:
        assert preset.config.trigger == "non_monotonic"
        assert set(preset.expected) == {"trained", "fine-tuned", "cache"}


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("name", PRESETS)
def test_every_recipe_fits_every_preset(name, recipe):
    assert PRESETS[name].config.replace(**RECIPES[recipe].changes)
    assert PRESETS[name].description and RECIPES[recipe].description
