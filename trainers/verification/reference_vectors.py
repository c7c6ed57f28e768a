"""The library against numbers that plain PyTorch computed: every one, within rounding.

`reference/README.md` says how they were made.
"""

import pathlib

import numpy as np
import tensorflow as tf

from awd_keras.optimizers import NTASGD, InPlaceSGD
from trainers.verification.check import Check, measured
from trainers.verification.comparison import worst
from trainers.verification.device import NO_GPU, has_gpu
from trainers.verification.precision import floatx, tensor_float_32
from trainers.verification.reference_models import NUM_LAYERS, Functions, LanguageModel

FILE = pathlib.Path(__file__).parent / "reference" / "awd_lstm.npz"
LIMITS = {"float64": 1e-9, "float32": 2e-5}
_PARTS = ("nll", "activation_penalty", "temporal_penalty")


def read_vectors():
    """The vectors: a dictionary of arrays.

    Example:

    >>> read_vectors()["train/logits"].shape
    (9, 4, 61)
    """
    with np.load(FILE, allow_pickle=False) as file:
        return dict(file)


def initial_states(vectors, dtype):
    """The states from which the window starts, `[[h, c]] * num_layers`."""
    return [
        [tf.constant(vectors[f"initial_{x}{layer}"], dtype) for x in ("h", "c")]
        for layer in range(NUM_LAYERS)
    ]


def compare_window(model, vectors, part, dtype, traced=True):
    """Logits, loss, states and all gradients of one window.

    Args:
        model: a `Functions` or a `LanguageModel`.
        vectors: what `read_vectors` returns.
        part: "train" for a model with masks, "eval" for one without.
        dtype: "float64" or "float32".
        traced: whether to compute in a `tf.function`.

    Returns:
        list of (name, computed, expected): all that the vectors have on the part.
    """
    tokens, targets = vectors["tokens"], vectors["targets"]
    states = initial_states(vectors, dtype)

    def compute():
        logits, finals = model.logits(tokens, states)
        values = {name: variable.value for name, variable in model.variables.items()}
        with tf.GradientTape() as tape:
            parts, _ = model.losses(tokens, targets, states)
            loss = tf.add_n(list(parts))
        gradients = tape.gradient(loss, values)
        results = {"logits": logits, **dict(zip(_PARTS, parts, strict=True))}
        for layer, (h, c) in enumerate(finals):
            results |= {f"final_h{layer}": h, f"final_c{layer}": c}
        return results | {f"grad/{k}": tf.convert_to_tensor(g) for k, g in gradients.items()}

    results = (tf.function(compute) if traced else compute)()
    return [(name, value, vectors[f"{part}/{name}"]) for name, value in results.items()]


def compare_trajectory(model, vectors, dtype):
    """Eight windows through clip, decay, scaled rate and average.

    Args:
        model: a `Functions` or a `LanguageModel`, without masks; it is trained.
        vectors: what `read_vectors` returns.
        dtype: "float64" or "float32": Keras's float type here.

    Returns:
        list of (name, computed, expected): the loss of each window, the final weights and their
        average, and how many steps it is made of.
    """
    variables = list(model.variables.values())
    optimizer = NTASGD(
        InPlaceSGD(
            float(vectors["lr"]),
            weight_decay=float(vectors["weight_decay"]),
            global_clipnorm=float(vectors["clip"]),
        )
    )
    optimizer.build(variables)
    states = tf.nest.map_structure(tf.zeros_like, initial_states(vectors, dtype))
    lengths = [int(length) for length in vectors["trajectory/window_lengths"]]
    first_averaged = int(vectors["trajectory/averaging_starts_at_window"])
    stream, start, results = vectors["stream"], 0, []
    for window, length in enumerate(lengths):
        tokens, targets = (stream[i : i + length] for i in (start, start + 1))
        start += length
        if window == first_averaged:
            optimizer.trigger()
        values = [variable.value for variable in variables]
        with tf.GradientTape() as tape:
            parts, states = model.losses(tokens, targets, states)
            loss = tf.add_n(list(parts))
        results.append((f"window {window}", parts[0], vectors["trajectory/nll"][window]))
        optimizer.learning_rate.assign(float(vectors["lr"]) * length / float(vectors["bptt"]))
        optimizer.apply(tape.gradient(loss, values), variables)
    results.append(("num_averaged", optimizer.num_averaged, len(lengths) - first_averaged))
    results += _compare_weights(model, vectors, "final")
    with optimizer.averaged_weights():
        results += _compare_weights(model, vectors, "average")
    return results


def _compare_weights(model, vectors, kind):
    return [
        (f"{kind}/{name}", variable.numpy(), vectors[f"trajectory/{kind}/{name}"])
        for name, variable in model.variables.items()
    ]


def check_reference_vectors():
    """Compares functions and model with the vectors, in float64 and in float32.

    Yields:
        `Check`s.
    """
    vectors = read_vectors()
    for dtype, limit in LIMITS.items():

        def check(name, compare, dtype=dtype, limit=limit):
            def measure():
                with floatx(dtype), tensor_float_32(False):
                    return worst(compare(dtype))

            return measured(f"reference vectors, {dtype}: {name}", limit, measure)

        yield check(
            "functions", lambda d: compare_window(Functions(vectors, d), vectors, "eval", d)
        )
        yield check(
            "functions, masks",
            lambda d: compare_window(Functions(vectors, d, masked=True), vectors, "train", d),
        )
        yield check(
            "functions, 8 windows", lambda d: compare_trajectory(Functions(vectors, d), vectors, d)
        )
        yield check("model", lambda d: compare_window(LanguageModel(vectors), vectors, "eval", d))
        yield check(
            "model, 8 windows", lambda d: compare_trajectory(LanguageModel(vectors), vectors, d)
        )
        if has_gpu():
            yield check(
                "cuDNN, masks",
                lambda d: compare_window(
                    Functions(vectors, d, masked=True, implementation="cudnn"), vectors, "train", d
                ),
            )
        else:
            yield Check(f"reference vectors, {dtype}: cuDNN, masks", None, limit, NO_GPU, True)
