"""Starts the averaging of NT-ASGD during `fit`."""

import warnings

import keras

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from awd_keras.optimizers.nt_asgd import find_nt_asgd


class NonMonotonicTriggerCallback(keras.callbacks.Callback):
    """Triggers the averaging of a compiled `NTASGD` when the validation loss stops improving.

    Each `fit` starts a new record of losses, unless it resumes training at a later epoch, as with
    `keras.callbacks.BackupAndRestore` or `initial_epoch`. The record is saved with the optimizer.
    Epochs without the monitored value, as with `validation_freq=2`, are skipped.

    By default, `fit` leaves the raw weights in the model; use
    `awd_keras.optimizers.averaged_weights(model)` to evaluate, save or export the average. With
    `use_average=True`, once averaging has started:

    - validation uses the averaged weights,
    - callbacks listed after this one, such as `ModelCheckpoint` and
      `EarlyStopping(restore_best_weights=True)`, see the averaged weights when an epoch ends
      (list `BackupAndRestore` before this one, since it must save the raw weights),
    - after `fit`, the model keeps the averaged weights, or those that `EarlyStopping` restored, and
      a later `fit` starts a new average from them. (An interrupted `fit` may leave the averaged
      weights in the model; the next `fit` with this callback continues from the raw ones.)

    Args:
        trigger: `None` (the default) for `NonMonotonicTrigger()`, or a trigger.
        monitor: Name of the value to monitor; smaller is better. Defaults to `"val_loss"`.
        use_average: Whether validation and later callbacks use the averaged weights. Defaults to
            False.

    Raises:
        ValueError: At the start of `fit`, if the model's optimizer is not an `NTASGD`.

    Example:

    >>> from awd_keras.optimizers import NTASGD
    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(NTASGD(keras.optimizers.SGD(0.1)), "mse")
    >>> callback = NonMonotonicTriggerCallback(NonMonotonicTrigger(non_monotone_interval=3))
    >>> x = keras.ops.ones((4, 2))
    >>> history = model.fit(x, x[:, :1], validation_data=(x, x[:, :1]), epochs=1, verbose=0,
    ...                     callbacks=[callback])
    >>> len(callback.trigger.record)
    1
    """

    def __init__(self, trigger=None, monitor="val_loss", use_average=False):
        super().__init__()
        self.trigger = NonMonotonicTrigger() if trigger is None else trigger
        self.monitor = monitor
        self.use_average = use_average
        self._starting = False
        self._updated = False
        self._swapped = False

    def set_model(self, model):
        super().set_model(model)
        self._swapped = False
        find_nt_asgd(model).recover()

    def on_train_begin(self, logs=None):
        self._starting = True

    def on_epoch_begin(self, epoch, logs=None):
        self._swap_out()
        if self._starting:
            optimizer, resumes = find_nt_asgd(self.model), epoch > 0
            if not resumes:
                optimizer.record = []
            triggered = resumes and optimizer.triggered
            self.trigger.set_state({"record": optimizer.record, "triggered": triggered})
        self._starting = self._updated = False

    def on_test_begin(self, logs=None):
        self._swap_in()

    def on_test_end(self, logs=None):
        self._swap_out()
        # Not in `on_epoch_end`, so that BackupAndRestore saves the loss in any order of callbacks.
        if self.monitor.startswith("val_"):
            self._update(logs, self.monitor.removeprefix("val_"))

    def on_epoch_end(self, epoch, logs=None):
        if not self._updated:
            self._update(logs, self.monitor)
        self._swap_in()

    def on_train_end(self, logs=None):
        if self._swapped:
            self._swap_out()
            find_nt_asgd(self.model).adopt_average()
        if not self.trigger.record:
            warnings.warn(
                f"NonMonotonicTriggerCallback never received {self.monitor!r}: pass "
                "validation_data to fit, or another `monitor`. Available: "
                f"{', '.join(sorted(logs or {}))}",
                stacklevel=2,
            )

    def _update(self, logs, name):
        if name in (logs or {}):
            optimizer = find_nt_asgd(self.model)
            if self.trigger.update(logs[name]):
                optimizer.trigger()
            optimizer.record = list(self.trigger.record)
            self._updated = True

    def _swap_in(self):
        if self.use_average and not self._swapped:
            optimizer = find_nt_asgd(self.model)
            if optimizer.num_averaged:
                optimizer.swap_in()
                self._swapped = True

    def _swap_out(self):
        if self._swapped:
            find_nt_asgd(self.model).swap_out()
            self._swapped = False
