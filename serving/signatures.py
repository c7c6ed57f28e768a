"""The signatures of an exported model: what a server can be asked.

Every input and output is named and has the batch as its first dimension, since TensorFlow Serving's
batcher takes nothing else. A row's answer depends on that row alone. A text begins as a line of the
training text does: from a zero state, after an `<eos>`.
"""

import math

import tensorflow as tf

from awd_keras.ops.layout import transposed_ids
from awd_keras.ops.random import fold_in
from awd_keras.ops.sampling import sample
from serving.limits import RequestChecks
from serving.vocabulary_table import spaced

SIGNATURES = ("score", "score_tokens", "next_word", "step", "generate")
DEFAULT_SIGNATURE = "score"


class Signatures(tf.Module):
    """The graph functions of an export. They have no state: what a client needs, it carries.

    Args:
        network: `Network`.
        table: `VocabularyTable` of its vocabulary.
        limits: `Limits` of a request.
    """

    def __init__(self, network, table, limits):
        super().__init__()
        self._network = network
        self._table = table
        self._limits = limits
        self._checks = RequestChecks(limits, network.vocabulary_size)

    def functions(self):
        """The signatures to be saved, by name: `SIGNATURES` and `serving_default`."""
        text = _vector(tf.string, "text")
        inputs = {
            "score": [text],
            "score_tokens": [
                tf.TensorSpec((None, None), tf.int32, "token_ids"),
                _vector(tf.int32, "lengths"),
            ],
            "next_word": [text, _vector(tf.int32, "k")],
            "step": [
                _vector(tf.int32, "token_ids"),
                tf.TensorSpec((None, self._network.state_size), tf.float32, "state"),
            ],
            "generate": [
                _vector(tf.string, "prompt"),
                _vector(tf.int32, "max_words"),
                _vector(tf.float32, "temperature"),
                _vector(tf.int32, "top_k"),
                _vector(tf.float32, "top_p"),
                _vector(tf.int64, "seed"),
            ],
        }
        # Loops are written as such: nothing is left for AutoGraph, which takes long to find that.
        functions = {
            name: tf.function(getattr(self, name), input_signature=inputs[name], autograph=False)
            for name in SIGNATURES
        }
        return {"serving_default": functions[DEFAULT_SIGNATURE], **functions}

    def score(self, text):
        """Scores texts: their words and the `<eos>` at their end, as `trainers.score` does.

        Args:
            text: string tensor (batch_size,), UTF-8, words with white space between them.

        Returns:
            dictionary of tensors (batch_size,): `log_probability`, float32, natural logarithm;
            minus infinity for unknown words where no `<unk>` stands for them. `num_tokens`, int32:
            words and the `<eos>`. `num_unknown`, int32: words outside the vocabulary. `perplexity`,
            float32: exp(-log_probability / num_tokens).
        """
        [text] = self._checks.batch(text=text)
        token_ids, lengths, num_unknown = self._read_text("text", text)
        inputs, ended = self._after_eos(token_ids), self._before_eos(token_ids, lengths)
        num_tokens = lengths + 1
        by_token = self._network.log_probabilities(inputs, ended, num_tokens)
        # Summed in float64, as many words are.
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
        """Scores words that are ids already, without an `<eos>` that is not among them.

        Args:
            token_ids: int32 tensor (batch_size, timesteps).
            lengths: int32 tensor (batch_size,). What follows a row's length is padding: it may be
                anything and never counts.

        Returns:
            dictionary: `log_probabilities`, float32 tensor (batch_size, timesteps): of each word
            after those before it and an `<eos>`; 0 for padding.
        """
        token_ids, lengths = self._checks.batch(token_ids=token_ids, lengths=lengths)
        token_ids, lengths = self._checks.padded_ids(token_ids, lengths)
        inputs = self._after_eos(token_ids)[:, :-1]
        by_token = self._network.log_probabilities(inputs, token_ids, lengths)
        return {"log_probabilities": by_token}

    def next_word(self, text, k):
        """Finds the words that are likeliest after a text.

        Args:
            text: string tensor (batch_size,), UTF-8. The empty text asks for a line's first word.
            k: int32 tensor (batch_size,), at least 1: how many words.

        Returns:
            dictionary of tensors (batch_size, largest k), likeliest first, equals in the order of
            the vocabulary: `words`, string, '' beyond a row's k; `log_probabilities`, float32,
            minus infinity there. `<unk>` and `<eos>` are words like others.
        """
        text, k = self._checks.batch(text=text, k=k)
        k = self._checks.next_word(k)
        token_ids, lengths, _ = self._read_text("text", text, unknown_may_be=False)
        logits, _ = self._after_text(token_ids, lengths)
        log_probabilities = tf.nn.log_softmax(logits)
        columns = tf.maximum(tf.reduce_max(tf.pad(k, [[0, 1]])), 0)
        num_words = tf.minimum(columns, self._network.vocabulary_size)
        best, ids = tf.math.top_k(log_probabilities, num_words)
        is_asked = tf.sequence_mask(k, columns)
        rest = [[0, 0], [0, columns - num_words]]
        # No word has the id -1, and its name is ''.
        ids = tf.where(is_asked, tf.pad(ids, rest, constant_values=-1), -1)
        best = tf.where(is_asked, tf.pad(best, rest, constant_values=-math.inf), -math.inf)
        return {"words": self._table.decode(ids), "log_probabilities": best}

    def step(self, token_ids, state):
        """Reads one word after what was read before, and predicts the word after it.

        Args:
            token_ids: int32 tensor (batch_size,). A text begins with the id of `<eos>`.
            state: float32 tensor (batch_size, state_size): zeros at the beginning, then the
                `next_state` of the step before.

        Returns:
            dictionary of float32 tensors: `log_probabilities` (batch_size, vocabulary_size) and
            `next_state` (batch_size, state_size).
        """
        token_ids, state = self._checks.batch(token_ids=token_ids, state=state)
        token_ids, state = self._checks.step(token_ids, state)
        output, state = self._network.step(token_ids, state)
        log_probabilities = tf.nn.log_softmax(self._network.logits(output))
        return {"log_probabilities": log_probabilities, "next_state": state}

    def generate(self, prompt, max_words, temperature, top_k, top_p, seed):
        """Writes on from prompts, as `trainers.generate` does, until `<eos>` or the largest length.

        Args:
            prompt: string tensor (batch_size,), UTF-8; the empty one begins a line.
            max_words: int32 tensor (batch_size,): words to write, at most.
            temperature: float32 tensor (batch_size,), at least 0: what the logits are divided by; 0
                always takes the likeliest word.
            top_k: int32 tensor (batch_size,): draw from so many of the likeliest words; 0 for all.
            top_p: float32 tensor (batch_size,), in (0, 1]: draw from the fewest words, likeliest
                first, whose probabilities sum to it; 1 for all.
            seed: int64 tensor (batch_size,), at least 0, below 2**62. A row's text is a function of
                the row: the same seed, the same text.

        Returns:
            dictionary: `text`, string tensor (batch_size,): the prompt and what follows it, one
            space between words, without the `<eos>`.
        """
        inputs = self._checks.batch(
            prompt=prompt,
            max_words=max_words,
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            seed=seed,
        )
        prompt, *options = inputs
        max_words, temperature, top_k, top_p, seed = self._checks.generate(*options)
        token_ids, lengths, _ = self._read_text("prompt", prompt, unknown_may_be=False)
        logits, state = self._after_text(token_ids, lengths)
        seeds = _row_seeds(seed)
        eos_id = self._table.eos_id

        def draw(logits, step):
            return sample(logits, temperature, top_k, top_p, seeds, step)

        words = draw(logits, tf.constant(0))
        written = tf.TensorArray(tf.int32, self._limits.max_words, element_shape=(None,))
        active = tf.not_equal(words, eos_id)

        def is_needed(count, words, state, active, written):
            return tf.reduce_any(active & (count < max_words))

        def write_word(count, words, state, active, written):
            output, state = self._network.step(words, state)
            words = draw(self._network.logits(output), count)
            # -1, which is no word, once a row is at its end.
            active &= count < max_words
            active &= tf.not_equal(words, eos_id)
            written = written.write(count, tf.where(active, words, -1))
            return count + 1, words, state, active, written

        count, _, _, _, written = tf.while_loop(
            is_needed,
            write_word,
            (tf.constant(1), words, state, active, written.write(0, tf.where(active, words, -1))),
            parallel_iterations=1,
        )
        return {"text": self._joined(prompt, transposed_ids(written.gather(tf.range(count))))}

    def _read_text(self, name, text, unknown_may_be=True):
        """`VocabularyTable.encode` of texts that hold."""
        token_ids, lengths, num_unknown = self._table.encode(self._checks.text(name, text))
        refused = None if unknown_may_be or self._table.has_unk else num_unknown
        token_ids, lengths = self._checks.words(name, token_ids, lengths, refused)
        return token_ids, lengths, num_unknown

    def _after_text(self, token_ids, lengths):
        """Logits (batch_size, vocabulary_size) of the word after texts, and the state there."""
        state = self._network.last_state(self._after_eos(token_ids), lengths + 1)
        return self._network.logits(self._network.output_of(state)), state

    def _after_eos(self, token_ids):
        return tf.pad(token_ids, [[0, 0], [1, 0]], constant_values=self._table.eos_id)

    def _before_eos(self, token_ids, lengths):
        """Rows with an `<eos>` at their end, in one column more."""
        padded = tf.pad(token_ids, [[0, 0], [0, 1]])
        is_end = tf.equal(tf.range(tf.shape(padded)[1]), lengths[:, tf.newaxis])
        return tf.where(is_end, self._table.eos_id, padded)

    def _joined(self, prompt, token_ids):
        """Prompts and the words after them; -1 is no word."""
        words = self._table.decode(token_ids)
        words = tf.where(token_ids >= 0, tf.strings.join([" ", words]), "")
        written = tf.strings.reduce_join(words, axis=1)
        prompt = tf.strings.regex_replace(spaced(prompt), r"[\s\v]+", " ")
        return tf.strings.strip(tf.strings.join([prompt, written]))


def _vector(dtype, name):
    return tf.TensorSpec((None,), dtype, name)


def _row_seeds(seed):
    """`sample_seeds(run_seed(seed), [0])` for each row: int32 tensor (batch_size, 2)."""
    low, high = seed & 0x7FFFFFFF, tf.bitwise.right_shift(seed, tf.constant(31, tf.int64))
    seeds = tf.cast(tf.stack([low, high], axis=1), tf.int32)
    return tf.map_fn(lambda row: fold_in(row, 0), seeds)
