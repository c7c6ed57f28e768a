"""Trains on one device and on two logical devices, and prints how far apart the results are.

A program, since logical devices must be created before TensorFlow does anything else.
"""

import json

import keras
import numpy as np
import tensorflow as tf

from awd_keras.models import AWDLSTMLanguageModel
from awd_keras.models.train_step import make_train_step
from awd_keras.optimizers import NTASGD

BATCH_SIZE, VOCABULARY_SIZE, NUM_STEPS = 8, 30, 6


def train(strategy, name, learning_rate, tie_weights):
    """Trains over windows of several lengths, averaging from the third; returns all results."""
    text = np.random.default_rng(0).integers(0, VOCABULARY_SIZE, (BATCH_SIZE, 60), np.int32)
    results = []
    with strategy.scope():
        model = AWDLSTMLanguageModel(
            VOCABULARY_SIZE, 8, 12, num_layers=2, tie_weights=tie_weights, seed=3
        )
        optimizer = NTASGD(keras.optimizers.get(name))
        optimizer.build(model.trainable_variables)
        train_step = make_train_step(
            model, optimizer, ar_alpha=2.0, tar_beta=1.0, global_clipnorm=0.25, seed=3
        )
        states = model.initial_state(BATCH_SIZE)
        for step in range(NUM_STEPS):
            if step == 2:
                optimizer.trigger()
            window = text[:, 8 * step : 8 * step + 6 + step % 3]
            loss, norm, states = train_step(
                tf.constant(window[:, :-1]),
                tf.constant(window[:, 1:]),
                states,
                tf.constant(learning_rate),
                tf.constant(step),
            )
            results += [loss, norm]
        results += tf.nest.flatten(states) + model.trainable_variables
        with optimizer.averaged_weights():
            results += [variable.numpy() for variable in model.trainable_variables]
    return [np.array(result.numpy() if hasattr(result, "numpy") else result) for result in results]


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    differences = {}
    for settings in (("sgd", 1.0, True), ("adam", 1e-3, False)):
        one, both = train(tf.distribute.get_strategy(), *settings), train(two, *settings)
        pairs = zip(one, both, strict=True)
        # Unlike `max`, `np.max` keeps a NaN.
        differences[settings[0]] = float(np.max([np.abs(a - b).max() for a, b in pairs]))
    print(json.dumps({"differences": differences, "replicas": two.num_replicas_in_sync}))


if __name__ == "__main__":
    main()
