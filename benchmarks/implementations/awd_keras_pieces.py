"""This library's training step taken apart: each piece by itself, on the shapes of the step.

The stack of LSTMs is run in a model without dropouts, and each kind of mask by itself, so that
nothing is counted twice. Forward and backward pass of the stack are two calls of TensorFlow, as a
tape outside of a `tf.function` has it; the forward one keeps what the backward one needs.
"""

import time

import numpy as np
import tensorflow as tf

from awd_keras import losses, ops
from awd_keras.models.train_step import clipping_scale
from awd_keras.ops.layout import transposed_ids
from benchmarks import pieces
from benchmarks.implementations import awd_keras
from trainers.training import factory

_WINDOWS = 8
_INPUT_REPEATS = 20  # it takes microseconds
# Weights must not run away while made-up gradients are applied to them.
_TINY_LEARNING_RATE = 1e-9


class Implementation(awd_keras.Implementation):
    """The whole step as `awd_keras` has it, and its pieces."""

    def __init__(self, workload):
        super().__init__(workload)
        self.bare = factory.build_model(
            self.config.replace(dropout_multiplier=0.0), workload.vocabulary_size
        )
        self.averaging = factory.build_optimizer(self.config, self.model)
        self.averaging.trigger()
        self.columns = np.concatenate([workload.text(i) for i in range(_WINDOWS)], axis=1)
        # The tape, not the function, takes the gradient: forward and backward are timed apart.
        # Time-major, as the step has it.
        self._stack = tf.function(
            lambda inputs, states: self.bare.backbone(
                transposed_ids(inputs), states, training=True, time_major=True
            )[1]
        )
        time_and_batch = (workload.timesteps, workload.batch_size)
        sizes = [workload.embedding_dim] + [units for _, units in workload.layer_sizes]
        self._sequences = [self._normal((*time_and_batch, size)) for size in sizes]
        self._gradients = [
            1e-3 * tf.random.stateless_normal(variable.shape, (1, 2))
            for variable in self.model.trainable_variables
        ]
        self._functions = {
            pieces.EMBEDDING: tf.function(self._embedding),
            pieces.LOOKUP: tf.function(self._lookup),
            pieces.WEIGHT_MASKS: tf.function(self._weight_masks),
            pieces.LOCKED_MASKS: tf.function(self._locked_masks),
            pieces.SOFTMAX: tf.function(self._softmax),
            pieces.PENALTIES: tf.function(self._penalties),
            pieces.UPDATE: tf.function(lambda *_: self._update(self.optimizer)),
            pieces.AVERAGED_UPDATE: tf.function(lambda *_: self._update(self.averaging)),
        }

    def _normal(self, shape):
        return tf.cast(tf.random.stateless_normal(shape, (3, 4)), self.bare.compute_dtype)

    def round(self, index):
        """Times everything once: a dict of piece to seconds. Who goes first changes."""
        measures = [self._time_whole, self._time_input, self._time_stack]
        measures += [
            lambda index, name=name, function=function: self._time(name, function, index)
            for name, function in self._functions.items()
        ]
        first = index % len(measures)
        found = {}
        for measure in measures[first:] + measures[:first]:
            found.update(measure(index))
        return found

    def _window(self, index):
        """A window as the training loop makes it: inputs, targets, learning rate, step."""
        start = index % _WINDOWS * (self.workload.timesteps + 1)
        end = start + self.workload.timesteps
        return (
            tf.constant(self.columns[:, start:end]),
            tf.constant(self.columns[:, start + 1 : end + 1]),
            tf.constant(self.config.learning_rate, tf.float32),
            tf.constant(index, tf.int32),
        )

    def _time_whole(self, index):
        start = time.perf_counter()
        inputs, targets, learning_rate, step = self._window(index)
        loss, _, self._states = self._step(inputs, targets, self._states, learning_rate, step)
        float(loss)
        return {pieces.WHOLE: time.perf_counter() - start}

    def _time_input(self, index):
        start = time.perf_counter()
        for repeat in range(_INPUT_REPEATS):
            self._window(index + repeat)
        return {pieces.INPUT: (time.perf_counter() - start) / _INPUT_REPEATS}

    def _time_stack(self, index):
        inputs = self._window(index)[0]
        states = self.bare.initial_state(self.workload.batch_size)
        variables = self.bare.backbone.trainable_variables
        start = time.perf_counter()
        with tf.GradientTape() as tape:
            outputs = self._stack(inputs, states)
        _wait_for(outputs)
        between = time.perf_counter()
        gradients = tape.gradient(outputs, variables, output_gradients=self._sequences[-1])
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        _wait_for(gradients[-1])
        end = time.perf_counter()
        return {pieces.FORWARD: between - start, pieces.BACKWARD: end - between}

    def _time(self, name, function, index):
        inputs, targets, _, step = self._window(index)
        seed = ops.fold_in(ops.run_seed(self.workload.seed), step)
        start = time.perf_counter()
        _wait_for(tf.nest.flatten(function(inputs, targets, seed))[-1])
        return {name: time.perf_counter() - start}

    # Each makes its part of the forward pass and the gradient by what came in, from a gradient of
    # the same shape as what came out.

    def _embedding(self, inputs, targets, seed, training=True):
        layer = self.model.backbone.dropped_embedding
        matrix = layer.embedding.embeddings
        with tf.GradientTape() as tape:
            embedded = layer(transposed_ids(inputs), training=training, seed=seed)
        gradient = tape.gradient(embedded, matrix, output_gradients=self._sequences[0])
        # As it comes, in rows: to add them up is counted with the stack.
        return embedded, tf.nest.flatten(gradient, expand_composites=True)[0]

    def _lookup(self, inputs, targets, seed):
        return self._embedding(inputs, targets, seed, training=False)

    def _weight_masks(self, inputs, targets, seed):
        layers = self.model.backbone.lstm_layers
        kernels = [layer.recurrent_kernel for layer in layers]
        with tf.GradientTape() as tape:
            masked = [
                layer.masked_recurrent_kernel(ops.fold_in(seed, index))
                for index, layer in enumerate(layers)
            ]
        return masked, tape.gradient(masked, kernels, output_gradients=masked)

    def _locked_masks(self, inputs, targets, seed):
        backbone = self.model.backbone
        layers = [backbone.input_locked_dropout, *backbone.hidden_locked_dropouts]
        layers.append(backbone.output_locked_dropout)
        with tf.GradientTape() as tape:
            tape.watch(self._sequences)
            dropped = [
                layer(sequence, training=True, seed=ops.fold_in(seed, index), time_major=True)
                for index, (layer, sequence) in enumerate(zip(layers, self._sequences))
            ]
        return dropped, tape.gradient(dropped, self._sequences, output_gradients=dropped)

    def _softmax(self, inputs, targets, seed):
        hidden, decoder = self._sequences[-1], self.model.decoder
        with tf.GradientTape() as tape:
            tape.watch(hidden)
            total, count = ops.sequence_cross_entropy(hidden, decoder.matrix, decoder.bias, targets)
            loss = total / count
        return loss, tape.gradient(loss, [hidden, decoder.matrix, decoder.bias])

    def _penalties(self, inputs, targets, seed):
        outputs = self._sequences[-1]
        with tf.GradientTape() as tape:
            tape.watch(outputs)
            penalty = losses.activation_regularization(outputs, self.config.ar_alpha)
            penalty += losses.temporal_activation_regularization(
                outputs, self.config.tar_beta, time_major=True
            )
        return penalty, tape.gradient(penalty, outputs)

    def _update(self, optimizer):
        variables = self.model.trainable_variables
        norm = tf.linalg.global_norm(self._gradients)
        optimizer.learning_rate = _TINY_LEARNING_RATE
        scale = clipping_scale(norm, self.config.global_clipnorm)
        optimizer.apply(self._gradients, variables, gradient_scale=scale)
        return norm, tf.convert_to_tensor(variables[-1])


def _wait_for(tensor):
    """Reads a number, since a GPU works on while Python goes on."""
    return float(tf.reshape(tensor, [-1])[0])
