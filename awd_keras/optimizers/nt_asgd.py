"""NT-ASGD: a wrapper that averages the weights of another optimizer once triggered."""

import contextlib

import keras
import numpy as np
import tensorflow as tf


@keras.saving.register_keras_serializable(package="awd_keras")
class NTASGD(keras.optimizers.Optimizer):
    """Averages the weights of another optimizer from the moment it is triggered.

    This is the averaging half of NT-ASGD (algorithm 1 of the paper); `NonMonotonicTrigger` decides
    when it starts. Before that, the average equals the weights. The first step after `trigger()`
    sets the average to the new weights `w`, and the k-th step adds `(w - average) / k` to it. The
    wrapped optimizer always continues from the weights themselves. `trigger()` does not retrace
    functions.

    Each step uses the current learning rate. (PyTorch's ASGD uses that of the previous step.)

    Args:
        optimizer: A Keras optimizer, or any identifier that `keras.optimizers.get` accepts. The
            paper uses `keras.optimizers.SGD(30.0, weight_decay=1.2e-6, global_clipnorm=0.25)`,
            which clips the global norm first and then adds L2 decay.
        name: Name of the optimizer. Defaults to `"nt_asgd"`.

    Attributes:
        optimizer: The wrapped optimizer.
        branch_free: Whether steps before the trigger run the averaging too, without effect, instead
            of a condition, at which XLA would make a GPU wait. `False` at first.
        record: List of the validation losses seen by `NonMonotonicTriggerCallback`. It is saved
            with the variables, so that `fit` can be resumed.

    Raises:
        ValueError: If `optimizer` is a `LossScaleOptimizer`, or unknown to Keras.

    Example:

    >>> weight = keras.Variable([1.0])
    >>> optimizer = NTASGD(keras.optimizers.SGD(1.0))
    >>> optimizer.build([weight])
    >>> optimizer.trigger()
    >>> for _ in range(3):
    ...     optimizer.apply([tf.constant([1.0])])
    >>> float(weight[0])
    -2.0
    >>> with optimizer.averaged_weights():  # the mean of 0, -1 and -2
    ...     float(weight[0])
    -1.0
    """

    def __init__(self, optimizer, name="nt_asgd"):
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = keras.optimizers.get(optimizer)
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            raise ValueError(
                "NTASGD cannot wrap a LossScaleOptimizer, which must be the outer one: "
                "LossScaleOptimizer(NTASGD(...)). Under mixed_float16, `compile` adds it for you."
            )
        self.branch_free = False
        self.record = []
        self._starts_triggered = False
        self._raw_weights = None
        self._swapped_at = None

    def build(self, variables):
        if self.built:
            return
        # Averages start from zeros, which the first averaged step overwrites. (The weights may have
        # no values yet, or a checkpoint may be restored later.)
        self._averages = self.add_optimizer_variables(variables, "average")
        start = "ones" if self._starts_triggered else "zeros"
        self._triggered = self.add_variable((), start, dtype="bool", name="triggered")
        self._num_averaged = self.add_variable((), dtype="int64", name="num_averaged")
        self.optimizer.build(variables)
        super().build(variables)

    def apply(self, gradients, trainable_variables=None):
        """Updates the variables with the wrapped optimizer, then their averages."""
        gradients = list(gradients)
        if trainable_variables is not None:
            trainable_variables = list(trainable_variables)
            self.build(trainable_variables)
        iterations = tf.identity(self.optimizer.iterations)
        self.optimizer.apply(gradients, trainable_variables)
        # While the wrapped optimizer accumulates gradients, there is nothing to average.
        averaging = tf.convert_to_tensor(self._triggered) & (self.optimizer.iterations > iterations)
        # At the end of a dataset, `fit` starts a step before it finds that no data is left. The
        # count waits for the gradients, so that it does not include this step.
        tensors = tf.nest.flatten(gradients, expand_composites=True)
        with tf.control_dependencies([tensor for tensor in tensors if tensor is not None][:1]):
            self._num_averaged.assign_add(tf.cast(averaging, tf.int64))
            count = tf.convert_to_tensor(self._num_averaged)
            if self.branch_free:
                self._average(averaging, count)
                return
            # The condition saves a pass over all weights before the trigger.
            tf.cond(averaging, lambda: self._average(averaging, count), lambda: count)

    def _average(self, averaging, count):
        # All variables, even if a layer has been frozen since `build`.
        for variable, average in zip(self._trainable_variables, self._averages, strict=True):
            mean = tf.convert_to_tensor(average)
            # average -= (average - variable) / count, in one pass. The first step, from zeros, is
            # exact. (Replicas cannot use `assign_sub` inside a condition.)
            tf.raw_ops.ResourceApplyGradientDescent(
                var=average.value.handle,
                alpha=tf.where(averaging, 1 / tf.cast(count, mean.dtype), 0.0),
                delta=mean - tf.convert_to_tensor(variable),
            )
        return count

    def trigger(self):
        """Starts averaging with the next step. Can be called before `build`."""
        self._starts_triggered = True
        if self.built:
            self._triggered.assign(True)

    @property
    def triggered(self):
        """Whether averaging has been triggered, as a bool."""
        return bool(self._triggered.numpy()) if self.built else self._starts_triggered

    @property
    def num_averaged(self):
        """The number of steps in the average, as an int."""
        return int(self._num_averaged.numpy()) if self.built else 0

    def adopt_average(self):
        """Sets the weights to their averages. The next step starts a new average."""
        if self.num_averaged:
            for variable, average in zip(self._trainable_variables, self._averages, strict=True):
                variable.assign(average)
                average.assign(tf.zeros_like(average))
            self._num_averaged.assign(0)

    @contextlib.contextmanager
    def averaged_weights(self):
        """Replaces the weights with their averages inside a `with` block.

        Afterwards, the weights are restored bit for bit, even if the block raises an exception.

        Raises:
            RuntimeError: If called inside another `averaged_weights()` block, or before `build`.
        """
        self.swap_in()
        try:
            yield
        finally:
            self.swap_out()

    def swap_in(self):
        """Replaces the weights with their averages until `swap_out()`."""
        if not self.built:
            raise RuntimeError("NTASGD has no averages yet: call build(variables) first.")
        if self._raw_weights is not None:
            raise RuntimeError("The averages are already in use; the blocks cannot be nested.")
        variables = self._trainable_variables
        self._raw_weights = tuple(tf.identity(tf.convert_to_tensor(v)) for v in variables)
        self._swapped_at = int(self.iterations.numpy())
        # Before the first averaged step, the weights are their own average.
        if self.num_averaged:
            for variable, average in zip(variables, self._averages, strict=True):
                variable.assign(average)

    def swap_out(self):
        """Restores the weights replaced by `swap_in()`, if any, bit for bit."""
        if self._raw_weights is not None:
            for variable, value in zip(self._trainable_variables, self._raw_weights, strict=True):
                variable.assign(value)
            self._raw_weights = None

    def recover(self):
        """Ends a swap that an interrupted `fit` left, unless the weights were trained since."""
        if self._swapped_at != int(self.iterations.numpy()):
            self._raw_weights = None
        self.swap_out()

    def exclude_from_weight_decay(self, var_list=None, var_names=None):
        self.optimizer.exclude_from_weight_decay(var_list, var_names)

    @property
    def variables(self):
        return self._variables + self.optimizer.variables

    def set_weights(self, weights):
        """Sets the values of `variables`, including those of the wrapped optimizer."""
        for variable, weight in zip(self.variables, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store):
        super().save_own_variables(store)
        store["record"] = np.array(self.record, "float64")

    def load_own_variables(self, store):
        self._raw_weights = None
        arrays = {key: np.array(store[key]) for key in store.keys()}
        self.record = arrays.pop("record", np.zeros(0)).tolist()
        super().load_own_variables(arrays)

    @property
    def iterations(self):
        return self.optimizer.iterations

    @property
    def learning_rate(self):
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate):
        self.optimizer.learning_rate = learning_rate

    def scale_loss(self, loss):
        return self.optimizer.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        self.optimizer.finalize_variable_values(var_list)

    def get_config(self):
        return {
            "name": self.name,
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        optimizer = keras.saving.deserialize_keras_object(
            config["optimizer"], custom_objects=custom_objects
        )
        return cls(**{**config, "optimizer": optimizer})


def find_nt_asgd(model):
    """Returns the `NTASGD` of a compiled model, or raises a `ValueError` if it has none."""
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    if not isinstance(optimizer, NTASGD):
        raise ValueError(
            "The model must be compiled with awd_keras.optimizers.NTASGD(...). "
            f"Received: optimizer={model.optimizer!r}"
        )
    return optimizer


def averaged_weights(model):
    """Replaces the weights of a compiled model with their averages inside a `with` block.

    Works under every dtype policy. (Under `mixed_float16`, Keras wraps the optimizer in a
    `LossScaleOptimizer`, so that `model.optimizer` is not the `NTASGD`.)

    Args:
        model: A `keras.Model` compiled with an `NTASGD`.

    Returns:
        A context manager; see `NTASGD.averaged_weights`.

    Raises:
        ValueError: If the model was compiled with another optimizer.

    Example:

    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    >>> model.compile(NTASGD("sgd"), "mse")
    >>> x, y = keras.ops.ones((4, 2)), keras.ops.zeros((4, 1))
    >>> history = model.fit(x, y, verbose=0)
    >>> with averaged_weights(model):
    ...     predictions = model.predict(x, verbose=0)
    """
    return find_nt_asgd(model).averaged_weights()
