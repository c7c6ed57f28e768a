import math

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from awd_keras.errors import InputError
from awd_keras.generation import TextGenerator
from awd_keras.models import AWDLSTMLanguageModel
from tests.test_case import to_numpy

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


def generate(generator, *args, **options):
    return list(generator.generate(*args, **options))


@pytest.fixture(scope="module")
def generator():
    return TextGenerator(make_model(scale=0.5, bias={"<eos>": 1.0}), VOCABULARY)


@pytest.fixture(scope="module")
def endless():
    """Never generates `<eos>`."""
    return TextGenerator(make_model(bias={"<eos>": -1000.0}), VOCABULARY)


@pytest.fixture(scope="module")
def unknown():
    """Often generates `<unk>`."""
    return TextGenerator(make_model(scale=0.3, bias={"<unk>": 4.0}), VOCABULARY)


def greedy(model, prompt, max_words):
    """Returns the most likely words; the model reads the whole text for each word."""
    ids = [0, *map(WORDS.index, prompt.split())]
    start = len(ids)
    while len(ids) < start + max_words:
        logits, _ = model(np.array([ids], "int32"))
        ids.append(int(to_numpy(logits)[0, -1].argmax()))
        if ids[-1] == 0:
            return tuple(WORDS[index] for index in ids[start:-1]), True
    return tuple(WORDS[index] for index in ids[start:]), False


def test_temperature_zero_selects_the_most_likely_words():
    model = make_model(scale=2.0, bias={"mat": -1.0})
    generator = TextGenerator(model, VOCABULARY)
    for prompt in ("", "the cat sat"):
        (text,) = generate(generator, prompt, temperature=0.0, max_words=6)
        assert (text.words, text.finished) == greedy(model, prompt, 6)
        assert len(set(text.words)) > 1


def test_texts_are_a_function_of_seed_and_index(endless, monkeypatch):
    options = {"max_words": 15, "seed": 11}
    texts = generate(endless, "a", num_samples=7, **options)
    assert len(set(texts)) == 7
    assert generate(endless, "a", num_samples=3, **options) == texts[:3]
    assert generate(endless, "a", num_samples=7, max_words=15, seed=12) != texts
    monkeypatch.setattr("awd_keras.generation._BATCH_SIZE", 2)
    assert generate(endless, "a", num_samples=7, **options) == texts


def test_max_words_truncates_the_text(endless):
    (long,) = generate(endless, max_words=20)
    (short,) = generate(endless, max_words=8)
    assert long.words[:8] == short.words
    assert (len(long.words), long.finished) == (20, False)


def test_a_long_prompt_is_read_in_windows(endless, monkeypatch):
    prompt = "the cat sat on a mat the cat"
    texts = generate(endless, prompt, num_samples=2, max_words=10)
    monkeypatch.setattr("awd_keras.generation._PROMPT_WINDOW", 3)
    assert generate(endless, prompt, num_samples=2, max_words=10) == texts
    assert generate(endless, "cat", num_samples=2, max_words=10) != texts


def test_texts_end_at_eos(generator):
    texts = generate(generator, num_samples=50, max_words=200)
    assert all(text.finished for text in texts)
    assert not any("<eos>" in text.words for text in texts)
    assert len({len(text.words) for text in texts}) > 5


def count_unknown(texts):
    """Returns the number of `<unk>`, and of those that follow another."""
    pairs = [pair for text in texts for pair in zip(text.words, text.words[1:])]
    return sum(text.words.count("<unk>") for text in texts), pairs.count(("<unk>", "<unk>"))


@pytest.mark.parametrize("options", [{}, {"temperature": 0.0}, {"top_k": 1}, {"top_p": 0.1}])
def test_without_unknown_words(unknown, options):
    num_unknown, num_repeated = count_unknown(generate(unknown, num_samples=20, max_words=30))
    assert num_unknown > 100 and num_repeated > 50
    texts = generate(unknown, num_samples=20, max_words=30, unknown=False, **options)
    assert count_unknown(texts) == (0, 0)
    assert any(text.words for text in texts)


def test_without_repeated_unknown_words(unknown):
    options = {"num_samples": 20, "max_words": 30, "repeat_unknown": False}
    num_unknown, num_repeated = count_unknown(generate(unknown, **options))
    assert num_unknown > 50 and num_repeated == 0
    assert not any(text.words[:1] == ("<unk>",) for text in generate(unknown, "dog", **options))


def test_a_vocabulary_without_unk():
    vocabulary = Vocabulary(["<eos>", "the", "cat"])
    generator = TextGenerator(make_model(vocabulary), vocabulary)
    texts = generate(generator, max_words=10)
    assert generate(generator, max_words=10, unknown=False, repeat_unknown=False) == texts
    with pytest.raises(InputError, match="The word 'dog'"):
        generator.generate("the dog")


def test_the_model_is_traced_once(generator):
    generate(generator)
    generate(generator, "the cat", num_samples=3, max_words=5, temperature=1, top_k=3, seed=5)
    generate(generator, "a", num_samples=70, max_words=2, top_p=0.5, unknown=False)
    assert generator._next_words.experimental_get_tracing_count() == 1


@pytest.mark.parametrize(
    "name, value",
    [
        ("num_samples", 0),
        ("max_words", 0),
        ("temperature", -0.1),
        ("temperature", math.nan),
        ("temperature", math.inf),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.1),
        ("seed", -1),
        ("seed", 2**62),
    ],
)
def test_arguments_out_of_range(generator, name, value):
    with pytest.raises(ValueError, match=f"`{name}` must be .*Received: {name}={value}"):
        generator.generate(**{name: value})
