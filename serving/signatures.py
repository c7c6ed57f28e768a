"""The signatures of an exported model.

The first dimension of all inputs and outputs is the batch, as batching in TensorFlow Serving
requires, and rows are independent. Each text is read from a state of zeros, after an `<eos>`, as in
the training text.
"""

import math

import tensorflow as tf

from awd_keras.ops import fold_in, sample
from awd_keras.ops.lstm import transposed_ids
from serving.checks import RequestChecks


class Signatures:
    """The functions of an export. They are stateless: `step` takes and returns the state.

    Args:
        network: `Network`.
        table: `VocabularyTable`.
        limits: `Limits` of a request.
    """

    def __init__(self, network, table, limits):
        self._network = network
        self._table = table
        self._max_words = limits.max_words
        self._max_text_words = limits.max_text_words
        self._checks = RequestChecks(limits, network.vocabulary_size)

    def functions(self):
        """Returns a dictionary that maps the names of signatures to `tf.function`s."""
        text, integer, real, seed = (
            tf.TensorSpec((None,), dtype) for dtype in (tf.string, tf.int32, tf.float32, tf.int64)
        )
        state = tf.TensorSpec((None, self._network.state_size), tf.float32)
        inputs = {
            self.score: [text],
            self.score_tokens: [tf.TensorSpec((None, None), tf.int32), integer],
            self.next_word: [text, integer],
            self.step: [integer, state],
            self.generate: [text, integer, real, integer, real, seed],
        }
        functions = {
            method.__name__: tf.function(method, input_signature=specs, autograph=False)
            for method, specs in inputs.items()
        }
        return {"serving_default": functions["score"], **functions}

    def score(self, text):
        """Scores texts, each followed by an `<eos>`.

        Args:
            text: String tensor of shape `(batch_size,)`, UTF-8, split as the training text was.

        Returns:
            A dictionary of tensors of shape `(batch_size,)`: `log_probability`, float32, the
            natural logarithm of the probability (minus infinity if there are unknown words and no
            `<unk>`); `num_tokens`, int32, the number of words and the `<eos>`; `num_unknown`,
            int32, the number of words outside the vocabulary; and `perplexity`, float32,
            `exp(-log_probability / num_tokens)`.
        """
        (text,) = self._checks.batch(text)
        token_ids, lengths, num_unknown = self._encode("text", text)
        num_tokens = lengths + 1
        by_token = self._network.log_probabilities(
            self._after_eos(token_ids), self._before_eos(token_ids, lengths), num_tokens
        )
        total = tf.reduce_sum(tf.cast(by_token, tf.float64), axis=1)
        if not self._table.has_unk:
            total = tf.where(num_unknown > 0, tf.constant(-math.inf, tf.float64), total)
        return {
            "log_probability": tf.cast(total, tf.float32),
            "num_tokens": num_tokens,
            "num_unknown": num_unknown,
            "perplexity": tf.cast(tf.exp(-total / tf.cast(num_tokens, tf.float64)), tf.float32),
        }

    def score_tokens(self, token_ids, lengths):
        """Scores token ids, without adding an `<eos>`.

        Args:
            token_ids: int32 tensor of shape `(batch_size, timesteps)`.
            lengths: int32 tensor of shape `(batch_size,)`. Ids beyond the length of a row are
                padding: they may have any value.

        Returns:
            A dictionary with `log_probabilities`, float32 of shape `(batch_size, timesteps)`: the
            log-probability of each token, given an `<eos>` and the tokens before it; 0 for padding.
        """
        token_ids, lengths = self._checks.batch(token_ids, lengths)
        token_ids, lengths = self._checks.padded_ids(token_ids, lengths)
        inputs = self._after_eos(token_ids)[:, :-1]
        by_token = self._network.log_probabilities(inputs, token_ids, lengths)
        return {"log_probabilities": by_token}

    def next_word(self, text, k):
        """Finds the most likely words after a text.

        Args:
            text: String tensor of shape `(batch_size,)`, UTF-8. An empty text predicts the
                first word of a line.
            k: int32 tensor of shape `(batch_size,)`, the number of words, at least 1.

        Returns:
            A dictionary with `words`, string, and `log_probabilities`, float32, both of shape
            `(batch_size, largest k)`, most likely words first. Rows with a smaller `k` are padded
            with '' and minus infinity. The words can include `<unk>` and `<eos>`.
        """
        text, k = self._checks.batch(text, k)
        k = self._checks.next_word(k)
        token_ids, lengths, _ = self._encode("text", text, needs_known_words=True)
        logits, _ = self._after_text(token_ids, lengths)
        num_columns = tf.maximum(tf.reduce_max(k), 0)  # 0 for an empty batch
        best, ids = tf.math.top_k(tf.nn.log_softmax(logits), num_columns)
        is_requested = tf.sequence_mask(k, num_columns)
        return {
            "words": self._table.decode(tf.where(is_requested, ids, -1)),
            "log_probabilities": tf.where(is_requested, best, -math.inf),
        }

    def step(self, token_ids, state):
        """Reads one word and predicts the next one.

        Args:
            token_ids: int32 tensor of shape `(batch_size,)`. A text begins with the id of `<eos>`.
            state: float32 tensor of shape `(batch_size, state_size)`: zeros at the beginning of a
                text, then the `next_state` of the previous step.

        Returns:
            A dictionary with `log_probabilities`, float32 of shape `(batch_size, vocabulary_size)`,
            and `next_state`, float32 of shape `(batch_size, state_size)`.
        """
        token_ids, state = self._checks.batch(token_ids, state)
        token_ids, state = self._checks.step(token_ids, state)
        return self._network.step(token_ids, state)

    def generate(self, prompt, max_words, temperature, top_k, top_p, seed):
        """Continues prompts until `<eos>` or the maximum number of words.

        Args:
            prompt: String tensor of shape `(batch_size,)`, UTF-8, possibly empty.
            max_words: int32 tensor of shape `(batch_size,)`, the maximum number of words to add.
            temperature: float32 tensor of shape `(batch_size,)`, the divisor of the logits. 0
                always selects the most likely word.
            top_k: int32 tensor of shape `(batch_size,)`: sample from the k most likely words, or
                0 for all words.
            top_p: float32 tensor of shape `(batch_size,)`: sample from the smallest set of most
                likely words whose probabilities sum to at least this value.
            seed: int64 tensor of shape `(batch_size,)`, at least 0 and below 2**62.

        Returns:
            A dictionary with `text`, string of shape `(batch_size,)`: the prompt and the words
            after it, separated by single spaces (characters: without), without the `<eos>`.
        """
        prompt, *options = self._checks.batch(prompt, max_words, temperature, top_k, top_p, seed)
        max_words, temperature, top_k, top_p, seed = self._checks.generate(*options)
        token_ids, lengths, _ = self._encode("prompt", prompt, needs_known_words=True)
        logits, states = self._after_text(token_ids, lengths)
        seeds = _row_seeds(seed)
        eos_id = self._table.eos_id

        def draw(logits, step):
            return sample(logits, temperature, top_k, top_p, seeds, step)

        words = draw(logits, tf.constant(0))
        is_active = tf.not_equal(words, eos_id)
        written = tf.TensorArray(tf.int32, self._max_words, element_shape=(None,))
        written = written.write(0, tf.where(is_active, words, -1))

        def is_needed(count, words, states, is_active, written):
            return tf.reduce_any(is_active & (count < max_words))

        def write_word(count, words, states, is_active, written):
            logits, states = self._network.read_word(words, states)
            words = draw(logits, count)
            is_active &= (count < max_words) & tf.not_equal(words, eos_id)
            written = written.write(count, tf.where(is_active, words, -1))
            return count + 1, words, states, is_active, written

        count, *_, written = tf.while_loop(
            is_needed,
            write_word,
            (tf.constant(1), words, states, is_active, written),
            parallel_iterations=1,
        )
        token_ids = transposed_ids(written.gather(tf.range(count)))
        return {"text": self._table.append(prompt, token_ids)}

    def _encode(self, name, text, needs_known_words=False):
        """Checks and encodes texts."""
        text = self._checks.text(name, text)
        token_ids, lengths, num_unknown = self._table.encode(text, self._max_text_words)
        must_be_zero = num_unknown if needs_known_words and not self._table.has_unk else None
        token_ids, lengths = self._checks.words(name, token_ids, lengths, must_be_zero)
        return token_ids, lengths, num_unknown

    def _after_text(self, token_ids, lengths):
        """Returns logits and states after whole texts."""
        outputs, states = self._network.states_after(self._after_eos(token_ids), lengths + 1)
        return self._network.logits(outputs), states

    def _after_eos(self, token_ids):
        return tf.pad(token_ids, [[0, 0], [1, 0]], constant_values=self._table.eos_id)

    def _before_eos(self, token_ids, lengths):
        padded = tf.pad(token_ids, [[0, 0], [0, 1]])
        is_end = tf.equal(tf.range(tf.shape(padded)[1]), lengths[:, tf.newaxis])
        return tf.where(is_end, self._table.eos_id, padded)


def _row_seeds(seed):
    """Returns the seeds that `trainers.generate` uses, of shape `(batch_size, 2)`."""
    low, high = seed & 0x7FFFFFFF, tf.bitwise.right_shift(seed, tf.constant(31, tf.int64))
    seeds = tf.cast(tf.stack([low, high], axis=1), tf.int32)
    return tf.map_fn(lambda row: fold_in(row, 0), seeds)
