"""SGD and Adam whose momentum can be changed between steps, as a one-cycle schedule requires."""

import keras
from keras import ops


class _ScheduledMomentum:
    """Mixin that keeps the momentum in a variable, so that a traced step sees changes."""

    def build(self, variables):
        if not self.built:
            super().build(variables)
            self.current_momentum = self.add_variable((), dtype="float32", name="current_momentum")
            self.assign_momentum(self._initial_momentum)

    def assign_momentum(self, momentum):
        """Sets the momentum of the next steps, a float in the range `[0, 1)`."""
        self.current_momentum.assign(momentum)


@keras.saving.register_keras_serializable(package="awd_keras")
class ScheduledMomentumSGD(_ScheduledMomentum, keras.optimizers.SGD):
    """SGD with a momentum that `assign_momentum` changes between steps.

    Args:
        learning_rate: A float or a schedule. Defaults to 0.01.
        momentum: Momentum of the first step, greater than 0. Defaults to 0.9.
        **kwargs: Further arguments of `keras.optimizers.SGD`, except `nesterov`.

    Example:

    >>> weight = keras.Variable([0.0])
    >>> optimizer = ScheduledMomentumSGD(1.0, momentum=0.5)
    >>> optimizer.build([weight])
    >>> optimizer.apply([ops.convert_to_tensor([1.0])])
    >>> optimizer.assign_momentum(0.25)
    >>> optimizer.apply([ops.convert_to_tensor([1.0])])
    >>> float(weight[0])  # -1, then 0.25 * -1 - 1
    -2.25
    """

    def __init__(self, learning_rate=0.01, momentum=0.9, **kwargs):
        super().__init__(learning_rate, momentum, **kwargs)
        self._initial_momentum = momentum

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        momentum = ops.cast(self.current_momentum, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        step = ops.multiply(ops.cast(gradient, variable.dtype), learning_rate)
        self.assign(velocity, ops.subtract(ops.multiply(velocity, momentum), step))
        self.assign_add(variable, velocity)


@keras.saving.register_keras_serializable(package="awd_keras")
class ScheduledMomentumAdam(_ScheduledMomentum, keras.optimizers.Adam):
    """Adam with a `beta_1` that `assign_momentum` changes between steps.

    The bias correction uses the current `beta_1`, as in other implementations of the one-cycle
    policy. After a few dozen steps, the correction is negligible.

    Args:
        learning_rate: A float or a schedule. Defaults to 0.001.
        beta_1: Momentum of the first step. Defaults to 0.9.
        **kwargs: Further arguments of `keras.optimizers.Adam`.
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, **kwargs):
        super().__init__(learning_rate, beta_1, **kwargs)
        self._initial_momentum = beta_1

    def update_step(self, gradient, variable, learning_rate):
        self.beta_1 = ops.cast(self.current_momentum, variable.dtype)
        super().update_step(gradient, variable, learning_rate)
        self.beta_1 = self._initial_momentum
