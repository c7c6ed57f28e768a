"""What the tests of searches share: tiny ones, with and without training."""

import contextlib
import io
from unittest import mock

import keras

from tests.trainers.training.tiny import WORDS, make_config, make_corpus
from trainers import search as tuning
from trainers.search import hypermodel as hypermodel_module
from trainers.training import factory

TUNE = ["learning_rate", "weight_dropout"]


@contextlib.contextmanager
def quietly():
    with contextlib.redirect_stdout(io.StringIO()):
        yield


def make(kind, path, config=None, tune=TUNE, **kwargs):
    config = config or make_config(epochs=1, num_layers=1)
    with quietly():
        hypermodel = tuning.AWDLSTMHyperModel(config, WORDS + 1, tune)
        return kind(hypermodel, path, **kwargs)


def search(tuner):
    with quietly():
        tuner.search(make_corpus())
    return tuning.trial_results(tuner.oracle, 1)


@contextlib.contextmanager
def no_training(perplexity=lambda config: 100.0, on_call=None):
    """Inside, trials have no model: `perplexity(config)` says what comes out."""

    def train(model, optimizer, corpus, config, folder):
        folder.begin(config, corpus)
        if on_call is not None:
            on_call(config, folder)
        result = mock.Mock(reason="finished")
        result.validation.perplexity = perplexity(config)
        return result

    with contextlib.ExitStack() as stack:
        for module, name, value in (
            (hypermodel_module, "train_and_evaluate", train),
            (factory, "build_model", mock.Mock()),
            (factory, "build_optimizer", mock.Mock()),
            (keras.backend, "clear_session", mock.Mock()),  # a second each
        ):
            stack.enter_context(mock.patch.object(module, name, value))
        yield


def settings_of(tuner):
    """What was tried, in the order of the trials."""
    found = {r.trial_id: r.settings for r in tuning.trial_results(tuner.oracle, 1)}
    return [found[trial_id] for trial_id in tuner.oracle.start_order]


class Killed(BaseException):
    """The end of the process, as far as the search is concerned."""
