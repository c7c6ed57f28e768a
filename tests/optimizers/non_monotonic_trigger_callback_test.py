"""Tests of the callback that starts the averaging in `fit`."""

import keras
import numpy as np
import pytest

from awd_keras.optimizers import (
    NTASGD,
    NonMonotonicTrigger,
    NonMonotonicTriggerCallback,
    averaged_weights,
)
from tests.test_case import assert_close, assert_equal, dtype_policy

ROWS, BATCH = 8, 2
STEPS = ROWS // BATCH


class RecordWeights(keras.callbacks.Callback):
    """Records the weights after each step."""

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


def fit(model, callbacks, epochs, worsens=True, **kwargs):
    """Fits y = x and validates on y = -x, so that the loss rises, or on y = x."""
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
        shuffle=False,
        **kwargs,
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
        assert model.optimizer.triggered
        assert model.optimizer.num_averaged == 2 * STEPS
        raw = model.get_weights()[0]
        with model.optimizer.averaged_weights():
            average = model.get_weights()[0]
        assert_close(average, np.mean(recorder.record[-2 * STEPS :], axis=0), 1e-6)
        assert np.all(average != raw)

    def test_finds_the_optimizer_inside_loss_scaling(self):
        with dtype_policy("mixed_float16"):
            model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        callback = NonMonotonicTriggerCallback(trigger=NonMonotonicTrigger(1))
        fit(model, [callback], epochs=4)
        assert model.optimizer.inner_optimizer.triggered
        assert model.optimizer.inner_optimizer.num_averaged == STEPS

    def test_refuses_another_optimizer(self):
        model = make_model(keras.optimizers.SGD(0.05))
        with pytest.raises(ValueError, match="NTASGD"):
            fit(model, [NonMonotonicTriggerCallback()], epochs=1)

    def test_warns_of_a_value_that_never_comes(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        callback = NonMonotonicTriggerCallback(monitor="val_accuracy")
        with pytest.warns(UserWarning, match="val_accuracy"):
            fit(model, [callback], epochs=1)

    def test_skips_epochs_without_validation(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        trigger = NonMonotonicTrigger(non_monotone_interval=0)
        history = fit(model, [NonMonotonicTriggerCallback(trigger)], epochs=4, validation_freq=2)
        np.testing.assert_allclose(trigger.record, history["val_loss"], rtol=1e-6)
        assert len(trigger.record) == 2 and model.optimizer.triggered

    def test_each_fit_starts_a_new_record(self):
        callback = NonMonotonicTriggerCallback(NonMonotonicTrigger(non_monotone_interval=1))
        for _ in range(2):
            model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
            fit(model, [callback], epochs=4)
            assert len(callback.trigger.record) == 4
            assert model.optimizer.num_averaged == STEPS
        fit(model, [callback], epochs=6, initial_epoch=4)
        assert len(callback.trigger.record) == 6

    @pytest.mark.parametrize("backup_first", [True, False])
    def test_resumes_where_it_was_interrupted(self, backup_first, tmp_path):
        def run(epochs, callbacks=()):
            model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
            callbacks = [NonMonotonicTriggerCallback(NonMonotonicTrigger(3)), *callbacks]
            fit(model, callbacks[:: -1 if backup_first else 1], epochs=epochs)
            return model

        def backup():
            return keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)

        unbroken = run(6)
        assert unbroken.optimizer.num_averaged == STEPS
        run(2, [backup()])
        resumed = run(6, [backup()])
        assert resumed.optimizer.num_averaged == STEPS
        assert resumed.optimizer.record == unbroken.optimizer.record
        assert_equal(resumed.get_weights()[0], unbroken.get_weights()[0])
        with averaged_weights(resumed), averaged_weights(unbroken):
            assert_equal(resumed.get_weights()[0], unbroken.get_weights()[0])


class TestUseAverage:
    def run(self, epochs, callbacks=(), before=(), **kwargs):
        """Averages from the second epoch on; returns the model, its raw weights and the logs."""
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        recorder = RecordWeights()
        callback = NonMonotonicTriggerCallback(use_average=True, **kwargs)
        start = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: epoch or model.optimizer.trigger()
        )
        history = fit(
            model, [start, *before, callback, recorder, *callbacks], epochs, worsens=False
        )
        return model, np.array(recorder.record), history

    def averages(self, raw, epoch):
        """The average at the end of an epoch, counted from 0."""
        return np.mean(raw[STEPS : STEPS * (epoch + 1)], axis=0)

    def test_validation_and_checkpoints(self, tmp_path):
        checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras")
        model, raw, history = self.run(4, [checkpoint])
        for epoch in range(1, 4):
            expected = self.averages(raw, epoch)
            loss = (float(expected[0, 0]) - 1) ** 2  # the model fits y = w x at x = y = 1
            assert history["val_loss"][epoch] == pytest.approx(loss, rel=1e-4)
            saved = keras.models.load_model(tmp_path / f"{epoch + 1}.keras")
            assert_close(saved.get_weights()[0], expected, 1e-6)
            with averaged_weights(saved):  # weights and average of the same epoch
                assert_close(saved.get_weights()[0], expected, 1e-6)
        assert_close(model.get_weights()[0], expected, 1e-6)

    def test_training_continues_from_the_raw_weights(self):
        plain = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        recorder = RecordWeights()
        fit(plain, [recorder], epochs=4, worsens=False)
        _, raw, _ = self.run(4)
        assert_equal(raw, np.array(recorder.record))

    def test_early_stopping_restores_the_average_of_the_best_epoch(self):
        score = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: logs.update(score=float(epoch == 2))
        )
        stopping = keras.callbacks.EarlyStopping(
            "score", patience=9, restore_best_weights=True, mode="max"
        )
        model, raw, _ = self.run(5, [score, stopping])
        expected = self.averages(raw, 2)
        assert_close(model.get_weights()[0], expected, 1e-6)
        with averaged_weights(model):  # not the average of the last epoch
            assert_close(model.get_weights()[0], expected, 1e-6)

    def test_a_backup_before_it_has_the_raw_weights(self, tmp_path):
        backup = keras.callbacks.BackupAndRestore(tmp_path, delete_checkpoint=False)
        _, raw, _ = self.run(3, before=[backup])
        saved = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        saved.optimizer.build(saved.trainable_variables)
        saved.load_weights(tmp_path / "latest.weights.h5")
        assert_equal(saved.get_weights()[0], raw[-1])

    def test_an_interruption_during_validation_leaves_the_raw_weights(self):
        class Interrupt(keras.callbacks.Callback):
            def on_test_begin(self, logs=None):
                if self.model.optimizer.num_averaged:
                    raise KeyboardInterrupt

        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        model.optimizer.trigger()
        recorder, callback = RecordWeights(), NonMonotonicTriggerCallback(use_average=True)
        with pytest.raises(KeyboardInterrupt):
            fit(model, [callback, recorder, Interrupt()], epochs=2)
        assert np.any(model.get_weights()[0] != recorder.record[-1])
        NonMonotonicTriggerCallback().set_model(model)  # as a new `fit` does
        assert_equal(model.get_weights()[0], recorder.record[-1])

    def test_weights_trained_since_an_interruption_stay(self):
        model = make_model(NTASGD(keras.optimizers.SGD(0.05)))
        model.optimizer.trigger()
        fit(model, [], epochs=1)
        model.optimizer.swap_in()  # and never out
        fit(model, [], epochs=1)
        expected = model.get_weights()[0]
        NonMonotonicTriggerCallback().set_model(model)
        assert_equal(model.get_weights()[0], expected)
