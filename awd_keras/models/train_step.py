"""One training step: the gradient on a window of the text, and an update."""

import tensorflow as tf

from awd_keras.errors import InputError
from awd_keras.losses.activation_regularization import (
    activation_regularization,
    temporal_activation_regularization,
)
from awd_keras.ops.lstm import transposed_ids
from awd_keras.ops.random import fold_in, run_seed
from awd_keras.ops.replicas import all_rows, mean_over_replicas, num_replicas, replica_rows


def window_signature(model):
    """Returns the input signature `(inputs, targets, states)` of windows of any size."""
    token_ids = tf.TensorSpec((None, None), tf.int32)
    states = tf.nest.map_structure(
        lambda state: tf.TensorSpec((None, state.shape[1]), state.dtype), model.initial_state(1)
    )
    return [token_ids, token_ids, states]


def window_loss(model, inputs, targets, states):
    """Returns the total loss of a window without dropout, and the final states."""
    _, outputs, states = model.backbone(
        transposed_ids(inputs), states, training=False, time_major=True
    )
    total, _ = model.decoder.loss(outputs, transposed_ids(targets), training=False)
    return total, states


def make_train_step(
    model,
    optimizer,
    *,
    ar_alpha,
    tar_beta,
    global_clipnorm,
    seed,
    kernel="auto",
    padded_lengths=(),
):
    """Returns a `tf.function` that trains on one window of any length, traced once.

    Under a `tf.distribute` strategy, each replica takes its share of the rows. Arguments and
    results still describe the whole batch, and the gradient is clipped once, after averaging it
    over replicas.

    Args:
        model: An `AWDLSTMLanguageModel`.
        optimizer: An `NTASGD` built for `model.trainable_variables`.
        ar_alpha: Weight of AR, applied to the dropped outputs of the last layer.
        tar_beta: Weight of TAR, applied to the raw outputs of the last layer.
        global_clipnorm: Maximum global norm of the gradient.
        seed: Non-negative integer. It determines the masks, together with the step.
        kernel: The `implementation` of `awd_keras.ops.lstm`. With `"xla"`, XLA compiles the whole
            step, once for each length. Defaults to `"auto"`.
        padded_lengths: With `kernel="xla"`, windows are padded to the next of these lengths, so
            that few are compiled. Padding affects results by rounding only. Defaults to none; see
            `awd_keras.data.batching.padded_lengths`.

    Returns:
        A function `train_step(inputs, targets, states, learning_rate, step)` that returns `(loss,
        gradient_norm, states)`. `inputs` and `targets` are int32 tensors of shape `(batch_size,
        timesteps)`, `states` has the structure of `model.initial_state(batch_size)`,
        `learning_rate` is a float32 scalar and `step` an int32 scalar. The loss is in nats per
        token, without penalties; the norm is measured before clipping.

    Raises:
        InputError: If `kernel` is `"cudnn"` without a GPU, or `"xla"` under a strategy or for an
            adaptive softmax.
    """
    scalars = [tf.TensorSpec((), tf.float32), tf.TensorSpec((), tf.int32)]
    variables = model.trainable_variables
    base_seed = run_seed(seed)
    strategy = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if kernel == "cudnn" and not tf.config.list_logical_devices("GPU"):
        raise InputError("kernel=cudnn needs a GPU, but TensorFlow sees none. Use kernel=auto.")
    if kernel == "xla" and strategy is not None:
        raise InputError(
            "kernel=xla trains on one device. Use kernel=auto, or no tf.distribute strategy. "
            f"Received: {type(strategy).__name__}"
        )
    if kernel == "xla" and model.adaptive_softmax_cutoffs:
        raise InputError(
            "kernel=xla needs a full softmax, because the number of tokens in each cluster of an "
            "adaptive one varies. Use kernel=auto, or no cutoffs. "
            f"Received: adaptive_softmax_cutoffs={model.adaptive_softmax_cutoffs}"
        )
    optimizer.branch_free = kernel == "xla"

    @tf.function(input_signature=[*window_signature(model), *scalars])
    def train_step(inputs, targets, states, learning_rate, step):
        optimizer.learning_rate = learning_rate
        if kernel == "xla":
            inputs, targets, length = _pad(inputs, targets, padded_lengths)
            return compiled_update(inputs, targets, states, step, length)
        if strategy is None:
            return update(inputs, targets, states, step)
        results = strategy.run(update, (inputs, targets, states, step))
        return tf.nest.map_structure(
            lambda result: strategy.experimental_local_results(result)[0], results
        )

    def update(inputs, targets, states, step, length=None):
        inputs, targets = (transposed_ids(replica_rows(ids)) for ids in (inputs, targets))
        states = tf.nest.map_structure(replica_rows, states)
        options = {} if kernel == "auto" else {"implementation": kernel}
        is_real = None
        if length is not None:  # steps from there on are padding
            timesteps, batch_size = tf.unstack(tf.shape(inputs))
            options["lengths"] = tf.fill((batch_size,), length)
            is_real = tf.range(timesteps)[:, tf.newaxis] < options["lengths"]
        with tf.device("CPU:0"):  # faster than launching kernels on a GPU for two integers
            step_seed = fold_in(base_seed, step)
        with tf.GradientTape() as tape:
            raw, dropped, states = model.backbone(
                inputs, states, training=True, seed=step_seed, time_major=True, **options
            )
            total, num_tokens = model.decoder.loss(dropped, targets, is_real)
            loss = total / num_tokens
            objective = (
                loss
                + activation_regularization(dropped, ar_alpha, is_real)
                + temporal_activation_regularization(raw, tar_beta, time_major=True, mask=is_real)
            )
        gradients = tape.gradient(objective, variables)
        # The gradient of an untied embedding has one slice per occurrence of a word. The norm is
        # that of their sum.
        gradients = [tf.convert_to_tensor(gradient) for gradient in gradients]
        # Replicas have the same number of tokens, so this is the mean over the batch.
        loss, *gradients = mean_over_replicas([loss, *gradients])
        norm = tf.linalg.global_norm(gradients)
        # A NaN norm makes the scale NaN, so that it does not go unnoticed.
        scale = tf.where(norm > global_clipnorm, global_clipnorm / norm, 1.0 + 0.0 * norm)
        # Keras sums the gradients over replicas, where they are already equal.
        scale /= num_replicas()
        optimizer.apply([scale * gradient for gradient in gradients], variables)
        return loss, norm, tf.nest.map_structure(all_rows, states)

    compiled_update = tf.function(update, jit_compile=True)
    return train_step


def _pad(inputs, targets, lengths):
    """Pads ids to the next of some lengths, if any is as long; also returns the true length."""
    length = padded = tf.shape(inputs)[1]
    with tf.device("CPU:0"):  # as above
        for candidate in sorted(lengths, reverse=True):
            padded = tf.where(length <= candidate, candidate, padded)
    inputs, targets = (tf.pad(x, [[0, 0], [0, padded - length]]) for x in (inputs, targets))
    return inputs, targets, length
