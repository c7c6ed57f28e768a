"""Tests of the text that a model writes."""

import math

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from awd_keras.errors import InputError
from awd_keras.generation import GenerationConfig, TextGenerator
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import to_numpy
from trainers.errors import UserError

WORDS = ["<eos>", "the", "cat", "<unk>", "sat", "on", "a", "mat"]
VOCABULARY = Vocabulary(WORDS)


def make_model(vocabulary=VOCABULARY, scale=1.0, bias=()):
    model = AWDLSTMLanguageModel(
        len(vocabulary), embedding_dim=6, hidden_dim=8, num_layers=2, seed=3
    )
    for index, variable in enumerate(model.weights):
        values = np.random.default_rng(index).normal(scale=scale, size=variable.shape)
        variable.assign(values.astype("float32"))
    values = np.zeros(len(vocabulary), "float32")
    for word, value in dict(bias).items():
        values[vocabulary.words.index(word)] = value
    model.decoder.bias.assign(values)
    return model


def generate(generator, prompt="", **settings):
    return list(generator.generate(prompt, GenerationConfig(**settings)))


@pytest.fixture(scope="module")
def generator():
    return TextGenerator(make_model(), VOCABULARY)


@pytest.fixture(scope="module")
def endless():
    """Of a model that never ends a line."""
    return TextGenerator(make_model(bias={"<eos>": -1000.0}), VOCABULARY)


def greedy(model, prompt, max_words):
    """The likeliest words, by the model over the whole text again for each word."""
    ids = [0, *map(WORDS.index, prompt.split())]
    start = len(ids)
    while len(ids) < start + max_words:
        logits, _ = model(np.array([ids], "int32"))
        ids.append(int(to_numpy(logits)[0, -1].argmax()))
        if ids[-1] == 0:
            return tuple(WORDS[index] for index in ids[start:-1]), True
    return tuple(WORDS[index] for index in ids[start:]), False


@pytest.mark.parametrize("prompt", ["", "cat", "the cat sat"])
def test_temperature_zero_takes_the_likeliest_words(prompt):
    model = make_model(scale=2.0, bias={"mat": -1.0})
    (text,) = generate(TextGenerator(model, VOCABULARY), prompt, temperature=0.0, max_words=12)
    assert (text.words, text.finished) == greedy(model, prompt, 12)
    assert len(set(text.words)) > 1


def test_samples_follow_the_probabilities_of_the_model(generator):
    ids = np.array([[0, 1]], "int32")
    logits = to_numpy(make_model()(ids)[0])[0, -1].astype("float64")
    probabilities = np.exp(logits) / np.exp(logits).sum()
    num_samples = 2000
    texts = generate(generator, "the", num_samples=num_samples, max_words=1)
    counts = np.bincount(
        [WORDS.index(text.words[0]) if text.words else 0 for text in texts], minlength=len(WORDS)
    )
    deviation = np.sqrt(num_samples * probabilities * (1 - probabilities))
    assert np.all(np.abs(counts - num_samples * probabilities) <= 4 * deviation + 1)


def test_samples_reach_the_whole_vocabulary():
    vocabulary = Vocabulary(["<eos>", "<unk>", *(f"w{index}" for index in range(300))])
    generator = TextGenerator(make_model(vocabulary, scale=0.05), vocabulary)
    texts = generate(generator, num_samples=64, max_words=60)
    words = {word for text in texts for word in text.words}
    assert words | {"<eos>"} == set(vocabulary.words)


def test_the_same_seed_gives_the_same_texts(generator):
    first = generate(generator, "a", num_samples=5, max_words=20, seed=11)
    assert (
        generate(TextGenerator(make_model(), VOCABULARY), "a", num_samples=5, max_words=20, seed=11)
        == first
    )
    assert generate(generator, "a", num_samples=5, max_words=20, seed=12) != first
    assert len(set(first)) > 1


def test_a_text_does_not_depend_on_the_other_samples(endless, monkeypatch):
    texts = generate(endless, "a", num_samples=7, max_words=15)
    assert len(set(texts)) == 7
    assert generate(endless, "a", num_samples=3, max_words=15) == texts[:3]
    monkeypatch.setattr("awd_keras.generation._BATCH_SIZE", 2)
    assert generate(endless, "a", num_samples=7, max_words=15) == texts


def test_a_shorter_text_begins_the_longer_one(endless):
    (long,) = generate(endless, max_words=20)
    (short,) = generate(endless, max_words=8)
    assert long.words[:8] == short.words
    assert (len(long.words), long.finished) == (20, False)


def test_the_prompt_may_be_longer_than_a_window(endless, monkeypatch):
    prompt = "the cat sat on a mat the cat"
    texts = generate(endless, prompt, num_samples=2, max_words=10)
    monkeypatch.setattr("awd_keras.generation._PROMPT_WINDOW", 3)
    assert generate(endless, prompt, num_samples=2, max_words=10) == texts
    assert generate(endless, "cat", num_samples=2, max_words=10) != texts


def test_texts_end_with_eos():
    generator = TextGenerator(make_model(scale=0.1), VOCABULARY)
    texts = generate(generator, num_samples=50, max_words=200)
    assert all(text.finished for text in texts)
    assert not any("<eos>" in text.words for text in texts)
    assert len({len(text.words) for text in texts}) > 5
    generator = TextGenerator(make_model(bias={"<eos>": 1000.0}), VOCABULARY)
    assert [(text.words, text.finished) for text in generate(generator)] == [((), True)]


@pytest.fixture(scope="module")
def unknown():
    """Of a model that likes `<unk>`."""
    return TextGenerator(make_model(scale=0.3, bias={"<unk>": 4.0}), VOCABULARY)


class TestUnknown:
    @staticmethod
    def counts(texts):
        """How often `<unk>` is written, and how often after another."""
        pairs = [pair for text in texts for pair in zip(text.words, text.words[1:])]
        return (
            sum(text.words.count("<unk>") for text in texts),
            pairs.count(("<unk>", "<unk>")),
        )

    def test_by_default_as_the_model_has_it(self, unknown):
        written, repeated = self.counts(generate(unknown, num_samples=20, max_words=30))
        assert written > 100 and repeated > 50

    @pytest.mark.parametrize("options", [{}, {"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.1}])
    def test_never(self, unknown, options):
        texts = generate(unknown, num_samples=20, max_words=30, unknown=False, **options)
        assert self.counts(texts) == (0, 0)
        assert any(text.words for text in texts)

    def test_never_twice(self, unknown):
        options = {"num_samples": 20, "max_words": 30, "repeat_unknown": False}
        written, repeated = self.counts(generate(unknown, **options))
        assert written > 50 and repeated == 0
        assert not any(text.words[:1] == ("<unk>",) for text in generate(unknown, "dog", **options))

    def test_a_vocabulary_without_it(self):
        vocabulary = Vocabulary(["<eos>", "the", "cat"])
        generator = TextGenerator(make_model(vocabulary), vocabulary)
        options = {"num_samples": 10, "max_words": 10}
        plain = generate(generator, **options)
        assert generate(generator, unknown=False, repeat_unknown=False, **options) == plain
        with pytest.raises(UserError, match="The prompt cannot be read: The word 'dog'"):
            generator.generate("the dog")


def test_top_k_and_top_p_leave_few_words(endless):
    for options in ({"top_k": 2}, {"top_p": 0.3}):
        texts = generate(endless, "the", num_samples=100, max_words=1, **options)
        assert 1 <= len({text.words[0] for text in texts}) <= 2
    assert (
        len({text.words[0] for text in generate(endless, "the", num_samples=100, max_words=1)}) > 2
    )


def test_one_trace_serves_all():
    generator = TextGenerator(make_model(), VOCABULARY)
    generate(generator)
    generate(generator, "the cat", num_samples=3, max_words=5, temperature=0.5, top_k=3, seed=5)
    generate(generator, "a", num_samples=70, max_words=2, top_p=0.5, unknown=False)
    assert generator._step.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "name,value",
    [
        ("num_samples", 0),
        ("max_words", 0),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_k", 1.5),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("top_p", math.nan),
        ("seed", -1),
        ("seed", 2**62),
    ],
)
def test_settings_are_checked(name, value):
    with pytest.raises(UserError, match=rf"{name} must be .*Received: {value}"):
        GenerationConfig(**{name: value})


def test_the_vocabulary_must_be_the_models():
    with pytest.raises(InputError, match="predicts 8 words, the vocabulary has 2"):
        TextGenerator(make_model(), Vocabulary(["<eos>", "the"]))
    with pytest.raises(InputError, match="the vocabulary has none"):
        TextGenerator(make_model(), Vocabulary(["the"]))
