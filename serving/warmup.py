"""The warm-up file: requests that TensorFlow Serving answers to itself before it takes others.

The first request of a signature and a batch size is slow: tables fill, memory is claimed, kernels
are chosen. The server replays `assets.extra/tf_serving_warmup_requests` when it loads a version, so
that no client meets that.
"""

import numpy as np
import tensorflow as tf

from serving.limit_settings import Limits
from serving.replay import WARMUP_FILE
from serving.signatures import SIGNATURES

BATCH_SIZES = (1, 8, 64)
# Words of a text: a sentence.
_WORDS = 20


def warmup_inputs(signature, batch_size, words, state_size, limits=None):
    """Inputs of a request that is like those to come.

    Args:
        signature: one of `SIGNATURES`.
        batch_size: rows.
        words: words of the vocabulary, in the order of their ids.
        state_size: entries of a state.
        limits: None for the default `Limits`. A server does not load a model that refuses one of
            its own requests.

    Returns:
        dictionary of NumPy arrays by the names of the signature's inputs.
    """
    limits = limits or Limits()
    width = min(_WORDS, limits.max_text_words)
    # Any words will do: of the most frequent ones, which come first, as many as there are.
    ids = np.arange(batch_size * width, dtype=np.int32).reshape(batch_size, width) % len(words)
    text = [_text([words[index] for index in row], limits.max_text_bytes) for row in ids]
    prompt = [_text([words[row[0]]], limits.max_text_bytes) for row in ids]

    def vector(value, dtype):
        return np.full(batch_size, value, dtype)

    return {
        "score": {"text": np.array(text, object)},
        "score_tokens": {"token_ids": ids, "lengths": vector(width, np.int32)},
        "next_word": {
            "text": np.array(text, object),
            "k": vector(min(5, limits.max_k), np.int32),
        },
        "step": {
            "token_ids": ids[:, 0],
            "state": np.zeros((batch_size, state_size), np.float32),
        },
        "generate": {
            "prompt": np.array(prompt, object),
            "max_words": vector(min(5, limits.max_words), np.int32),
            "temperature": vector(1.0, np.float32),
            "top_k": vector(min(20, len(words)), np.int32),
            "top_p": vector(0.9, np.float32),
            "seed": np.arange(batch_size, dtype=np.int64),
        },
    }[signature]


def write_warmup(folder, name, vocabulary, state_size, limits):
    """Writes the warm-up file of a version: every signature, in several batch sizes.

    Args:
        folder: `pathlib.Path` of the version.
        name: the model's name.
        vocabulary: `Vocabulary`.
        state_size: entries of a state.
        limits: the `Limits` of the graph.

    Returns:
        how many requests there are.
    """
    # Here, so that an export without a warm-up file needs no package of the server's.
    from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    sizes = [size for size in BATCH_SIZES if size <= limits.max_batch_size]
    count = 0
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in SIGNATURES:
            for batch_size in sizes:
                inputs = warmup_inputs(signature, batch_size, vocabulary.words, state_size, limits)
                request = predict_pb2.PredictRequest(
                    model_spec=model_pb2.ModelSpec(name=name, signature_name=signature),
                    inputs={key: _tensor_proto(value) for key, value in inputs.items()},
                )
                log = prediction_log_pb2.PredictLog(request=request)
                record = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(record.SerializeToString())
                count += 1
    return count


def _text(words, max_bytes):
    """As many of the words as there is room for."""
    while words and len(" ".join(words).encode()) > max_bytes:
        words = words[:-1]
    return " ".join(words).encode()


def _tensor_proto(array):
    """A tensor of one value again and again, such as a first state, takes the room of one."""
    first = array.flat[0]
    if array.dtype != object and np.all(array == first):
        return tf.make_tensor_proto(first, array.dtype, array.shape)
    return tf.make_tensor_proto(array)
