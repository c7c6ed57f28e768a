"""Tests of the model that comes with the package, and of writing one."""

import numpy as np
import pytest

from awd_keras import bundled_model
from awd_keras.data import Vocabulary
from awd_keras.errors import InputError
from awd_keras.evaluation import LineScorer
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import assert_close, assert_equal

VOCABULARY = Vocabulary(["<unk>", "<eos>", *map(str, range(20))])
SIZES = {"embedding_dim": 6, "hidden_dim": 8, "num_layers": 2}
RATES = {
    "input_dropout": 0.4,
    "hidden_dropout": 0.3,
    "output_dropout": 0.4,
    "embedding_dropout": 0.1,
    "weight_dropout": 0.5,
}


def make(tie_weights=True):
    model = AWDLSTMLanguageModel(len(VOCABULARY), **SIZES, tie_weights=tie_weights, seed=1)
    settings = {**SIZES, **RATES, "tie_weights": tie_weights, "dropout_multiplier": 0.5}
    results = {"validation": {"perplexity": 20.1}, "test": {"perplexity": 12.34}}
    return model, {"settings": settings, "corpus": {"name": "text"}, "results": results}


@pytest.mark.parametrize("tie_weights", [True, False])
def test_weights_are_rounded_to_8_bits(tmp_path, monkeypatch, tie_weights):
    model, facts = make(tie_weights)
    for _ in range(2):  # a bundled model may be replaced
        bundled_model.write_bundled_model(model, VOCABULARY, facts, tmp_path)
    monkeypatch.setattr(bundled_model, "FOLDER", tmp_path)
    description = bundled_model.describe_bundled_model()
    assert description == "bundled model: text, 22 words, test perplexity 12.3"
    loaded, vocabulary, read = bundled_model.load_bundled_model()
    assert vocabulary == VOCABULARY
    assert read == {**facts, "vocabulary_size": 22}
    assert loaded.backbone.tie_weights == tie_weights
    assert loaded.backbone.weight_dropout == 0.25
    for variable, other in zip(model.weights, loaded.weights, strict=True):
        if len(variable.shape) == 1:
            assert_equal(other, variable)
        else:
            assert_close(other, variable, 0.5 / 127 + 1e-6, variable.path)
            assert np.any(other.numpy() != variable.numpy())
    # The scale of a word is its own largest entry.
    rows = model.backbone.embedding.embeddings.numpy()
    errors = np.abs(loaded.backbone.embedding.embeddings.numpy() - rows).max(axis=1)
    assert np.all(errors <= np.abs(rows).max(axis=1) * 0.5 / 127 + 1e-6)


def test_other_folders_are_not_overwritten(tmp_path):
    model, facts = make()
    (tmp_path / "config.json").write_text("of a run")
    with pytest.raises(InputError, match="must be new, empty or a bundled model"):
        bundled_model.write_bundled_model(model, VOCABULARY, facts, tmp_path)
    assert (tmp_path / "config.json").read_text() == "of a run"


def test_the_bundled_model_knows_english():
    model, vocabulary, facts = bundled_model.load_bundled_model()
    assert facts["corpus"]["name"] == "sotu-1900"
    assert sum(path.stat().st_size for path in bundled_model.FOLDER.glob("*.*")) < 5e6
    scores = LineScorer(model, vocabulary).score(
        ["the congress of the united states", "states united the of congress the"]
    )
    good, bad = [score.log_probability for score in scores]
    # Seven tokens with a perplexity below 30.
    assert good > bad + 15 and good > -7 * np.log(30)
