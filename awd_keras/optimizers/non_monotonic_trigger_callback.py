"""Feeds the validation loss of `fit` to NT-ASGD."""

import keras

from awd_keras.optimizers.non_monotonic_trigger import NonMonotonicTrigger
from awd_keras.optimizers.nt_asgd import NTASGD


class NonMonotonicTriggerCallback(keras.callbacks.Callback):
    """Starts the averaging of a compiled `NTASGD` when the validation loss stops improving.

    `fit` validates the raw weights. To evaluate, save or export the average afterwards, do it
    inside `with optimizer.averaged_weights():`.

    Args:
        trigger: None for `NonMonotonicTrigger()`, or a trigger of your own.
        monitor: the entry of Keras's logs to watch.

    Raises:
        ValueError: in training, if the model's optimizer is not an `NTASGD` (under
            `mixed_float16`, inside Keras's `LossScaleOptimizer`) or the logs lack `monitor`.

    Example:

    >>> model = keras.Sequential([keras.layers.Dense(1)])
    >>> model.compile(NTASGD(keras.optimizers.SGD(0.1)), "mse")
    >>> callback = NonMonotonicTriggerCallback(NonMonotonicTrigger(non_monotone_interval=3))
    >>> x = keras.ops.ones((4, 2))
    >>> history = model.fit(x, x[:, :1], validation_data=(x, x[:, :1]), epochs=1, verbose=0,
    ...                     callbacks=[callback])
    >>> len(callback.trigger.record)
    1
    """

    def __init__(self, trigger=None, monitor="val_loss"):
        super().__init__()
        self.trigger = NonMonotonicTrigger() if trigger is None else trigger
        self.monitor = monitor

    def on_train_begin(self, logs=None):
        self._optimizer()

    def on_epoch_end(self, epoch, logs=None):
        if self.monitor not in (logs or {}):
            raise ValueError(
                f"The logs have no {self.monitor!r}. Pass validation_data to fit, or another "
                f"`monitor`. Received: {', '.join(sorted(logs or {})) or 'no logs'}"
            )
        if self.trigger.update(logs[self.monitor]):
            self._optimizer().trigger()

    def _optimizer(self):
        optimizer = self.model.optimizer
        # compile() under mixed_float16 puts its own loss scaling around ours.
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            optimizer = optimizer.inner_optimizer
        if not isinstance(optimizer, NTASGD):
            raise ValueError(
                "NonMonotonicTriggerCallback needs a model compiled with NTASGD(...). "
                f"Received: optimizer={optimizer!r}"
            )
        return optimizer
