"""Asks a served model: a library, and a command.

  python -m serving.client score "the cat sat" "a dog"       # or lines on standard input
  python -m serving.client next                              # type words, see what may follow
  python -m serving.client generate "the president" --max_words=20

`--server` says where: http://HOST:PORT or https:// for REST, HOST:PORT for gRPC, grpcs://HOST:PORT
for gRPC over TLS. REST starts at once; gRPC takes a few seconds to load TensorFlow and is faster
from then on. `score` writes log_probability, num_tokens, num_unknown and perplexity of each text,
tabs between; `next` carries the state of the model itself, word by word, if it is given the
--vocabulary that was exported (assets/vocabulary.txt of the version), and sends the whole line
otherwise.
"""

import dataclasses

import numpy as np

from serving.retries import Retries
from serving.status import StatusError

__all__ = ["Client", "Score", "StatusError"]


@dataclasses.dataclass(frozen=True)
class Score:
    """What the model makes of a text.

    Args:
        log_probability: natural logarithm of the probability of its words and the `<eos>` at its
            end.
        num_tokens: words and the `<eos>`.
        num_unknown: words outside the vocabulary.
        perplexity: exp(-log_probability / num_tokens).
    """

    log_probability: float
    num_tokens: int
    num_unknown: int
    perplexity: float


class Client:
    """Asks one model of a TF-Serving, or of `serving.local`.

    It may be used by several threads, and as a context manager, which closes it.

    Args:
        server: `"http://host:port"`, `"https://host:port"` for REST; `"host:port"`,
            `"grpc://host:port"` and, over TLS, `"grpcs://host:port"` for gRPC.
        model: name of the model; the default is that of the one that comes with the package.
        version: None, or a version to be answered by; without it, the server's latest.
        label: None, or a label of a version in its place.
        deadline: seconds in which each call has to end, attempts and pauses together.
        max_attempts: how often a call is made while the server is UNAVAILABLE; None: until the
            deadline.
        certificate: None, or a file of certificates to trust over TLS, in PEM.
        on_wait: None, or a function without arguments, called before a call is made again.

    Raises:
        ValueError: if these do not go together.

    Example:

    >>> Client("localhost:8500", version=3, label="stable")
    Traceback (most recent call last):
    ...
    ValueError: expected a version or a label, not both. Received: version=3, label='stable'
    """

    def __init__(
        self,
        server="http://localhost:8501",
        model="bundled",
        version=None,
        label=None,
        deadline=30.0,
        max_attempts=None,
        certificate=None,
        on_wait=None,
    ):
        if version is not None and label is not None:
            raise ValueError(
                "expected a version or a label, not both. Received: "
                f"version={version}, label={label!r}"
            )
        self._retries = Retries(deadline, max_attempts, on_wait=on_wait)
        spec = {"name": model, "version": version, "label": label}
        self._transport = _transport(server, spec, certificate)
        self._state_size = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes the connection."""
        self._transport.close()

    def score(self, texts):
        """Scores texts.

        Args:
            texts: sequence of strings, words with white space between them.

        Returns:
            list of `Score`.

        Raises:
            StatusError: if the server does not answer, with what it said.
        """
        outputs = self._predict("score", {"text": _strings("texts", texts)})
        if outputs is None:
            return []
        columns = (outputs[field.name].tolist() for field in dataclasses.fields(Score))
        return [Score(*row) for row in zip(*columns)]

    def score_tokens(self, token_ids):
        """Scores words that are ids already.

        Args:
            token_ids: sequence of sequences of integers.

        Returns:
            list of float32 arrays, each of the length of its sequence: the log-probability of each
            word after those before it and an `<eos>`.
        """
        rows = [_ids(row) for row in token_ids]
        lengths = np.array([len(row) for row in rows], np.int32)
        padded = np.zeros((len(rows), max([1, *lengths])), np.int32)
        for row, values in zip(padded, rows):
            row[: len(values)] = values
        outputs = self._predict("score_tokens", {"token_ids": padded, "lengths": lengths})
        if outputs is None:
            return []
        return [row[:n] for row, n in zip(outputs["log_probabilities"], lengths)]

    def next_word(self, texts, k=5):
        """Finds the words that are likeliest after texts.

        Args:
            texts: sequence of strings.
            k: how many words, or a sequence of as many numbers as there are texts.

        Returns:
            list of lists of `(word, log_probability)`, likeliest first.
        """
        text = _strings("texts", texts)
        k = _column("k", k, len(text), np.int32)
        outputs = self._predict("next_word", {"text": text, "k": k})
        if outputs is None:
            return []
        # A server that batches may answer with more columns, those of somebody else's k.
        return [
            [(word.decode("utf-8"), value) for word, value in zip(words[:n], values[:n]) if word]
            for words, values, n in zip(
                outputs["words"], outputs["log_probabilities"].tolist(), k.tolist()
            )
        ]

    def step(self, token_ids, state=None):
        """Reads one word in each of several texts, after what was read before.

        Args:
            token_ids: sequence of integers; a text begins with the id of `<eos>`.
            state: None at the beginning of the texts, then the one that the step before returned.

        Returns:
            `(log_probabilities, state)`: float32 arrays (batch_size, vocabulary_size), of the words
            after these, and (batch_size, state_size).
        """
        token_ids = _ids(token_ids)
        if state is None:
            state = np.zeros((len(token_ids), self.state_size()), np.float32)
        inputs = {"token_ids": token_ids, "state": np.asarray(state, np.float32)}
        outputs = self._predict("step", inputs)
        if outputs is None:
            raise ValueError("expected at least one token id. Received: none")
        return outputs["log_probabilities"], outputs["next_state"]

    def state_size(self):
        """How many numbers the state of a text has."""
        if self._state_size is None:
            signatures = self.metadata()
            if "step" not in signatures:
                raise StatusError("NOT_FOUND", 'the model has no signature "step"')
            self._state_size = signatures["step"]["inputs"]["state"][1][1]
        return self._state_size

    def generate(self, prompts, max_words=100, temperature=1.0, top_k=0, top_p=1.0, seed=0):
        """Writes on from prompts.

        Args:
            prompts: sequence of strings; the empty one begins a line. The settings that follow are
                one for all of them, or as many as there are prompts.
            max_words: words to write, at most.
            temperature: what the logits are divided by; 0: the likeliest word.
            top_k: draw from so many of the likeliest words; 0: from all.
            top_p: draw from the fewest words whose probabilities sum to it.
            seed: of the draws: the same seed, the same text.

        Returns:
            list of strings: the prompts and what follows them.
        """
        prompt = _strings("prompts", prompts)
        settings = {
            "max_words": (max_words, np.int32),
            "temperature": (temperature, np.float32),
            "top_k": (top_k, np.int32),
            "top_p": (top_p, np.float32),
            "seed": (seed, np.int64),
        }
        columns = {n: _column(n, value, len(prompt), dt) for n, (value, dt) in settings.items()}
        outputs = self._predict("generate", {"prompt": prompt, **columns})
        return [] if outputs is None else [text.decode("utf-8") for text in outputs["text"]]

    def metadata(self):
        """The signatures of the model.

        Returns:
            dictionary of signature name to `{"inputs": {name: (dtype, shape)}, "outputs": ...}`,
            the dtype a NumPy dtype, `object` for strings, the shape with None for any length.
        """
        return self._retries.run(self._transport.metadata)

    def status(self):
        """The versions of the model that the server knows.

        Returns:
            dictionary of version to its state, such as `{1: "AVAILABLE"}`.
        """
        return self._retries.run(self._transport.status)

    def _predict(self, signature, inputs):
        """The outputs, None without a row: that needs no server."""
        if not len(next(iter(inputs.values()))):
            return None
        return self._retries.run(
            lambda timeout: self._transport.predict(signature, inputs, timeout)
        )


def _transport(server, spec, certificate):
    scheme, separator, address = server.rpartition("://")
    if scheme in ("http", "https") and address:
        from serving.rest_transport import RestTransport

        return RestTransport(server, spec, certificate)
    if scheme not in ("", "grpc", "grpcs") or bool(separator) != bool(scheme) or ":" not in address:
        raise ValueError(
            "expected a server as http://host:port, https://host:port, host:port or "
            f"grpcs://host:port. Received: {server!r}"
        )
    from serving.grpc_transport import GrpcTransport

    return GrpcTransport(address, spec, scheme == "grpcs", certificate)


def _strings(name, values):
    if isinstance(values, str | bytes):
        raise ValueError(f"{name} must be a sequence of strings. Received: {values!r}")
    array = np.empty(len(values), object)
    array[:] = [v if isinstance(v, bytes) else v.encode("utf-8") for v in values]
    return array


def _column(name, value, size, dtype):
    array = np.asarray(value)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != size):
        raise ValueError(f"{name} must be one value, or {size}. Received shape: {array.shape}")
    if size and np.issubdtype(dtype, np.integer):
        _check_range(name, array, dtype)
    return np.broadcast_to(array, (size,)).astype(dtype)


def _ids(token_ids):
    array = np.asarray(token_ids).reshape(-1)
    _check_range("token_ids", array, np.int32)
    return array.astype(np.int32)


def _check_range(name, array, dtype):
    """NumPy would raise an OverflowError, or turn a number that is too large into another."""
    limits = np.iinfo(dtype)
    fits = np.asarray((limits.min <= array) & (array <= limits.max), bool)
    if not fits.all():
        value = array[~fits].flat[0]
        raise ValueError(f"{name} must be in {limits.min} to {limits.max}. Received: {value}")


def main():
    """Parses the command line and asks."""
    from serving import client_command

    client_command.main(Client)


if __name__ == "__main__":
    main()
