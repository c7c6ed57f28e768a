"""Training and evaluation of a language model on consecutive windows of a text, for `fit`."""

import random

import keras
import tensorflow as tf

from awd_keras.models.train_step import make_train_step, window_loss


class WindowTraining:
    """The steps of `fit` and `evaluate` that carry the state from window to window.

    The arguments are those of `make_train_step`.
    """

    def __init__(self, model, optimizer, ar_alpha, tar_beta, global_clipnorm):
        self._model = model
        self._optimizer = optimizer
        self._train_step = make_train_step(
            model,
            optimizer,
            ar_alpha=ar_alpha,
            tar_beta=tar_beta,
            global_clipnorm=global_clipnorm,
            seed=random.randrange(2**31) if model.seed is None else model.seed,
        )
        # In float64, so that the sums over long texts are exact.
        self.loss = keras.metrics.Mean(name="loss", dtype="float64")
        self.bptt = tf.Variable(1.0, trainable=False, dtype=tf.float64)
        self.starting = tf.Variable(True, trainable=False)
        self._carried = tf.nest.map_structure(
            lambda state: tf.Variable(state, trainable=False, shape=(None, state.shape[1])),
            model.initial_state(0),
        )

    def train(self, inputs, targets):
        """Trains on a window, with a learning rate proportional to its length; returns logs."""
        # At the end of the data, no variable may change before fetching the next window fails.
        with tf.control_dependencies([inputs]):
            learning_rate = tf.identity(self._optimizer.learning_rate)
            length = tf.cast(tf.shape(inputs)[1], tf.float64)
            scaled = tf.cast(learning_rate, tf.float64) * length / self.bptt
            loss, _, states = self._train_step(
                inputs,
                targets,
                self._states(inputs),
                tf.cast(scaled, tf.float32),
                tf.cast(self._optimizer.iterations, tf.int32),
            )
            self._optimizer.learning_rate = learning_rate
            return self._update(loss, targets, states)

    def test(self, inputs, targets):
        """Evaluates a window; returns logs."""
        total, states = window_loss(self._model, inputs, targets, self._states(inputs))
        num_tokens = tf.cast(tf.size(targets), tf.float64)
        return self._update(tf.cast(total, tf.float64) / num_tokens, targets, states)

    def _states(self, inputs):
        """Returns the states carried from the last window, or zeros after a reset."""
        return tf.cond(
            self.starting,
            lambda: self._model.initial_state(tf.shape(inputs)[0]),
            lambda: tf.nest.map_structure(tf.convert_to_tensor, self._carried),
        )

    def _update(self, loss, targets, states):
        tf.nest.map_structure(lambda variable, state: variable.assign(state), self._carried, states)
        self.starting.assign(False)
        self.loss.update_state(loss, sample_weight=tf.size(targets))
        mean = self.loss.result()
        return {"loss": mean, "perplexity": tf.exp(mean)}
