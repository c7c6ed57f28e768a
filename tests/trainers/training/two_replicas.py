"""Trains on one device and on two logical CPU devices, and prints how far apart they are.

A program of its own, since devices are made before TensorFlow does anything.
"""

import json
import sys

import numpy as np
import tensorflow as tf

BATCH_SIZE, VOCABULARY_SIZE, NUM_STEPS, TRIGGER_STEP = 40, 30, 6, 2


def train(strategy, **settings):
    """Trains over windows of several lengths; returns every number that is left."""
    from awd_keras.models.train_step import make_train_step
    from trainers.config import TrainingConfig
    from trainers.training import factory

    config = TrainingConfig(
        embedding_dim=8,
        hidden_dim=12,
        num_layers=2,
        batch_size=BATCH_SIZE,
        dtype="float32",
        seed=3,
        **settings,
    )
    text = np.random.default_rng(0).integers(0, VOCABULARY_SIZE, (BATCH_SIZE, 60), np.int32)
    losses, norms = [], []
    with strategy.scope():
        model = factory.build_model(config, VOCABULARY_SIZE)
        optimizer = factory.build_optimizer(config, model)
        train_step = make_train_step(
            model,
            optimizer,
            ar_alpha=2.0,
            tar_beta=1.0,
            global_clipnorm=config.global_clipnorm,
            seed=config.seed,
        )
        states = model.initial_state(BATCH_SIZE)
        for step in range(NUM_STEPS):
            if step == TRIGGER_STEP:
                optimizer.trigger()
            start, length = 8 * step, 5 + step % 3
            window = text[:, start : start + length + 1]
            loss, norm, states = train_step(
                tf.constant(window[:, :-1]),
                tf.constant(window[:, 1:]),
                states,
                tf.constant(config.learning_rate),
                tf.constant(step),
            )
            losses.append(float(loss))
            norms.append(float(norm))
        with optimizer.averaged_weights():
            averages = [variable.numpy() for variable in model.trainable_variables]
    weights = [variable.numpy() for variable in model.trainable_variables]
    return {
        "loss": [np.array(losses)],
        "norm": [np.array(norms)],
        "weights": weights,
        "averages": averages,
        "states": [state.numpy() for state in tf.nest.flatten(states)],
    }


def masks(strategy):
    """What the replicas' masks have to do with those of one device."""
    from awd_keras.layers import LockedDropout
    from awd_keras.ops.random import dropout_mask

    layer, seed = LockedDropout(0.5), tf.constant([1, 2])
    whole = layer(tf.ones((8, 1, 16)), training=True, seed=seed).numpy()

    def draw():
        locked = layer(tf.ones((4, 1, 16)), training=True, seed=seed)
        return locked, dropout_mask((8, 8), 0.5, seed, tf.float32)

    with strategy.scope():
        drawn = tf.function(lambda: strategy.run(draw))()
    locked, weights = map(strategy.experimental_local_results, drawn)
    return {
        "locked masks differ": bool(np.any(locked[0] != locked[1])),
        "locked masks as on one device": bool(np.all(np.concatenate(locked) == whole)),
        "weight masks equal": bool(np.all(weights[0] == weights[1])),
    }


def main(settings):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    one, both = train(tf.distribute.get_strategy(), **settings), train(two, **settings)
    result = {
        name: max(float(np.abs(a - b).max()) for a, b in zip(one[name], both[name], strict=True))
        for name in one
    }
    print(json.dumps({**result, **masks(two), "replicas": two.num_replicas_in_sync}))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
