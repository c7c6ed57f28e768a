"""Warm-up: the requests that come with a model, made before the first one from outside."""

import pathlib

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis import prediction_log_pb2

from serving.servable import read_tensors
from serving.status import StatusError

WARMUP_FILE = "assets.extra/tf_serving_warmup_requests"
_MAX_BYTES = 2**30


def replay(servable, path):
    """Makes the requests of a model's warm-up file, as TF-Serving does when it loads the model.

    Args:
        servable: `Servable`.
        path: folder of its version.

    Returns:
        how many were answered; 0 without a file.

    Raises:
        StatusError: if one fails: then the file is not this model's.
    """
    file = pathlib.Path(path) / WARMUP_FILE
    if not file.is_file():
        return 0
    count = 0
    for request in _requests(file):
        try:
            inputs = read_tensors(request.inputs, _MAX_BYTES)
            servable.predict(request.model_spec.signature_name, inputs)
        except StatusError as error:
            message = f"warm-up request {count + 1} of {file}: {error.message}"
            raise StatusError(error.code, message) from None
        count += 1
    return count


def _requests(file):
    """The `PredictRequest`s of a warm-up file."""
    records = iter(tf.data.TFRecordDataset(str(file)).as_numpy_iterator())
    while True:
        try:
            record = next(records)
            log = prediction_log_pb2.PredictionLog.FromString(record)
        except StopIteration:
            return
        except (tf.errors.OpError, DecodeError) as error:
            raise StatusError("DATA_LOSS", f"{file}: {' '.join(str(error).split())}") from None
        yield log.predict_log.request
