"""NT-ASGD: an optimizer around any other that averages the weights once triggered."""

import contextlib

import keras
import tensorflow as tf

from awd_keras.ops.replicas import num_replicas
from awd_keras.optimizers.in_place_sgd import InPlaceSGD


@keras.saving.register_keras_serializable(package="awd_keras")
class NTASGD(keras.optimizers.Optimizer):
    """Averages the weights of another optimizer from the moment it is triggered.

    The averaging half of NT-ASGD (algorithm 1 of the paper); `NonMonotonicTrigger` is the test
    that decides when. Before the trigger the average equals the weights. `trigger()` counts
    nothing: the first step after it sets the average, and the k-th adds `(w - average) / k`. The
    optimizer inside goes on from the raw weights. One graph serves before and after.

    Unlike PyTorch's ASGD, whose step uses the learning rate of the step before, every step uses
    the learning rate as it stands.

    Args:
        optimizer: any Keras optimizer. The paper's is
            `keras.optimizers.SGD(30.0, weight_decay=1.2e-6, global_clipnorm=0.25)`, which clips
            the global norm first, then adds L2 decay.
        name: name of the optimizer.
        **kwargs: refused: clipping, decay and the like belong to the optimizer inside.

    Raises:
        ValueError: if `optimizer` is not a Keras optimizer, or for further arguments.

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

    def __init__(self, optimizer, name="nt_asgd", **kwargs):
        if not isinstance(optimizer, keras.optimizers.Optimizer):
            raise ValueError(
                "`optimizer` must be a Keras optimizer, such as keras.optimizers.SGD(30.0). "
                f"Received: optimizer={optimizer!r}"
            )
        # Keras's saved configurations carry defaults of the base class; they change nothing.
        given = [key for key, value in kwargs.items() if value not in (None, False, 0.0)]
        if given:
            raise ValueError(
                f"NTASGD takes no {', '.join(sorted(given))}: give it to the optimizer inside."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.optimizer = optimizer
        self._swapped = False

    def build(self, variables):
        """Creates the slots: an average for each variable, the switch and the count."""
        if self.built:
            return
        # Zeros, never read: the first step sets them. (The weights may have no values yet, in a
        # model that `fit` builds, and a checkpoint restored before `build` must win.)
        self._averages = self.add_optimizer_variables(variables, "average")
        self._triggered = self.add_variable((), dtype="bool", initializer="zeros", name="triggered")
        self._num_averaged = self.add_variable(
            (), dtype="int64", initializer="zeros", name="num_averaged"
        )
        self.optimizer.build(variables)
        super().build(variables)

    def apply(self, gradients, trainable_variables=None, gradient_scale=None):
        """One step of the optimizer inside, then of the average.

        Args:
            gradients: list of tensors.
            trainable_variables: list of variables in the same order; those of `build` if None.
            gradient_scale: None, or a factor on all gradients, such as that of clipping;
                `InPlaceSGD` takes it into its pass.
        """
        gradients = list(gradients)
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        else:
            trainable_variables = list(trainable_variables)
            if not self.built:
                with tf.init_scope():
                    self.build(trainable_variables)
        if gradient_scale is None:
            self.optimizer.apply(gradients, trainable_variables)
        elif isinstance(self.optimizer, InPlaceSGD) and num_replicas() == 1:
            self.optimizer.apply(gradients, trainable_variables, gradient_scale=gradient_scale)
        else:
            scaled = [tf.cast(gradient_scale, g.dtype) * g for g in gradients]
            self.optimizer.apply(scaled, trainable_variables)
        self._update_averages(trainable_variables)

    def _update_averages(self, variables):
        triggered = tf.convert_to_tensor(self._triggered)
        count = tf.convert_to_tensor(self._num_averaged) + tf.cast(triggered, tf.int64)
        self._num_averaged.assign(count)
        averages = [self._averages[self._get_variable_index(variable)] for variable in variables]

        def change_and_step(variable, average):
            mean = tf.convert_to_tensor(average)
            step = tf.cast(triggered, mean.dtype) / tf.cast(tf.maximum(count, 1), mean.dtype)
            # The first step is 1, from slots of zeros: it sets the average exactly.
            return mean - tf.convert_to_tensor(variable), step

        def move():
            for variable, average in zip(variables, averages, strict=True):
                change, step = change_and_step(variable, average)
                # average -= step * change, in one pass
                tf.raw_ops.ResourceApplyGradientDescent(
                    var=average.value.handle, alpha=step, delta=change
                )
            return count

        if num_replicas() > 1:
            # A condition around assignments cannot cross replicas: before the trigger, step is 0.
            for variable, average in zip(variables, averages, strict=True):
                change, step = change_and_step(variable, average)
                average.assign_sub(step * change)
        else:
            tf.cond(triggered, move, lambda: count)  # saves a pass over all weights

    def trigger(self):
        """Starts the averaging; the next step is the first that counts."""
        if not self.built:
            raise ValueError("NTASGD.trigger() needs variables: call build(variables) first.")
        self._triggered.assign(True)

    @property
    def triggered(self):
        """Whether the averaging has started (bool)."""
        return bool(self.built and self._triggered.numpy())

    @property
    def num_averaged(self):
        """How many steps the average is made of (int)."""
        return int(self._num_averaged.numpy()) if self.built else 0

    @contextlib.contextmanager
    def averaged_weights(self):
        """Puts the averages in place of the weights, for as long as the `with` block lasts.

        The weights are copied aside and put back bit for bit, whatever happens inside.

        Raises:
            RuntimeError: inside another `averaged_weights`, or before `build`.
        """
        if not self.built:
            raise RuntimeError("NTASGD has no averages yet: call build(variables) first.")
        if self._swapped:
            raise RuntimeError("averaged_weights() is already in effect; it does not nest.")
        variables = self._trainable_variables
        saved = [tf.identity(tf.convert_to_tensor(variable)) for variable in variables]
        self._swapped = True
        try:
            # Before the first averaged step the average is the weights, also where somebody has
            # set them since the last step.
            if self.num_averaged:
                for variable, average in zip(variables, self._averages, strict=True):
                    variable.assign(average)
            yield
        finally:
            for variable, value in zip(variables, saved, strict=True):
                variable.assign(value)
            self._swapped = False

    @property
    def variables(self):
        return self._variables + self.optimizer.variables

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
