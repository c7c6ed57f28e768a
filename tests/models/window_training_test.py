"""Tests of `fit` and `evaluate` on the windows of a text."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from awd_keras.data import bptt_windows, window_dataset
from awd_keras.evaluation import evaluate
from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers import NTASGD, NonMonotonicTriggerCallback
from tests.test_case import assert_close, assert_equal, save_and_load

WORDS, BATCH, BPTT, SEED = 12, 3, 8, 5
TEXT = np.random.default_rng(1).integers(WORDS, size=300)
OTHER_TEXT = np.random.default_rng(2).integers(WORDS, size=101)
PENALTIES = {"ar_alpha": 2.0, "tar_beta": 3.0, "global_clipnorm": 0.1}


def make_model(**options):
    return AWDLSTMLanguageModel(
        WORDS, embedding_dim=6, hidden_dim=8, num_layers=2, **{"seed": SEED, **options}
    )


def make_compiled(optimizer=None, **options):
    model = make_model(**options)
    optimizer = optimizer or keras.optimizers.SGD(5.0, weight_decay=0.01)
    model.compile(NTASGD(optimizer), **PENALTIES)
    return model


def windows(**options):
    return window_dataset(TEXT, BATCH, **{"bptt": BPTT, "seed": SEED, **options})


def train_by_hand(model, epochs):
    """The windows of each epoch in order, as the loop of `trainers.ptb` trains on them."""
    optimizer = NTASGD(keras.optimizers.SGD(5.0, weight_decay=0.01))
    optimizer.build(model.trainable_variables)
    train_step = make_train_step(model, optimizer, **PENALTIES, seed=SEED)
    columns = TEXT.reshape(BATCH, -1).astype("int32")
    number, losses = 0, []
    for epoch in range(epochs):
        states, start, total = model.initial_state(BATCH), 0, 0.0
        for length in bptt_windows(columns.shape[1] - 1, BPTT, SEED, epoch):
            end = start + length
            loss, _, states = train_step(
                tf.constant(columns[:, start:end]),
                tf.constant(columns[:, start + 1 : end + 1]),
                states,
                tf.constant(5.0 * length / BPTT),
                tf.constant(number),
            )
            total += length * float(loss)
            number, start = number + 1, end
        losses.append(total / start)
    return losses


class Numbers(keras.callbacks.Callback):
    """Counts the batches of each epoch."""

    def on_epoch_begin(self, epoch, logs=None):
        self.counts = [*getattr(self, "counts", []), 0]

    def on_train_batch_end(self, batch, logs=None):
        self.counts[-1] += 1


class TestFit:
    def test_equals_the_training_step_window_by_window(self):
        by_hand, model = make_model(), make_compiled()
        losses = train_by_hand(by_hand, epochs=4)
        numbers = Numbers()
        history = model.fit(windows(), epochs=4, verbose=0, callbacks=[numbers]).history
        for actual, expected in zip(model.weights, by_hand.weights, strict=True):
            assert_close(actual.numpy(), expected.numpy(), 1e-6, actual.path)
        assert history["loss"] == pytest.approx(losses, rel=1e-5)
        assert history["perplexity"] == pytest.approx(np.exp(losses), rel=1e-5)
        # Every window counts, although the epochs have different numbers of them.
        steps = len(TEXT) // BATCH - 1
        expected = [len(bptt_windows(steps, BPTT, SEED, epoch)) for epoch in range(4)]
        assert numbers.counts == expected and len(set(expected)) > 1
        assert float(model.optimizer.learning_rate) == 5.0

    def test_resumes_bit_for_bit(self, tmp_path):
        def run(epochs):
            model = make_compiled(keras.optimizers.SGD(5.0, momentum=0.5))
            backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=epochs == 3)
            model.fit(windows(), epochs=epochs, verbose=0, callbacks=[backup])
            return model

        unbroken = run(3)
        run(1)
        for actual, expected in zip(run(3).weights, unbroken.weights, strict=True):
            assert_equal(actual.numpy(), expected.numpy())

    def test_validation_and_trigger(self):
        model = make_compiled()
        callback = NonMonotonicTriggerCallback(monitor="val_perplexity", use_average=True)
        model.optimizer.trigger()
        validation = window_dataset(OTHER_TEXT, batch_size=2)
        history = model.fit(
            windows(), validation_data=validation, epochs=2, verbose=0, callbacks=[callback]
        ).history
        assert callback.trigger.record == pytest.approx(history["val_perplexity"])
        # The last validation used the averages, which the model keeps.
        assert evaluate(model, OTHER_TEXT, 2).loss == pytest.approx(history["val_loss"][-1])

    def test_refuses_other_data(self):
        model = make_compiled()
        for data in (windows().prefetch(1), window_dataset(TEXT, BATCH), TEXT[np.newaxis]):
            with pytest.raises(ValueError, match="Corpus.windows"):
                model.fit(data)

    @pytest.mark.parametrize(
        "arguments,message",
        [
            ({"optimizer": "sgd"}, "must be an NTASGD"),
            ({"optimizer": NTASGD("sgd"), "metrics": ["accuracy"]}, "Metrics require a loss"),
        ],
    )
    def test_refuses_to_compile(self, arguments, message):
        with pytest.raises(ValueError, match=message):
            make_model().compile(**arguments)


class TestEvaluate:
    @pytest.mark.parametrize("batch_size", [1, 4])
    def test_equals_the_evaluator(self, batch_size):
        model = make_compiled()
        data = window_dataset(OTHER_TEXT, batch_size)
        expected = evaluate(model, OTHER_TEXT, batch_size)
        for _ in range(2):  # each evaluation begins with a state of zeros
            loss, perplexity = model.evaluate(data, verbose=0)
            assert loss == pytest.approx(expected.loss, rel=1e-6)
            assert perplexity == pytest.approx(expected.perplexity, rel=1e-6)

    def test_carries_the_state(self):
        model = make_compiled()
        whole = model.evaluate(window_dataset(OTHER_TEXT, 2), verbose=0)
        short = windows(bptt=5, bptt_std=0.0)
        assert len(list(short)) > 10
        short = window_dataset(OTHER_TEXT, 2, bptt=5, seed=0)
        assert model.evaluate(short, verbose=0) == pytest.approx(whole, rel=1e-5)


def test_a_compiled_model_survives_a_file():
    model = make_compiled()
    model.fit(windows(), verbose=0)
    model.optimizer.trigger()
    model.optimizer.record = [2.5]
    revived = save_and_load(model)
    assert revived.optimizer.triggered and revived.optimizer.record == [2.5]
    for each in (model, revived):
        each.fit(windows(), epochs=2, initial_epoch=1, verbose=0)
    for actual, expected in zip(revived.weights, model.weights, strict=True):
        assert_equal(actual.numpy(), expected.numpy())
    assert revived.optimizer.num_averaged == model.optimizer.num_averaged > 0
