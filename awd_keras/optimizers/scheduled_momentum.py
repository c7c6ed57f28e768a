"""SGD and Adam whose momentum is a variable, as their learning rate is: schedules can set it."""

import keras
from keras import ops


class _ScheduledMomentum:
    """What the two have in common: the variable. `build` is called once the rest is built."""

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self._current_momentum = self.add_variable(
            (), initializer="zeros", dtype="float32", name="current_momentum"
        )
        self.assign_momentum(self._initial_momentum)

    def assign_momentum(self, momentum):
        """Sets the momentum of the steps to come.

        Args:
            momentum: a float in [0, 1).
        """
        self._current_momentum.assign(momentum)

    @property
    def current_momentum(self):
        """The momentum of the next step (float)."""
        return float(self._current_momentum.numpy())


@keras.saving.register_keras_serializable(package="awd_keras")
class ScheduledMomentumSGD(_ScheduledMomentum, keras.optimizers.SGD):
    """SGD with a momentum that can be set between steps: `assign_momentum`.

    The update is Keras's: the velocity takes in the learning rate of its step,
    `velocity = momentum * velocity - learning_rate * gradient`, and is added to the weights.

    Args:
        learning_rate: a float or a schedule.
        momentum: the momentum of the first step, above 0.
        **kwargs: those of `keras.optimizers.SGD`.

    Raises:
        ValueError: without momentum, or with `nesterov`.

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
        if not momentum or self.nesterov:
            raise ValueError(
                "ScheduledMomentumSGD needs a momentum above 0, without nesterov. Received: "
                f"momentum={momentum}, nesterov={self.nesterov}"
            )
        self._initial_momentum = momentum

    def update_step(self, gradient, variable, learning_rate):
        learning_rate = ops.cast(learning_rate, variable.dtype)
        momentum = ops.cast(self._current_momentum, variable.dtype)
        velocity = self.momentums[self._get_variable_index(variable)]
        step = ops.multiply(ops.cast(gradient, variable.dtype), learning_rate)
        self.assign(velocity, ops.subtract(ops.multiply(velocity, momentum), step))
        self.assign_add(variable, velocity)


@keras.saving.register_keras_serializable(package="awd_keras")
class ScheduledMomentumAdam(_ScheduledMomentum, keras.optimizers.Adam):
    """Adam with a beta_1 that can be set between steps: `assign_momentum`.

    The correction of the bias takes the beta_1 of the step, as other implementations of the
    one-cycle policy do; after some tens of steps it is 1.

    Args:
        learning_rate: a float or a schedule.
        beta_1: the momentum of the first step.
        **kwargs: those of `keras.optimizers.Adam`.

    Raises:
        ValueError: with `amsgrad`.

    Example:

    >>> optimizer = ScheduledMomentumAdam(0.001, beta_1=0.8)
    >>> optimizer.build([keras.Variable([0.0])])
    >>> optimizer.assign_momentum(0.75)
    >>> optimizer.current_momentum
    0.75
    """

    def __init__(self, learning_rate=0.001, beta_1=0.9, **kwargs):
        super().__init__(learning_rate, beta_1, **kwargs)
        if self.amsgrad:
            raise ValueError("ScheduledMomentumAdam has no amsgrad.")
        self._initial_momentum = beta_1

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        gradient, learning_rate = ops.cast(gradient, dtype), ops.cast(learning_rate, dtype)
        beta_1, beta_2 = ops.cast(self._current_momentum, dtype), self.beta_2
        step = ops.cast(self.iterations + 1, dtype)
        index = self._get_variable_index(variable)
        mean, variance = self._momentums[index], self._velocities[index]
        self.assign_add(mean, ops.multiply(ops.subtract(gradient, mean), 1 - beta_1))
        self.assign_add(
            variance, ops.multiply(ops.subtract(ops.square(gradient), variance), 1 - beta_2)
        )
        correction = ops.sqrt(1 - ops.power(ops.cast(beta_2, dtype), step))
        correction = correction / (1 - ops.power(beta_1, step))
        change = ops.divide(
            ops.multiply(mean, learning_rate * correction), ops.sqrt(variance) + self.epsilon
        )
        self.assign_sub(variable, change)
