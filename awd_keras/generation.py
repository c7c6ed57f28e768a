"""Text from a language model, word by word."""

import dataclasses
import math
import numbers

import numpy as np
import tensorflow as tf

from awd_keras.data.vocabulary_check import check_vocabulary
from awd_keras.errors import InputError
from awd_keras.evaluation.token_log_probabilities import window_signature
from awd_keras.ops.random import run_seed
from awd_keras.ops.sampling import sample, sample_seeds

# Texts written side by side, and words of the prompt read at once. No text depends on either.
_BATCH_SIZE = 64
_PROMPT_WINDOW = 256


@dataclasses.dataclass(frozen=True)
class GenerationConfig:
    """How text is drawn.

    Args:
        num_samples: how many texts.
        max_words: words after which a text ends, if no `<eos>` has ended it.
        temperature: what the logits are divided by; 0 always takes the likeliest word.
        top_k: draw from so many of the likeliest words; 0 for all.
        top_p: draw from the fewest words, likeliest first, whose probabilities sum to at least
            this; 1 for all.
        seed: each text is a function of the seed and its own number, 0, 1, 2 and so on.
        unknown: whether `<unk>` may be written.
        repeat_unknown: whether `<unk>` may be written after `<unk>`.

    Raises:
        InputError: naming the setting, what was expected and what was received.

    Example:

    >>> GenerationConfig(temperature=-1.0)
    Traceback (most recent call last):
    ...
    trainers.config.InputError: temperature must be a finite number of at least 0. Received: -1.0
    """

    num_samples: int = 1
    max_words: int = 100
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int = 0
    unknown: bool = True
    repeat_unknown: bool = True

    def __post_init__(self):
        self._check("num_samples", numbers.Integral, lambda v: 1 <= v < 2**31, "a positive integer")
        self._check("max_words", numbers.Integral, lambda v: 1 <= v < 2**31, "a positive integer")
        self._check(
            "temperature",
            numbers.Real,
            lambda v: 0 <= v < math.inf,
            "a finite number of at least 0",
        )
        self._check(
            "top_k",
            numbers.Integral,
            lambda v: 0 <= v < 2**31,
            "an integer of at least 0; 0 is for all words",
        )
        self._check("top_p", numbers.Real, lambda v: 0 < v <= 1, "in (0, 1]; 1 is for all words")
        self._check(
            "seed",
            numbers.Integral,
            lambda v: 0 <= v < 2**62,
            "an integer of at least 0, below 2**62",
        )

    def _check(self, name, kind, holds, expected):
        value = getattr(self, name)
        if isinstance(value, bool) or not isinstance(value, kind) or not holds(value):
            raise InputError(f"{name} must be {expected}. Received: {value!r}")


@dataclasses.dataclass(frozen=True)
class GeneratedText:
    """A text.

    Args:
        words: its words, without those of the prompt and the `<eos>` at its end.
        finished: whether it ended with `<eos>`; otherwise it reached its largest length.
    """

    words: tuple[str, ...]
    finished: bool


class TextGenerator:
    """Writes texts with one model and one graph.

    Args:
        model: an `AWDLSTMLanguageModel`.
        vocabulary: its `Vocabulary`.

    Raises:
        InputError: if the vocabulary has no `<eos>`, or not the size of the model's.

    Example:

    >>> from awd_keras.data import Vocabulary
    >>> from awd_keras.models import AWDLSTMLanguageModel
    >>> vocabulary = Vocabulary(["<unk>", "<eos>", "the", "cat"])
    >>> model = AWDLSTMLanguageModel(4, embedding_dim=8, hidden_dim=16, num_layers=2)
    >>> generator = TextGenerator(model, vocabulary)
    >>> texts = generator.generate("the", GenerationConfig(num_samples=3, max_words=5))
    >>> [len(text.words) <= 5 for text in texts]
    [True, True, True]
    """

    def __init__(self, model, vocabulary):
        check_vocabulary(vocabulary, model.backbone.vocabulary_size)
        self._model = model
        self._vocabulary = vocabulary
        self._unk_id = -1 if vocabulary.unk_id is None else vocabulary.unk_id
        token_ids, _, states = window_signature(model)
        # The settings are tensors too: one trace serves all.
        options = {
            "temperature": tf.TensorSpec((), tf.float32),
            "top_k": tf.TensorSpec((), tf.int32),
            "top_p": tf.TensorSpec((), tf.float32),
            "unknown": tf.TensorSpec((), tf.bool),
            "repeat_unknown": tf.TensorSpec((), tf.bool),
        }
        self._sample_seeds = tf.function(
            sample_seeds,
            input_signature=[tf.TensorSpec((2,), tf.int32), tf.TensorSpec((None,), tf.int32)],
        )
        self._step = tf.function(
            self._next_words,
            input_signature=[
                token_ids,
                states,
                tf.TensorSpec((None, 2), tf.int32),
                tf.TensorSpec((), tf.int32),
                options,
            ],
        )

    def _next_words(self, token_ids, states, seeds, step, options):
        """Reads words, one or more a row, and draws the one after them."""
        _, outputs, states = self._model.backbone(token_ids, states, training=False)
        logits = self._model.decoder(outputs[:, -1])
        may_be_unknown = options["unknown"] & (
            options["repeat_unknown"] | (token_ids[:, -1] != self._unk_id)
        )
        is_unknown = tf.range(tf.shape(logits)[1]) == self._unk_id
        removed = ~may_be_unknown[:, tf.newaxis] & is_unknown[tf.newaxis]
        logits = tf.where(removed, -math.inf, logits)
        rows = tf.shape(logits)[:1]
        settings = [tf.fill(rows, options[name]) for name in ("temperature", "top_k", "top_p")]
        return sample(logits, *settings, seeds, step), states

    def generate(self, prompt="", config=None):
        """Writes on from a prompt, until `<eos>` or the largest length.

        As a line of the training text does, the prompt begins after an `<eos>`, from a zero state.

        Args:
            prompt: words with white space between them; none begins a line.
            config: None or a `GenerationConfig`.

        Returns:
            an iterator of `GeneratedText`, one for each sample. The first texts of a larger number
            are those of a smaller one: each has random numbers of its own.

        Raises:
            InputError: if the vocabulary lacks a word of the prompt and has no `<unk>` for it.
        """
        try:
            ids = self._vocabulary.encode(["<eos>", *prompt.split()])
        except ValueError as error:
            raise InputError(f"The prompt cannot be read: {error}") from error
        return self._generate(ids, config or GenerationConfig())

    def _generate(self, prompt_ids, config):
        for start in range(0, config.num_samples, _BATCH_SIZE):
            samples = range(start, min(start + _BATCH_SIZE, config.num_samples))
            yield from self._generate_batch(prompt_ids, config, samples)

    def _generate_batch(self, prompt_ids, config, samples):
        options = {
            "temperature": tf.constant(config.temperature, tf.float32),
            "top_k": tf.constant(config.top_k, tf.int32),
            "top_p": tf.constant(config.top_p, tf.float32),
            "unknown": tf.constant(config.unknown),
            "repeat_unknown": tf.constant(config.repeat_unknown),
        }
        seeds = self._sample_seeds(run_seed(config.seed), tf.constant(samples))
        states = self._model.initial_state(len(samples))
        first = tf.constant(0)
        for start in range(0, len(prompt_ids), _PROMPT_WINDOW):
            window = np.tile(prompt_ids[start : start + _PROMPT_WINDOW], (len(samples), 1))
            words, states = self._step(tf.constant(window), states, seeds, first, options)
        columns = [words.numpy()]
        finished = columns[0] == self._vocabulary.eos_id
        while len(columns) < config.max_words and not finished.all():
            words, states = self._step(
                words[:, tf.newaxis], states, seeds, tf.constant(len(columns)), options
            )
            columns.append(words.numpy())
            finished |= columns[-1] == self._vocabulary.eos_id
        for ids in np.stack(columns, axis=1).tolist():
            ended = self._vocabulary.eos_id in ids
            ids = ids[: ids.index(self._vocabulary.eos_id)] if ended else ids
            yield GeneratedText(tuple(self._vocabulary.decode(ids)), ended)
