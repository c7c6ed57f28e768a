"""One step of training: a window of the text, its gradient, an update."""

import tensorflow as tf

from awd_keras.losses.activation_regularization import (
    activation_regularization,
    temporal_activation_regularization,
)
from awd_keras.ops.cross_entropy import sequence_cross_entropy
from awd_keras.ops.layout import transposed_ids
from awd_keras.ops.random import fold_in, run_seed


def make_train_step(model, optimizer, *, ar_alpha, tar_beta, global_clipnorm, seed):
    """Makes the `tf.function` that trains on one window of any length; it is traced once.

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

    @tf.function(
        input_signature=[token_ids, token_ids, states_spec, scalar, tf.TensorSpec((), tf.int32)]
    )
    def train_step(inputs, targets, states, learning_rate, step):
        with tf.GradientTape() as tape:
            raw, dropped, states = model.backbone(
                transposed_ids(inputs), states, training=True, seed=fold_in(base_seed, step),
                time_major=True)  # fmt: skip
            total, num_tokens = sequence_cross_entropy(
                dropped, model.decoder.matrix, model.decoder.bias, transposed_ids(targets)
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
        norm = tf.linalg.global_norm(gradients)
        optimizer.learning_rate = learning_rate
        optimizer.apply(gradients, variables, gradient_scale=clipping_scale(norm, global_clipnorm))
        return loss, norm, states

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
