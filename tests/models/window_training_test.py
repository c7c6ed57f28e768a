"""Tests of `fit` and `evaluate` on the windows of a text."""

import keras
import numpy as np
import pytest

from awd_keras.data import window_dataset
from awd_keras.evaluation import evaluate
from awd_keras.optimizers import NTASGD, NonMonotonicTriggerCallback
from tests.test_case import assert_all_equal, assert_close, save_and_load
from tests.trainers.training import tiny
from trainers.training import RunFolder, factory, read_checkpoint
from trainers.training.checkpoint import weights_by_name

CONFIG = tiny.make_config(epochs=2, trigger="never", seed=3)
CORPUS = tiny.make_corpus()
SCHEDULE = keras.optimizers.schedules.CosineDecay(1.0, 10)


class Counts(keras.callbacks.Callback):
    """Counts the windows of each epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.counts = [*getattr(self, "counts", []), 0]

    def on_train_batch_end(self, batch, logs=None):
        self.counts[-1] += 1


def make_compiled(config=CONFIG):
    model = factory.build_model(config, tiny.NUM_WORDS + 1)
    model.compile(
        factory.build_optimizer(config, model),
        ar_alpha=CONFIG.ar_alpha,
        tar_beta=CONFIG.tar_beta,
        global_clipnorm=CONFIG.global_clipnorm,
    )
    return model


def windows():
    return CORPUS.windows(
        "train", CONFIG.batch_size, CONFIG.bptt, CONFIG.seed, bptt_std=2.0, bptt_min=3
    )


@pytest.fixture(scope="module")
def fitted():
    """A model after two epochs, and what `fit` reported."""
    model, counts = make_compiled(), Counts()
    history = model.fit(windows(), epochs=2, verbose=0, callbacks=[counts]).history
    return model, history, counts.counts


def test_fit_equals_the_loop_of_the_commands(fitted, tmp_path):
    model, history, counts = fitted
    tiny.run(tmp_path, CONFIG, CORPUS)
    arrays, _ = read_checkpoint(RunFolder(tmp_path).last_checkpoint)
    for name, weight in weights_by_name(model).items():
        assert_close(weight.numpy(), arrays[name], 1e-4, name)
    losses = [float(row["train_loss"]) for row in RunFolder(tmp_path).read_metrics()]
    assert history["loss"] == pytest.approx(losses, rel=1e-5)
    assert history["perplexity"] == pytest.approx(np.exp(losses), rel=1e-5)
    # Every window is used, although the epochs have different numbers of them.
    expected = [len(windows().schedule.lengths(epoch)) for epoch in range(2)]
    assert counts == expected and len(set(expected)) == 2
    assert int(model.optimizer.iterations) == sum(expected)
    assert float(model.optimizer.learning_rate) == CONFIG.learning_rate


@pytest.mark.parametrize("rnn", ["gru", "qrnn"])
def test_fits_other_cells(rnn, tmp_path):
    config = CONFIG.replace(rnn=rnn, epochs=1)
    model = make_compiled(config)
    model.fit(windows(), verbose=0)
    tiny.run(tmp_path, config, CORPUS)
    arrays, _ = read_checkpoint(RunFolder(tmp_path).last_checkpoint)
    for name, weight in weights_by_name(model).items():
        assert_close(weight.numpy(), arrays[name], 1e-4, name)


@pytest.mark.parametrize("batch_size", [1, 4])
def test_evaluate_is_exact(fitted, batch_size):
    model, expected = fitted[0], evaluate(fitted[0], CORPUS.test, batch_size)
    # Each evaluation starts from a zero state and carries the state over windows of any length.
    for bptt in (None, None, 5):
        dataset = window_dataset(CORPUS.test, batch_size, bptt, seed=1)
        loss, perplexity = model.evaluate(dataset, verbose=0)
        assert loss == pytest.approx(expected.loss, rel=1e-5)
        assert perplexity == pytest.approx(expected.perplexity, rel=1e-5)


def test_resumes_bit_for_bit_from_a_file(fitted):
    model = make_compiled()
    model.fit(windows(), verbose=0)
    model.optimizer.record = [2.5]
    revived = save_and_load(model)
    assert revived.optimizer.record == [2.5]
    revived.fit(windows(), epochs=2, initial_epoch=1, verbose=0)
    assert_all_equal(revived.weights, fitted[0].weights)


def test_validation_with_the_average():
    model = make_compiled()
    model.optimizer.trigger()
    callback = NonMonotonicTriggerCallback(monitor="val_perplexity", use_average=True)
    validation = CORPUS.windows("validation", batch_size=2)
    history = model.fit(
        windows(), validation_data=validation, epochs=1, verbose=0, callbacks=[callback]
    ).history
    assert callback.trigger.record == history["val_perplexity"]
    # The model keeps the averages.
    assert evaluate(model, CORPUS.validation, 2).loss == pytest.approx(
        history["val_loss"][0], rel=1e-5
    )


def test_refuses_other_data(fitted):
    for data in (windows().prefetch(1), CORPUS.windows("train", 4), np.ones((2, 3))):
        with pytest.raises(ValueError, match="Corpus.windows"):
            fitted[0].fit(data)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"optimizer": "sgd"}, "must be an NTASGD"),
        ({"optimizer": NTASGD("sgd"), "metrics": ["accuracy"]}, "Metrics require a loss"),
        ({"optimizer": NTASGD(keras.optimizers.SGD(SCHEDULE))}, "Instead of a schedule"),
        ({"optimizer": NTASGD(keras.optimizers.SGD(lambda: 1.0))}, "Instead of a schedule"),
        (
            {"optimizer": NTASGD(keras.optimizers.SGD(1.0, gradient_accumulation_steps=2))},
            "each window is one step",
        ),
    ],
)
def test_refuses_to_compile(arguments, message):
    with pytest.raises(ValueError, match=message):
        factory.build_model(CONFIG, 5).compile(**arguments)
