"""SGD that scales, decays and updates each weight in one operation."""

import keras
import tensorflow as tf

# A step that decays a weight to zero divides by this instead of by zero.
_SMALLEST_FACTOR = 1e-30


@keras.saving.register_keras_serializable(package="awd_keras")
class InPlaceSGD(keras.optimizers.SGD):
    """SGD with L2 decay, in one pass over weights too large for a processor's cache.

    The update is that of `keras.optimizers.SGD(learning_rate, weight_decay=...)`:

        weight = (1 - learning_rate * weight_decay) * weight - learning_rate * gradient

    Keras makes four passes over the weights, two of them for temporary copies. On a CPU, this
    class makes one, which also applies a factor common to all gradients, such as that of clipping.

    Args:
        learning_rate: A float or a schedule. Defaults to 0.01.
        weight_decay: `None` (the default) or a float, the factor of the L2 decay.
        **kwargs: Further arguments of `keras.optimizers.SGD`, except momentum.

    Raises:
        ValueError: If `momentum` or `nesterov` is given.

    Example:

    >>> weight = keras.Variable([1.0])
    >>> optimizer = InPlaceSGD(0.5, weight_decay=0.5)
    >>> optimizer.build([weight])
    >>> optimizer.apply([tf.constant([4.0])], gradient_scale=0.25)
    >>> f"{float(weight[0]):.4f}"  # 0.75 * 1 - 0.5 * 0.25 * 4
    '0.2500'
    """

    def __init__(self, learning_rate=0.01, weight_decay=None, **kwargs):
        super().__init__(learning_rate, weight_decay=weight_decay, **kwargs)
        if self.momentum or self.nesterov:
            raise ValueError(
                "InPlaceSGD has no momentum; use keras.optimizers.SGD. Received: "
                f"momentum={self.momentum}, nesterov={self.nesterov}"
            )
        self._gradient_scale = 1.0

    def apply(self, gradients, trainable_variables=None, gradient_scale=1.0):
        """Updates the variables.

        Args:
            gradients: List of tensors.
            trainable_variables: List of variables in the same order. Defaults to the variables
                passed to `build`.
            gradient_scale: Float or scalar tensor that multiplies all gradients.
        """
        self._gradient_scale = gradient_scale
        try:
            super().apply(gradients, trainable_variables)
        finally:
            self._gradient_scale = 1.0

    def _apply_weight_decay(self, variables):
        """Does nothing: `update_step` decays the weights."""

    def update_step(self, gradient, variable, learning_rate):
        dtype = variable.dtype
        gradient = tf.cast(tf.convert_to_tensor(gradient), dtype)
        learning_rate = tf.cast(learning_rate, dtype)
        weight_decay = (self.weight_decay or 0.0) if self._use_weight_decay(variable) else 0.0
        decay = learning_rate * tf.cast(weight_decay, dtype)
        rate = learning_rate * tf.cast(self._gradient_scale, dtype)
        if "GPU" in variable.device or dtype not in (tf.float32, tf.float64):
            variable.assign_sub(decay * variable + rate * gradient)
            return
        # The operation computes (weight - alpha * gradient) / (1 + alpha * l2), which is the
        # update for these values of alpha and l2. It has a CPU kernel only.
        factor = tf.where(decay == 1, tf.constant(_SMALLEST_FACTOR, dtype), 1 - decay)
        alpha = rate / factor
        l2 = tf.math.divide_no_nan(decay / factor, alpha)
        tf.raw_ops.ResourceApplyProximalGradientDescent(
            var=variable.handle, alpha=alpha, l1=tf.zeros((), dtype), l2=l2, delta=gradient
        )
