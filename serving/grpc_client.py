"""A gRPC client for exported models, and the command `serving.client`."""

import itertools
import json
import os
import sys
from typing import NamedTuple

import grpc
import numpy as np
import tensorflow as tf
from absl import flags
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

from awd_keras.data.text_files import decoded_lines
from trainers.errors import UserError

FLAGS = flags.FLAGS
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
    """The score of a text, as returned by the signature `score`."""

    log_probability: float
    num_tokens: int
    num_unknown: int
    perplexity: float


class Client:
    """Queries one model on TensorFlow Serving or `serving.local`.

    Texts are strings or UTF-8 bytes. Requests wait until the server is ready, and are retried
    while it is unavailable. A client is a context manager and may be shared by threads.

    Args:
        server: `"host:port"`. Defaults to `"localhost:8500"`.
        model: Name of the model. Defaults to the bundled model.
        version: Version of the model. Defaults to the server's latest.
        deadline: Seconds per request, including retries. Defaults to 30.
        credentials: `grpc.ChannelCredentials` for TLS. Defaults to no encryption.

    Raises:
        grpc.RpcError: From every method, if the server does not answer or rejects the request.
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
        """Scores texts, each followed by an `<eos>`, and returns a list of `Score`."""
        outputs = self._predict("score", text=(texts, tf.string))
        return [Score(*row) for row in zip(*(outputs[name].tolist() for name in Score._fields))]

    def score_tokens(self, token_ids):
        """Scores token ids.

        Args:
            token_ids: List of lists of integers.

        Returns:
            A list of float32 arrays: the log-probability of each token, given an `<eos>` and the
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
        """Returns, for each text, the k most likely next words as `(word, log_probability)`."""
        outputs = self._predict(
            "next_word", text=(texts, tf.string), k=([k] * len(texts), tf.int32)
        )
        # If the server batches requests, rows may have more than k columns.
        return [
            [(word.decode(), value) for word, value in zip(words[:k], values[:k]) if word]
            for words, values in zip(outputs["words"], outputs["log_probabilities"].tolist())
        ]

    def step(self, token_ids, state):
        """Reads the next word of each text.

        Args:
            token_ids: List of integers, one for each text. A text begins with the id of `<eos>`.
            state: Array of shape `(batch_size, state_size)`: zeros at the beginning of a text, then
                the state returned by the previous call.

        Returns:
            `(log_probabilities, state)`: float32 arrays of shape `(batch_size, vocabulary_size)`,
            for the next word, and `(batch_size, state_size)`.
        """
        outputs = self._predict("step", token_ids=(token_ids, tf.int32), state=(state, tf.float32))
        return outputs["log_probabilities"], outputs["next_state"]

    def generate(self, prompts, max_words=100, temperature=1.0, top_k=0, top_p=1.0, seed=0):
        """Continues prompts.

        Args:
            prompts: List of texts, which may be empty strings.
            max_words: Maximum number of words to add. Defaults to 100.
            temperature: Divisor of the logits. 0 always selects the most likely word. Defaults to
                1.
            top_k: Sample from the k most likely words, or 0 for all words. Defaults to 0.
            top_p: Sample from the smallest set of most likely words whose probabilities sum to at
                least this value. Defaults to 1, all words.
            seed: Non-negative integer. Defaults to 0.

        Returns:
            A list of strings: each prompt and its continuation.
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


def main(action=None, *texts):
    """Runs `serving.client`."""
    actions = {"score": _score, "next": _next, "generate": _generate}
    if action not in actions:
        raise UserError(f"Expected one of {', '.join(actions)}. Received: {action}. See --help.")
    # Keep texts as bytes: the server reports invalid UTF-8.
    lines = texts or decoded_lines(sys.stdin.buffer, "standard input", "surrogateescape")
    credentials = grpc.ssl_channel_credentials() if FLAGS.tls else None
    arguments = FLAGS.server, FLAGS.model_name, FLAGS.version, FLAGS.deadline, credentials
    try:
        with Client(*arguments) as client:
            actions[action](client, map(os.fsencode, lines))
    except grpc.RpcError as error:
        raise UserError(f"{FLAGS.server}: {error.code().name}: {error.details()}") from None


def _score(client, lines):
    while batch := list(itertools.islice(lines, FLAGS.batch_size)):
        for line, score in zip(batch, client.score(batch)):
            counts = f"{score.num_tokens}\t{score.num_unknown}"
            text = "\t" + line.decode().replace("\t", " ") if FLAGS.text else ""
            row = f"{score.log_probability:.6f}\t{counts}\t{score.perplexity:.3f}{text}"
            print(row, flush=True)


def _next(client, lines):
    for line in lines:
        (words,) = client.next_word([line], FLAGS.k)
        print("\t".join(word for word, _ in words), flush=True)


def _generate(client, lines):
    options = FLAGS.max_words, FLAGS.temperature, FLAGS.top_k, FLAGS.top_p, FLAGS.seed
    for line in lines:
        print(*client.generate([line], *options), flush=True)
