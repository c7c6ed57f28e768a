"""Text generation with a language model."""

import itertools
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from awd_keras.models.train_step import window_signature
from awd_keras.ops.random import run_seed
from awd_keras.ops.sampling import sample, sample_seeds

# Samples per batch, and prompt words per call. Neither affects the texts.
_BATCH_SIZE = 64
_PROMPT_WINDOW = 256
_sample_seeds = tf.function(sample_seeds, reduce_retracing=True)


class GeneratedText(NamedTuple):
    """A generated text.

    Attributes:
        words: The words after the prompt, without the final `<eos>`.
        finished: Whether the text ended with `<eos>` rather than at `max_words`.
    """

    words: tuple[str, ...]
    finished: bool


class TextGenerator:
    """Generates text with a language model.

    Args:
        model: An `AWDLSTMLanguageModel`.
        vocabulary: Its `Vocabulary`.

    Raises:
        InputError: If the vocabulary has no `<eos>`, or its size differs from the model's.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> model = AWDLSTMLanguageModel(4, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> generator = TextGenerator(model, vocabulary)
    >>> texts = generator.generate("the", num_samples=3, max_words=5)
    >>> [len(text.words) <= 5 for text in texts]
    [True, True, True]
    """

    def __init__(self, model, vocabulary):
        vocabulary.check_compatible(model.backbone.vocabulary_size)
        self._model = model
        self._vocabulary = vocabulary
        self._unk_id = -1 if vocabulary.unk_id is None else vocabulary.unk_id
        token_ids, _, states = window_signature(model)
        dtypes = (tf.int32, tf.float32, tf.int32, tf.float32, tf.bool, tf.bool)
        scalars = [tf.TensorSpec((), dtype) for dtype in dtypes]
        self._next_words = tf.function(
            self._sample_next_words,
            input_signature=[token_ids, states, tf.TensorSpec((None, 2), tf.int32), *scalars],
        )

    def generate(
        self,
        prompt="",
        num_samples=1,
        max_words=100,
        temperature=1.0,
        top_k=0,
        top_p=1.0,
        seed=0,
        unknown=True,
        repeat_unknown=True,
    ):
        """Continues a prompt until `<eos>` or the maximum length.

        As in the training text, the prompt follows an `<eos>`, and the initial state is zero.

        Args:
            prompt: The beginning of a line. Defaults to `""`.
            num_samples: Number of texts. Defaults to 1.
            max_words: Maximum number of words per text. Defaults to 100.
            temperature: Divisor of the logits; 0 selects the most likely word. Defaults to 1.
            top_k: Sample from the k most likely words, or from all words if 0. Defaults to 0.
            top_p: Sample from the smallest set of most likely words whose probabilities sum to at
                least this value. Defaults to 1, all words.
            seed: Non-negative integer. A text depends only on the seed and its own index, so a
                larger `num_samples` extends the list. Defaults to 0.
            unknown: Whether `<unk>` may be generated. Defaults to `True`.
            repeat_unknown: Whether `<unk>` may follow `<unk>`. Defaults to `True`.

        Returns:
            An iterator over the texts, each a `GeneratedText`.

        Raises:
            ValueError: If an argument is out of range.
            InputError: If a word of the prompt is not in the vocabulary and there is no `<unk>`.
        """
        for name, value, is_valid, expected in (
            ("num_samples", num_samples, num_samples >= 1, "positive"),
            ("max_words", max_words, max_words >= 1, "positive"),
            ("temperature", temperature, 0 <= temperature < math.inf, "at least 0 and finite"),
            ("top_k", top_k, top_k >= 0, "at least 0"),
            ("top_p", top_p, 0 < top_p <= 1, "in (0, 1]"),
            ("seed", seed, 0 <= seed < 2**62, "in [0, 2**62)"),
        ):
            if not is_valid:
                raise ValueError(f"`{name}` must be {expected}. Received: {name}={value}")
        tokens = self._vocabulary.tokenizer.split(prompt)
        prompt_ids = self._vocabulary.encode(["<eos>", *tokens])
        options = temperature, min(top_k, len(self._vocabulary)), top_p, unknown, repeat_unknown
        samples = range(num_samples)
        batches = [samples[i : i + _BATCH_SIZE] for i in samples[::_BATCH_SIZE]]
        return itertools.chain.from_iterable(
            self._generate_batch(prompt_ids, batch, max_words, seed, options) for batch in batches
        )

    def _generate_batch(self, prompt_ids, samples, max_words, seed, options):
        eos_id = self._vocabulary.eos_id
        seeds = _sample_seeds(run_seed(seed), tf.constant(samples))
        states = self._model.initial_state(len(samples))
        for start in range(0, len(prompt_ids), _PROMPT_WINDOW):
            window = np.tile(prompt_ids[start : start + _PROMPT_WINDOW], (len(samples), 1))
            words, states = self._next_words(window, states, seeds, 0, *options)
        columns = [words.numpy()]
        finished = columns[0] == eos_id
        while len(columns) < max_words and not finished.all():
            last = words[:, tf.newaxis]
            words, states = self._next_words(last, states, seeds, len(columns), *options)
            columns.append(words.numpy())
            finished |= columns[-1] == eos_id
        for ids in np.stack(columns, axis=1).tolist():
            end = ids.index(eos_id) if eos_id in ids else None
            yield GeneratedText(tuple(self._vocabulary.decode(ids[:end])), end is not None)

    def _sample_next_words(
        self, token_ids, states, seeds, step, temperature, top_k, top_p, unknown, repeat_unknown
    ):
        """Reads at least one word per row and samples the next one."""
        _, outputs, states = self._model.backbone(token_ids, states, training=False)
        logits = self._model.decoder(outputs[:, -1])
        follows_unknown = token_ids[:, -1:] == self._unk_id
        excluded = ~unknown | (follows_unknown & ~repeat_unknown)
        is_unknown = tf.range(tf.shape(logits)[1]) == self._unk_id
        logits = tf.where(excluded & is_unknown, -math.inf, logits)
        rows = tf.shape(logits)[:1]
        settings = [tf.fill(rows, value) for value in (temperature, top_k, top_p)]
        return sample(logits, *settings, seeds, step), states
