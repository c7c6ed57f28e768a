"""A client of the signatures of an exported model, by gRPC."""

import json
from typing import NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

_RETRY_POLICY = {
    "maxAttempts": 5,
    "initialBackoff": "0.1s",
    "maxBackoff": "5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
_SERVICE_CONFIG = {"methodConfig": [{"name": [{}], "retryPolicy": _RETRY_POLICY}]}
_OPTIONS = [
    ("grpc.service_config", json.dumps(_SERVICE_CONFIG)),
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_reconnect_backoff_ms", 2000),
]


class Score(NamedTuple):
    """The score of a text: the outputs of the signature `score`."""

    log_probability: float
    num_tokens: int
    num_unknown: int
    perplexity: float


class Client:
    """A client of one model on TensorFlow Serving or `serving.local`.

    Texts are strings, or bytes in UTF-8. Requests wait until the server is ready and are retried
    while it is UNAVAILABLE. A client may be shared by threads, and used as a context manager.

    Args:
        server: `"host:port"`. Defaults to `"localhost:8500"`.
        model: name of the model. Defaults to the bundled model.
        version: version of the model. Defaults to the server's latest.
        deadline: seconds for each request, retries included. Defaults to 30.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to no encryption.

    Raises:
        grpc.RpcError: from every method, if the server does not answer or rejects the request.
    """

    def __init__(
        self, server="localhost:8500", model="bundled", version=None, deadline=30, credentials=None
    ):
        self._model, self._version, self._deadline = model, version, deadline
        if credentials is None:
            self._channel = grpc.insecure_channel(server, _OPTIONS)
        else:
            self._channel = grpc.secure_channel(server, credentials, _OPTIONS)
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection."""
        self._channel.close()

    def score(self, texts):
        """Scores texts, each with an `<eos>` at its end; returns a list of `Score`."""
        outputs = self._predict("score", text=(texts, tf.string))
        return [Score(*row) for row in zip(*(outputs[name].tolist() for name in Score._fields))]

    def score_tokens(self, token_ids):
        """Scores token ids.

        Args:
            token_ids: list of lists of integers.

        Returns:
            list of float32 arrays: the log-probability of each token after an `<eos>` and the
            tokens before it.
        """
        lengths = [len(row) for row in token_ids]
        padded = np.zeros((len(lengths), max(lengths, default=0)), np.int32)
        for row, ids in zip(padded, token_ids):
            row[: len(ids)] = ids
        outputs = self._predict(
            "score_tokens", token_ids=(padded, tf.int32), lengths=(lengths, tf.int32)
        )
        return [row[:n] for row, n in zip(outputs["log_probabilities"], lengths)]

    def next_word(self, texts, k=5):
        """Returns a list of the `k` most likely `(word, log_probability)` for each text."""
        outputs = self._predict(
            "next_word", text=(texts, tf.string), k=([k] * len(texts), tf.int32)
        )
        # In a batch with another client's request, there may be more columns.
        return [
            [(word.decode(), value) for word, value in zip(words[:k], values[:k]) if word]
            for words, values in zip(outputs["words"], outputs["log_probabilities"].tolist())
        ]

    def step(self, token_ids, state):
        """Reads one word of each text.

        Args:
            token_ids: list of integers. A text begins with the id of `<eos>`.
            state: zeros (batch_size, state_size) at the beginning of a text, then the state that
                the previous step returned.

        Returns:
            `(log_probabilities, state)`: float32 arrays (batch_size, vocabulary_size), of the next
            words, and (batch_size, state_size).
        """
        outputs = self._predict("step", token_ids=(token_ids, tf.int32), state=(state, tf.float32))
        return outputs["log_probabilities"], outputs["next_state"]

    def generate(self, prompts, max_words=100, temperature=1.0, top_k=0, top_p=1.0, seed=0):
        """Continues prompts.

        Args:
            prompts: list of texts; an empty one begins a line.
            max_words: the largest number of words to add. Defaults to 100.
            temperature: divisor of the logits; 0 takes the most likely words. Defaults to 1.
            top_k: sample from the `top_k` most likely words. Defaults to 0, all words.
            top_p: sample from the fewest words whose probabilities sum to `top_p`. Defaults to 1.
            seed: seed of the samples. Defaults to 0.

        Returns:
            list of strings, the prompts and their continuations.
        """
        rows = len(prompts)
        outputs = self._predict(
            "generate",
            prompt=(prompts, tf.string),
            max_words=([max_words] * rows, tf.int32),
            temperature=([temperature] * rows, tf.float32),
            top_k=([top_k] * rows, tf.int32),
            top_p=([top_p] * rows, tf.float32),
            seed=([seed] * rows, tf.int64),
        )
        return [text.decode() for text in outputs["text"]]

    def _predict(self, signature, **inputs):
        request = predict_pb2.PredictRequest(
            inputs={name: tf.make_tensor_proto(*values) for name, values in inputs.items()}
        )
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        if self._version is not None:
            request.model_spec.version.value = self._version
        response = self._stub.Predict(request, timeout=self._deadline, wait_for_ready=True)
        return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
