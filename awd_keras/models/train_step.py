"""One step of training: a window of the text, its gradient, an update."""

import tensorflow as tf

from awd_keras.losses.activation_regularization import (
    activation_regularization,
    temporal_activation_regularization,
)
from awd_keras.ops.cross_entropy import sequence_cross_entropy
from awd_keras.ops.layout import transposed_ids
from awd_keras.ops.random import fold_in, run_seed
from awd_keras.ops.replicas import all_rows, mean_over_replicas, num_replicas, replica_rows


def make_train_step(model, optimizer, *, ar_alpha, tar_beta, global_clipnorm, seed):
    """Makes the `tf.function` that trains on one window of any length; it is traced once.

    Under a `tf.distribute` strategy the columns of the batch are split over its replicas. What
    goes in and what comes out is the whole batch's all the same; the gradient is clipped once,
    after the mean over replicas.

    Args:
        model: an `AWDLSTMLanguageModel`.
        optimizer: an `NTASGD`, built for `model.trainable_variables`.
        ar_alpha: weight of AR, on the dropped outputs of the last layer.
        tar_beta: weight of TAR, on the raw ones.
        global_clipnorm: largest global norm of the gradient.
        seed: int, seed of the run; the masks of a step are a function of it and the step.

    Returns:
        `train_step(inputs, targets, states, learning_rate, step) -> (loss, gradient_norm, states)`:
        inputs and targets int32 (batch_size, timesteps), states as `model.initial_state`,
        learning_rate a float32 scalar, step an int32 scalar. The loss is in nats per token,
        without the penalties; the norm is the one before clipping.
    """
    token_ids = tf.TensorSpec((None, None), tf.int32)
    states_spec = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, state.shape[1]), state.dtype), model.initial_state(1)
    )
    scalar = tf.TensorSpec((), tf.float32)
    variables = model.trainable_variables
    base_seed = run_seed(seed)
    strategy = tf.distribute.get_strategy()

    @tf.function(
        input_signature=[token_ids, token_ids, states_spec, scalar, tf.TensorSpec((), tf.int32)]
    )
    def train_step(inputs, targets, states, learning_rate, step):
        optimizer.learning_rate = learning_rate
        results = strategy.run(update, (inputs, targets, states, step))
        return tf.nest.map_structure(
            lambda result: strategy.experimental_local_results(result)[0], results
        )

    def update(inputs, targets, states, step):
        inputs, targets = (transposed_ids(replica_rows(ids)) for ids in (inputs, targets))
        states = tf.nest.map_structure(replica_rows, states)
        with tf.device("CPU:0"):  # two integers
            step_seed = fold_in(base_seed, step)
        with tf.GradientTape() as tape:
            raw, dropped, states = model.backbone(
                inputs, states, training=True, seed=step_seed, time_major=True
            )
            total, num_tokens = sequence_cross_entropy(
                dropped, model.decoder.matrix, model.decoder.bias, targets
            )
            loss = total / num_tokens
            objective = (
                loss
                + activation_regularization(dropped, ar_alpha)
                + temporal_activation_regularization(raw, tar_beta, time_major=True)
            )
        gradients = tape.gradient(objective, variables)
        # An untied embedding's gradient comes as rows, repeated where words are: the norm must
        # see their sum.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        # All replicas have as many tokens, so that the means of their means are those of the batch.
        loss, *gradients = mean_over_replicas([loss, *gradients])
        norm = tf.linalg.global_norm(gradients)
        # Keras sums the gradients of the replicas, which by now are equal.
        scale = clipping_scale(norm, global_clipnorm) / num_replicas()
        optimizer.apply(gradients, variables, gradient_scale=scale)
        return loss, norm, tf.nest.map_structure(all_rows, states)

    return train_step


def clipping_scale(norm, global_clipnorm):
    """The factor that clips a gradient: `min(1, global_clipnorm / norm)`.

    Args:
        norm: scalar tensor, the global norm of the gradient.
        global_clipnorm: the largest that it may have.

    Returns:
        a scalar tensor; NaN for a norm that is no number, so that nothing hides it.

    Example:

    >>> float(clipping_scale(tf.constant(0.5), 0.25))
    0.5
    """
    return tf.where(norm > global_clipnorm, global_clipnorm / norm, 1.0 + 0.0 * norm)
