"""What every layer with a random mask shares: its rate and where its seeds come from."""

import math
import numbers

import keras
import tensorflow as tf


def validated_rate(name, rate):
    """Checks a dropout rate.

    Args:
        name: name of the argument, for the message.
        rate: the probability of dropping.

    Returns:
        the rate as a float.

    Raises:
        ValueError: if it is not a number in [0, 1).
    """
    number = isinstance(rate, numbers.Real) and not isinstance(rate, bool)
    if not number or math.isnan(rate) or not 0 <= rate < 1:
        raise ValueError(
            f"`{name}` must be a number in [0, 1), the probability of dropping. "
            f"Received: {name}={rate!r}"
        )
    return float(rate)


class StochasticLayer(keras.layers.Layer):
    """Base of the layers that draw a mask.

    A mask is a pure function of an int32 seed of shape (2,). A training loop passes the seed to
    `call`, so that nothing random has to be saved; without one, as in `fit`, the layer draws it
    from its own `keras.random.SeedGenerator`.

    Args:
        seed: None or int, the start of the layer's own generator.
        **kwargs: of `keras.layers.Layer`.
    """

    def __init__(self, seed=None, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.supports_masking = True

    def mask_seed(self, seed):
        """The seed given to `call`, or the next one of the layer's generator."""
        if seed is not None:
            return seed
        return tf.cast(self.seed_generator.next(), tf.int32)

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}
