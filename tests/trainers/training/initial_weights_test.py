"""Starting from the weights of another run."""

import numpy as np
import pytest

from awd_keras.data import Corpus, Tokenizer
from tests.test_case import to_numpy
from tests.trainers.trained_run import make_run
from tests.trainers.training.tiny import make_config, make_texts
from trainers.errors import UserError
from trainers.training import RunFolder, factory
from trainers.training.checkpoint import read_checkpoint, weights_by_name, write_checkpoint
from trainers.training.initial_weights import load_initial_weights, set_unigram_bias


@pytest.fixture
def initial(tmp_path):
    """Path, model and vocabulary of a run to start from."""
    model, vocabulary = make_run(tmp_path / "run")
    return tmp_path / "run", model, vocabulary


def other_corpus(tokenizer=None):
    """A corpus with some words of the run and some new ones, in another order."""
    texts = {split: ["new w3 w1 <unk>", "newer w7"] for split in make_texts()}
    return Corpus.from_texts("other", texts, **({"tokenizer": tokenizer} if tokenizer else {}))


@pytest.mark.parametrize("tie_weights", [True, False])
def test_rows_by_word(tmp_path, tie_weights):
    old, vocabulary = make_run(tmp_path / "run", tie_weights=tie_weights)
    config = make_config(initial_run=str(tmp_path / "run"), tie_weights=tie_weights)
    corpus = other_corpus()
    new = factory.build_model(config, len(corpus.vocabulary))
    lines = load_initial_weights(config, new, corpus)
    assert corpus.vocabulary.words == ("new", "w3", "w1", "<unk>", "<eos>", "newer", "w7")
    assert lines == ["words: 5 of the initial run kept, 2 new (start from the mean), 18 dropped"]
    by_word = 0
    for (name, source), target in zip(weights_by_name(old).items(), new.weights, strict=True):
        source, target = to_numpy(source), to_numpy(target)
        if source.shape == target.shape:
            np.testing.assert_array_equal(target, source)
            continue
        by_word += 1
        for word, row in zip(corpus.vocabulary.words, target, strict=True):
            if word in vocabulary:
                np.testing.assert_array_equal(row, source[vocabulary.words.index(word)], name)
            else:
                np.testing.assert_allclose(row, source.mean(axis=0), rtol=1e-5, atol=1e-7)
    assert by_word == (2 if tie_weights else 3)


def test_another_architecture(initial):
    config = make_config(initial_run=str(initial[0]), hidden_dim=9, tie_weights=False)
    message = r"another architecture \(hidden_dim: 8 -> 9, tie_weights: True -> False\)"
    with pytest.raises(UserError, match=message):
        load_initial_weights(config, initial[1], other_corpus())


def test_another_tokenizer(initial):
    config, corpus = make_config(initial_run=str(initial[0])), other_corpus(Tokenizer("basic"))
    model = factory.build_model(config, len(corpus.vocabulary))
    with pytest.warns(UserWarning, match="name='whitespace'.* this run has .*name='basic'"):
        load_initial_weights(config, model, corpus)


def test_a_checkpoint_of_another_run(initial):
    path, model, _ = initial
    file = RunFolder(path).best_checkpoint
    arrays, facts = read_checkpoint(file)
    write_checkpoint(file, {name: array[:3] for name, array in arrays.items()}, facts)
    with pytest.raises(UserError, match="must have a row for each of the 23 words of the run"):
        load_initial_weights(make_config(initial_run=str(path)), model, other_corpus())


@pytest.mark.parametrize("cutoffs", [(), (2, 5)])
def test_unigram_bias(cutoffs):
    corpus = other_corpus()
    config = make_config(adaptive_softmax_cutoffs=cutoffs)
    model = factory.build_model(config, len(corpus.vocabulary))
    set_unigram_bias(model, corpus)
    counts = np.bincount(corpus.train, minlength=len(corpus.vocabulary)) + 1
    logits = to_numpy(model.decoder(np.zeros((1, config.embedding_dim), "float32")))[0]
    probabilities = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(probabilities, counts / counts.sum(), rtol=1e-5)
