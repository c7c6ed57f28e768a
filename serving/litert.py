"""Exports a LiteRT (TensorFlow Lite) model for phones and other small devices."""

import pathlib
import tempfile

import tensorflow as tf

from awd_keras.atomic_write import atomic_write
from awd_keras.ops import portable_kernels
from awd_keras.ops.lstm import transposed_ids
from serving.network import Network


def export_litert(model, vocabulary, output, name, quantize=False):
    """Writes `output/name.tflite`, and its words to `output/name.vocabulary.txt`.

    The model uses only LiteRT's built-in operations, and reads one text at a time. It has two
    signatures, which do not validate their inputs:

    - `step` is the same as in the SavedModel, with a batch size of 1.
    - `score` takes `token_ids`, int32 of shape `(1, timesteps)` with at least one time step, and
      returns `log_probabilities`, float32 of the same shape: the log-probability of each token,
      given an `<eos>` and the tokens before it.

    Args:
        model: An `AWDLSTMLanguageModel`. It is not changed.
        vocabulary: Its `Vocabulary`.
        output: Folder for all models.
        name: Name of the model.
        quantize: Whether to store the weights as int8, and to compute matmuls in int8 (LiteRT's
            dynamic-range quantization). Defaults to `False`.

    Returns:
        The path of the `.tflite` file, a `pathlib.Path`.

    Raises:
        InputError: If the vocabulary has no `<eos>`, or its size differs from the model's.
    """
    vocabulary.check_compatible(model.backbone.vocabulary_size)
    network = Network(model, "float32")
    module = tf.Module()
    module.variables_of_network = network.variables
    functions = _functions(network, vocabulary.eos_id)
    with tempfile.TemporaryDirectory() as folder:
        with portable_kernels():
            tf.saved_model.save(module, folder, signatures=functions)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=[*functions])
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        content = converter.convert()
    path = pathlib.Path(output) / f"{name}.tflite"
    path.parent.mkdir(parents=True, exist_ok=True)
    vocabulary.save(path.with_name(f"{name}.vocabulary.txt"))
    with atomic_write(path, "wb") as file:
        file.write(content)
    return path


def _functions(network, eos_id):
    """Returns the exported functions, for a batch of one row."""

    def score(token_ids):
        inputs = tf.pad(token_ids[:, :-1], [[0, 0], [1, 0]], constant_values=eos_id)
        outputs, _ = network.read(transposed_ids(inputs), network.zero_states(1))
        log_probabilities = tf.nn.log_softmax(network.logits(outputs[:, 0]))
        by_token = tf.gather(log_probabilities, token_ids[0], batch_dims=1)
        return {"log_probabilities": by_token[tf.newaxis]}

    word = tf.TensorSpec((1,), tf.int32, "token_ids")
    text = tf.TensorSpec((1, None), tf.int32, "token_ids")
    state = tf.TensorSpec((1, network.state_size), tf.float32, "state")
    return {
        "step": tf.function(network.step, input_signature=[word, state], autograph=False),
        "score": tf.function(score, input_signature=[text], autograph=False),
    }
