"""Tests of the hypermodel and its spaces with KerasTuner's own tuners."""

import keras_tuner
import numpy as np
import pytest

from awd_keras import tuning
from awd_keras.data import Corpus
from tests.trainers.training.tiny import make_texts

SMALL = {"embedding_dim": 6, "hidden_dim": 8, "num_layers": 1, "learning_rate": 5.0}


@pytest.mark.parametrize(
    ("space", "default", "low", "high"),
    [
        (tuning.Space(0.0, 0.7), 0.4, 0.0, 0.7),
        (tuning.Space(0.0, 0.7), 0.8, 0.0, 0.8),
        (tuning.Space(0.1, 3.0, "log", relative=True), 30.0, 3.0, 90.0),
        (tuning.Space(0.5, 2.0, step=0.125, relative=True), 400, 200, 800),
        (tuning.Space(0.5, 2.0, step=0.125, relative=True), 1, 1, 2),
        (tuning.Space(0, 10, step=1), 5, 0, 10),
    ],
)
def test_ranges_include_the_default(space, default, low, high):
    hp = keras_tuner.HyperParameters()
    assert space.declare(hp, "name", default) == default
    declared = hp.space[0]
    assert (declared.default, declared.min_value, declared.max_value) == (default, low, high)


def test_choices():
    hp = keras_tuner.HyperParameters()
    assert tuning.Space(choices=(10, 20)).declare(hp, "batch_size", 15) == 15
    assert hp.space[0].values == [10, 15, 20]
    assert tuning.Space(choices=(False, True)).declare(hp, "tie_weights", False) is False


def test_build():
    hypermodel = tuning.AWDLSTMHyperModel(50, tune=("hidden_dim", "learning_rate"), **SMALL)
    hp = keras_tuner.HyperParameters()
    hp.Fixed("hidden_dim", 10)
    model = hypermodel.build(hp)
    assert {space.name for space in hp.space} == {"hidden_dim", "learning_rate"}
    backbone = model.backbone
    assert (backbone.hidden_dim, backbone.embedding_dim, backbone.vocabulary_size) == (10, 6, 50)
    assert float(model.optimizer.learning_rate) == 5.0


def test_the_multiplier_scales_all_rates():
    hypermodel = tuning.AWDLSTMHyperModel(50, (), dropout_multiplier=0.5, **SMALL)
    backbone = hypermodel.build(keras_tuner.HyperParameters()).backbone
    assert backbone.input_dropout == 0.2 and backbone.weight_dropout == 0.25


def test_unknown_names():
    for arguments in ({"tune": ["bptt"]}, {"seed": 3}):
        with pytest.raises(ValueError, match="Expected one of learning_rate, .* Received: '"):
            tuning.AWDLSTMHyperModel(50, **arguments)


def test_the_multiplier_and_a_rate():
    with pytest.raises(ValueError, match="both `dropout_multiplier` and a dropout rate"):
        tuning.AWDLSTMHyperModel(50, ("dropout_multiplier", "input_dropout"))


def test_a_search_on_windows(tmp_path):
    corpus = Corpus.from_texts("tiny", make_texts())
    tuner = keras_tuner.RandomSearch(
        tuning.AWDLSTMHyperModel(len(corpus.vocabulary), **SMALL),
        objective=keras_tuner.Objective("val_perplexity", "min"),
        max_trials=2,
        seed=1,
        directory=tmp_path,
    )
    windows = corpus.windows("train", batch_size=4, bptt=10)
    validation = corpus.windows("validation", batch_size=2)
    tuner.search(windows, validation_data=validation, epochs=1, verbose=0)
    scores = [trial.score for trial in tuner.oracle.get_best_trials(2)]
    assert np.all(np.isfinite(scores)) and scores[0] <= scores[1]
