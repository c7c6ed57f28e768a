"""A tiny model with the exported signatures, in plain TensorFlow, and its numbers in plain NumPy.

  python -m tests.serving.tiny_model FOLDER

writes FOLDER/tiny/1/, for a TF-Serving to be tested against.
"""

import sys

import numpy as np

WORDS = ["<unk>", "<eos>", "the", "cat", "sat", "café", "on", "mat"]
STATE_SIZE = 4
MAX_TEXT_BYTES = 2**16
MAX_WORDS = 1000

_RANDOM = np.random.default_rng(0)
EMBEDDING = _RANDOM.normal(size=(len(WORDS), STATE_SIZE)).astype("float32")
KERNEL = _RANDOM.normal(size=(STATE_SIZE, len(WORDS))).astype("float32")


def token_ids_of(text):
    return [WORDS.index(word) if word in WORDS else 0 for word in text.split()]


def step(token_id, state):
    """NumPy: the log-probabilities of the words after one, and the state."""
    state = np.tanh(0.5 * state + EMBEDDING[token_id])
    logits = state @ KERNEL
    return logits - np.log(np.sum(np.exp(logits))), state


def log_probabilities(token_ids):
    """NumPy: of each token, after an <eos>."""
    found, state = [], np.zeros(STATE_SIZE)
    for previous, token_id in zip([1, *token_ids], token_ids):
        after, state = step(previous, state)
        found.append(after[token_id])
    return np.array(found)


def score(text):
    """NumPy: (log-probability, number of tokens, number unknown)."""
    token_ids = token_ids_of(text)
    return sum(log_probabilities([*token_ids, 1])), len(token_ids) + 1, token_ids.count(0)


def next_words(text, k):
    """NumPy: the k likeliest words with their log-probabilities."""
    after, state = None, np.zeros(STATE_SIZE)
    for token_id in [1, *token_ids_of(text)]:
        after, state = step(token_id, state)
    order = np.argsort(-after, kind="stable")[:k]
    return [(WORDS[index], after[index]) for index in order]


def write(folder, name="tiny", version=1):
    """Writes the SavedModel to FOLDER/name/version."""
    import tensorflow as tf

    class Tiny(tf.Module):
        def __init__(self):
            super().__init__()
            self.embedding = tf.Variable(EMBEDDING)
            self.kernel = tf.Variable(KERNEL)
            words = tf.constant(WORDS)
            ids = tf.range(len(WORDS), dtype=tf.int32)
            self.ids = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(words, ids), 0)
            self.words = words

        def _step(self, token_ids, state):
            state = tf.tanh(0.5 * state + tf.gather(self.embedding, token_ids))
            return tf.nn.log_softmax(state @ self.kernel), state

        def _read(self, text):
            size = tf.reduce_max(tf.concat([tf.strings.length(text), [0]], 0))
            tf.debugging.assert_less_equal(size, MAX_TEXT_BYTES, "the text is too long")
            words = tf.strings.split(text)
            token_ids = tf.ragged.map_flat_values(self.ids.lookup, words)
            return token_ids.to_tensor(0), tf.cast(token_ids.row_lengths(), tf.int32)

        def _scan(self, token_ids, lengths):
            """Log-probabilities (batch, time) and those after the last word, with the state."""
            token_ids = tf.pad(token_ids, [[0, 0], [0, 1]])  # never empty
            batch = tf.shape(token_ids)[0]
            state = tf.zeros((batch, STATE_SIZE))
            after, state = self._step(tf.ones((batch,), tf.int32), state)
            found = tf.TensorArray(tf.float32, tf.shape(token_ids)[1], element_shape=(None,))
            for time in tf.range(tf.shape(token_ids)[1]):
                tf.autograph.experimental.set_loop_options(
                    shape_invariants=[(after, tf.TensorShape((None, len(WORDS))))]
                )
                inside = time < lengths
                ids = tf.where(inside, token_ids[:, time], 0)
                value = tf.gather(after, ids, batch_dims=1)
                found = found.write(time, tf.where(inside, value, 0.0))
                new_after, new_state = self._step(ids, state)
                after = tf.where(inside[:, tf.newaxis], new_after, after)
                state = tf.where(inside[:, tf.newaxis], new_state, state)
            return tf.transpose(found.stack())[:, :-1], after, state

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "text")])
        def score(self, text):
            token_ids, lengths = self._read(text)
            found, after, _ = self._scan(token_ids, lengths)
            total = tf.reduce_sum(found, 1) + after[:, 1]
            inside = tf.sequence_mask(lengths, tf.shape(token_ids)[1])
            unknown = tf.reduce_sum(tf.cast((token_ids == 0) & inside, tf.int32), 1)
            return {
                "log_probability": total,
                "num_tokens": lengths + 1,
                "num_unknown": unknown,
                "perplexity": tf.exp(-total / tf.cast(lengths + 1, tf.float32)),
            }

        @tf.function(input_signature=[tf.TensorSpec((None, None), tf.int32, "token_ids"),
                                      tf.TensorSpec((None,), tf.int32, "lengths")])  # fmt: skip
        def score_tokens(self, token_ids, lengths):
            width = tf.shape(token_ids)[1]
            tf.debugging.assert_non_negative(lengths, "lengths")
            tf.debugging.assert_less_equal(lengths, width, "lengths")
            inside = tf.sequence_mask(lengths, width)
            right = (token_ids >= 0) & (token_ids < len(WORDS))
            tf.debugging.assert_equal(right | ~inside, True, "token_ids outside the vocabulary")
            return {"log_probabilities": self._scan(token_ids, lengths)[0]}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "text"),
                                      tf.TensorSpec((None,), tf.int32, "k")])  # fmt: skip
        def next_word(self, text, k):
            tf.debugging.assert_positive(k, "k")
            after = self._scan(*self._read(text))[1]
            columns = tf.reduce_max(tf.concat([k, [0]], 0))
            values, indices = tf.math.top_k(after, tf.minimum(columns, len(WORDS)))
            inside = tf.sequence_mask(k, tf.shape(values)[1])
            return {
                "words": tf.where(inside, tf.gather(self.words, indices), ""),
                "log_probabilities": tf.where(inside, values, -np.inf),
            }

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.int32, "token_ids"),
                                      tf.TensorSpec((None, STATE_SIZE), tf.float32, "state"),
                                      ])  # fmt: skip
        def step(self, token_ids, state):
            right = (token_ids >= 0) & (token_ids < len(WORDS))
            tf.debugging.assert_equal(right, True, "token_ids outside the vocabulary")
            after, state = self._step(token_ids, state)
            return {"log_probabilities": after, "next_state": state}

        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, "prompt"),
                                      tf.TensorSpec((None,), tf.int32, "max_words"),
                                      tf.TensorSpec((None,), tf.float32, "temperature"),
                                      tf.TensorSpec((None,), tf.int32, "top_k"),
                                      tf.TensorSpec((None,), tf.float32, "top_p"),
                                      tf.TensorSpec((None,), tf.int64, "seed")])  # fmt: skip
        def generate(self, prompt, max_words, temperature, top_k, top_p, seed):
            tf.debugging.assert_less_equal(max_words, MAX_WORDS, "max_words")
            tf.debugging.assert_greater_equal(temperature, 0.0, "temperature")
            max_words = tf.minimum(max_words, MAX_WORDS)
            _, after, state = self._scan(*self._read(prompt))
            text, going = prompt, max_words > 0
            for number in tf.range(tf.reduce_max(tf.concat([max_words, [0]], 0))):
                tf.autograph.experimental.set_loop_options(
                    shape_invariants=[(text, tf.TensorShape((None,)))]
                )
                uniform = tf.map_fn(
                    lambda row, number=number: tf.random.stateless_uniform(
                        (len(WORDS),), [row, tf.cast(number, tf.int64)], 1e-6, 1.0
                    ),
                    seed, fn_output_signature=tf.float32)  # fmt: skip
                noise = temperature[:, tf.newaxis] * -tf.math.log(-tf.math.log(uniform))
                ids = tf.argmax(after + noise, 1, tf.int32)
                going &= (ids != 1) & (number < max_words)
                text = tf.where(going, text + " " + tf.gather(self.words, ids), text)
                after, state = self._step(ids, state)
            return {"text": text}

    module = Tiny()
    names = ("score", "score_tokens", "next_word", "step", "generate")
    signatures = {name: getattr(module, name) for name in names}
    path = f"{folder}/{name}/{version}"
    tf.saved_model.save(module, path, {"serving_default": module.score, **signatures})
    return path


if __name__ == "__main__":
    print(write(sys.argv[1]))
