"""Shared code of layers with a random mask: rates and seeds."""

import numbers

import tensorflow as tf

_SEED = "seed_generator"


def validated_rate(name, rate):
    """Returns a dropout rate as a float, or raises a `ValueError` if it is not in `[0, 1)`."""
    if not isinstance(rate, numbers.Real) or not 0 <= rate < 1:
        raise ValueError(
            f"`{name}` must be a number in the range [0, 1), the probability of dropping. "
            f"Received: {name}={rate!r}"
        )
    return float(rate)


class StochasticLayer:
    """Mixin for Keras layers that draw a mask and have a `seed_generator`.

    A mask is a pure function of an int32 seed of shape `(2,)`. A training loop passes the seed to
    `call`, so that there is no random state to save. In a call without `seed`, as in `fit`, the
    layer takes the next seed of its own generator, whose state it saves with the weights. (Keras
    does not save the state of its own layers.)
    """

    seed_generator = None

    def mask_seed(self, seed):
        """Returns the seed passed to `call`, or the next one of the layer's generator."""
        return tf.cast(self.seed_generator.next(), tf.int32) if seed is None else seed

    def save_own_variables(self, store):
        super().save_own_variables(store)
        if self.seed_generator is not None:
            store[_SEED] = self.seed_generator.state.numpy()

    def load_own_variables(self, store):
        if self.seed_generator is not None and _SEED in store.keys():
            self.seed_generator.state.assign(store[_SEED])
        super().load_own_variables({key: store[key] for key in store.keys() if key != _SEED})
