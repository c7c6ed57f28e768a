"""Tests of the callback that starts the averaging in `fit`."""

import keras
import numpy as np
import pytest

from awd_keras.optimizers import NTASGD, NonMonotonicTrigger, NonMonotonicTriggerCallback
from tests.test_case import assert_close, dtype_policy

ROWS, BATCH = 8, 2


class RecordWeights(keras.callbacks.Callback):
    """Keeps the weights after each step, by epoch."""

    def on_train_begin(self, logs=None):
        self.record = []

    def on_train_batch_end(self, batch, logs=None):
        self.record.append(self.model.get_weights()[0].copy())


def make_model(optimizer):
    model = keras.Sequential(
        [
            keras.Input((1,)),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros", name="line"),
        ]
    )
    model.compile(optimizer, "mse")
    return model


def fit(model, callbacks, epochs, worsens=True):
    """Fits y = x; validation is on y = -x, which gets worse and worse, or on y = x."""
    inputs = np.ones((ROWS, 1), "float32")
    validation = (inputs, -inputs if worsens else inputs)
    history = model.fit(
        inputs,
        inputs,
        batch_size=BATCH,
        epochs=epochs,
        validation_data=validation,
        callbacks=callbacks,
        verbose=0,
    )
    return history.history


class TestNonMonotonicTriggerCallback:
    def test_triggers_when_validation_worsens(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        trigger, recorder = NonMonotonicTrigger(non_monotone_interval=1), RecordWeights()
        callback = NonMonotonicTriggerCallback(trigger=trigger, monitor="val_loss")
        history = fit(model, [callback, recorder], epochs=5)
        losses = history["val_loss"]
        assert losses == sorted(losses)
        np.testing.assert_allclose(trigger.record[:3], losses[:3], rtol=1e-6)
        # The third loss fires: two are on record then. Epochs four and five are averaged.
        steps = ROWS // BATCH
        assert model.optimizer.triggered
        assert model.optimizer.num_averaged == 2 * steps
        raw = model.get_weights()[0]
        with model.optimizer.averaged_weights():
            average = model.get_weights()[0]
        assert_close(average, np.mean(recorder.record[-2 * steps :], axis=0), 1e-6)
        assert np.all(average != raw)

    def test_does_not_trigger_while_validation_improves(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        trigger = NonMonotonicTrigger(non_monotone_interval=1)
        callback = NonMonotonicTriggerCallback(trigger=trigger, monitor="val_loss")
        fit(model, [callback], epochs=5, worsens=False)
        assert len(trigger.record) == 5
        assert not model.optimizer.triggered and model.optimizer.num_averaged == 0

    def test_monitor(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        trigger = NonMonotonicTrigger(non_monotone_interval=1)
        callback = NonMonotonicTriggerCallback(trigger=trigger, monitor="loss")
        history = fit(model, [callback], epochs=4)
        np.testing.assert_allclose(trigger.record, history["loss"], rtol=1e-6)
        assert not model.optimizer.triggered

    def test_finds_the_optimizer_inside_loss_scaling(self):
        with dtype_policy("mixed_float16"):
            model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        callback = NonMonotonicTriggerCallback(trigger=NonMonotonicTrigger(1))
        fit(model, [callback], epochs=4)
        assert model.optimizer.inner_optimizer.triggered
        assert model.optimizer.inner_optimizer.num_averaged == ROWS // BATCH

    def test_default_trigger_is_the_papers(self):
        callback = NonMonotonicTriggerCallback()
        assert callback.trigger.non_monotone_interval == 5
        assert callback.monitor == "val_loss"

    def test_refuses_another_optimizer(self):
        model = make_model(keras.optimizers.SGD(0.05))
        with pytest.raises(ValueError, match="NTASGD"):
            fit(model, [NonMonotonicTriggerCallback()], epochs=1)

    def test_refuses_a_missing_loss(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        callback = NonMonotonicTriggerCallback(monitor="val_accuracy")
        with pytest.raises(ValueError, match="val_accuracy"):
            fit(model, [callback], epochs=1)
