"""Warm-up requests.

The first request of each signature and batch size is slow. TensorFlow Serving replays the requests
in `assets.extra/tf_serving_warmup_requests` before a version takes others.
"""

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import model_pb2, predict_pb2, prediction_log_pb2

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_BATCH_SIZES = (1, 8, 64)
_WORDS = 20


def example_inputs(batch_size, vocabulary, state_size, limits):
    """Returns valid inputs for each signature.

    Args:
        batch_size: Number of rows.
        vocabulary: `Vocabulary`.
        state_size: Number of values in the state of a row.
        limits: `Limits`. The inputs are within them, because a server does not load a version that
            rejects its own warm-up requests.

    Returns:
        A dictionary `{signature: {input: array}}`, with texts as `bytes`.
    """
    width = min(_WORDS, limits.max_text_words)
    token_ids = np.arange(batch_size * width, dtype=np.int32).reshape(batch_size, width)
    token_ids %= len(vocabulary)

    def texts(ids):
        rows = (" ".join(vocabulary.decode(row)).encode() + b" " for row in ids)
        return np.array([row[: limits.max_text_bytes + 1].rpartition(b" ")[0] for row in rows], "O")

    def column(value, dtype):
        return np.full(batch_size, value, dtype)

    generate = {
        "prompt": texts(token_ids[:, :1]),
        "max_words": column(min(5, limits.max_words), np.int32),
        "temperature": column(1, np.float32),
        "top_k": column(20, np.int32),
        "top_p": column(0.9, np.float32),
        "seed": column(0, np.int64),
    }
    state = np.zeros((batch_size, state_size), np.float32)
    return {
        "score": {"text": texts(token_ids)},
        "score_tokens": {"token_ids": token_ids, "lengths": column(width, np.int32)},
        "next_word": {"text": texts(token_ids), "k": column(min(5, limits.max_k), np.int32)},
        "step": {"token_ids": token_ids[:, 0], "state": state},
        "generate": generate,
    }


def write_warmup(folder, name, vocabulary, state_size, limits):
    """Writes requests for each signature, in several batch sizes, to the folder of a version."""
    path = folder / WARMUP_FILE
    path.parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for batch_size in _BATCH_SIZES:
            if batch_size > limits.max_batch_size:
                continue
            examples = example_inputs(batch_size, vocabulary, state_size, limits)
            for signature, inputs in examples.items():
                request = predict_pb2.PredictRequest(
                    model_spec=model_pb2.ModelSpec(name=name, signature_name=signature),
                    inputs={key: tf.make_tensor_proto(value) for key, value in inputs.items()},
                )
                log = prediction_log_pb2.PredictLog(request=request)
                record = prediction_log_pb2.PredictionLog(predict_log=log)
                writer.write(record.SerializeToString())
