"""Compares the language model with the vectors described in `reference/README.md`."""

import pathlib

import numpy as np
import tensorflow as tf

from awd_keras import losses, ops
from awd_keras.models import AWDLSTMLanguageModel
from trainers.config import DROPOUT_RATES

LIMITS = {"float64": 1e-9, "float32": 2e-5}
_FILE = pathlib.Path(__file__).parent / "reference" / "awd_lstm.npz"


def read_vectors():
    """Reads the reference vectors, a dictionary of arrays."""
    return dict(np.load(_FILE))


def make_model(vectors, dtype):
    """Returns the model of the vectors, without dropout, and its variables by their names."""
    rates = dict.fromkeys(DROPOUT_RATES, 0.0)
    model = AWDLSTMLanguageModel(61, 12, 20, num_layers=3, dtype=dtype, **rates)
    model(np.zeros((1, 1), "int32"))
    variables = {
        f"lstm{index}/{variable.name}": variable
        for index, layer in enumerate(model.backbone.lstm_layers)
        for variable in layer.trainable_variables
    }
    variables["embedding"] = model.backbone.embedding.embeddings
    variables["softmax_bias"] = model.decoder.bias
    for name, variable in variables.items():
        variable.assign(vectors[f"param/{name}"])
    return model, variables


def compare_model(dtype):
    """Returns (name, actual, expected) of logits, losses, final states and all gradients."""
    vectors = read_vectors()
    model, variables = make_model(vectors, dtype)
    tokens, targets = (tf.constant(vectors[name].T) for name in ("tokens", "targets"))
    states = [[vectors[f"initial_{x}{layer}"].astype(dtype) for x in "hc"] for layer in range(3)]
    alpha, beta = float(vectors["alpha"]), float(vectors["beta"])
    with tf.GradientTape() as tape:
        raw, dropped, finals = model.backbone(tokens, states=states, training=True)
        total, num_tokens = ops.sequence_cross_entropy(
            dropped, model.decoder.matrix, model.decoder.bias, targets
        )
        results = {
            "nll": total / tf.cast(num_tokens, total.dtype),
            "activation_penalty": losses.activation_regularization(dropped, alpha),
            "temporal_penalty": losses.temporal_activation_regularization(raw, beta),
        }
        loss = tf.add_n(list(results.values()))
    gradients = tape.gradient(loss, {name: v.value for name, v in variables.items()})
    results["logits"] = tf.transpose(model(tokens, states=states)[0], (1, 0, 2))
    for layer, (h, c) in enumerate(finals):
        results |= {f"final_h{layer}": h, f"final_c{layer}": c}
    results |= {f"grad/{name}": tf.convert_to_tensor(g) for name, g in gradients.items()}
    return [(name, value, vectors[f"eval/{name}"]) for name, value in results.items()]
