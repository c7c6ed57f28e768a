"""The signatures of a loaded export, compared with the model in memory."""

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.generation import TextGenerator
from tests.serving.exported import Exported, exported, make_model, make_signatures
from tests.test_case import assert_close

# Different whitespace, unknown words, a written <unk>, no words, a long line.
TEXTS = [
    "w1 w2 w3",
    "",
    " \t",
    "w1 dog",
    "caf\xe9 \x0b w4\n<unk>",
    "w5\xa0w1\x1cw2\u3000dog\x85",
    "<eos> w2 \ufeffw1",
    "w1 w2 dog " * 15,
]
OPTIONS = {"max_words": 9, "temperature": 0.8, "top_k": 15, "top_p": 0.9}


@pytest.fixture(scope="module")
def tiny():
    return exported()


def generate(tiny, prompts, seeds, **changes):
    options = {**OPTIONS, **changes}
    rows = {name: np.broadcast_to(value, len(prompts)) for name, value in options.items()}
    return tiny.call("generate", prompt=prompts, seed=seeds, **rows)["text"].tolist()


class TestScore:
    @pytest.mark.parametrize("signature", ["score", "serving_default"])
    def test_equals_the_model(self, tiny, signature):
        outputs = tiny.call(signature, text=TEXTS)
        expected = np.array([tiny.score(text) for text in TEXTS])
        num_tokens = [len(text.split()) + 1 for text in TEXTS]
        assert_close(outputs["log_probability"], expected, 1e-5)
        assert_close(outputs["perplexity"], np.exp(-expected / num_tokens), 1e-5)
        assert outputs["num_tokens"].tolist() == num_tokens
        assert outputs["num_unknown"].tolist() == [0, 0, 0, 1, 0, 1, 1, 15]


@pytest.mark.parametrize("rnn", ["gru", "qrnn"])
def test_other_cells(rnn):
    model, vocabulary = make_model(rnn=rnn)
    other = Exported(model, vocabulary, None)
    signatures = make_signatures(model, vocabulary)
    scores = signatures.score(tf.constant(TEXTS))["log_probability"]
    assert_close(scores, np.array([other.score(text) for text in TEXTS]), 1e-5)
    texts, state = ["w1 w2 w3", "w4"], tf.zeros((1, signatures._network.state_size))
    best = signatures.next_word(tf.constant(texts), tf.constant([2, 2]))["log_probabilities"]
    for token_id in other.encode(texts[0]):
        step = signatures.step(tf.constant([token_id]), state)
        state = step["next_state"]
    expected = other.log_probabilities(other.encode(texts[0]))[-1]
    assert_close(step["log_probabilities"][0], expected, 1e-5)
    for text, row in zip(texts, best.numpy(), strict=True):
        expected = np.sort(other.log_probabilities(other.encode(text))[-1])[:-3:-1]
        assert_close(row, expected, 1e-5)


class TestScoreTokens:
    def test_padding_may_have_any_value(self, tiny):
        rows = [[3, 1, 4, 2], [5, -7, 10**9, -(2**31)], [2**31 - 1, 0, 0, 0], [2, 2, 9, 9]]
        lengths = [4, 1, 0, 2]
        outputs = tiny.call("score_tokens", token_ids=rows, lengths=lengths)["log_probabilities"]
        for row, values, length in zip(rows, outputs, lengths):
            if length:
                expected = tiny.log_probabilities([tiny.vocabulary.eos_id, *row[: length - 1]])
                expected = expected[np.arange(length), row[:length]]
                assert_close(values[:length], expected, 1e-5)
            assert not np.any(values[length:])


class TestNextWord:
    def test_the_most_likely_words(self, tiny):
        ks = [2, 5, 1, 3]
        texts = ["w1 w2 w3", "", "w1 dog", "w4"]
        outputs = tiny.call("next_word", text=texts, k=ks)
        assert outputs["words"].shape == outputs["log_probabilities"].shape == (4, 5)
        for row, (text, k) in enumerate(zip(texts, ks)):
            expected = tiny.log_probabilities(tiny.encode(text))[-1]
            order = np.argsort(-expected, kind="stable")[:k]
            words = [word.decode() for word in outputs["words"][row]]
            assert words == [*tiny.vocabulary.decode(order), *[""] * (5 - k)]
            assert_close(outputs["log_probabilities"][row, :k], expected[order], 1e-5)
            assert np.all(outputs["log_probabilities"][row, k:] == -np.inf)


class TestStep:
    def test_the_state_carries_the_text(self, tiny):
        rows = np.array([[1, 5, 2, 7], [3, 3, 0, 4]], np.int32)
        state = tiny.zero_state(2)
        for index in range(4):
            outputs = tiny.call("step", token_ids=rows[:, index], state=state)
            expected = [tiny.log_probabilities(row[: index + 1])[-1] for row in rows]
            assert_close(outputs["log_probabilities"], expected, 1e-5)
            state = outputs["next_state"]
        assert_close(state, tf.concat(tf.nest.flatten(tiny.model(rows)[1]), axis=1), 1e-5)


class TestGenerate:
    @pytest.mark.parametrize("seed", [0, 2**31 + 5, 2**62 - 1])
    def test_equals_the_text_generator(self, tiny, seed):
        generator = TextGenerator(tiny.model, tiny.vocabulary)
        for prompt in ("w1", "", "caf\xe9 \u2003w2"):
            (text,) = generator.generate(prompt, seed=seed, **OPTIONS)
            expected = " ".join([*prompt.split(), *text.words])
            assert generate(tiny, [prompt], [seed])[0].decode() == expected

    def test_rows_are_independent(self, tiny):
        prompts = ["w1", "w2 w3 w4", "", "w1", "dog"]
        seeds = [4, 5, 6, 4, 7]
        options = {
            "max_words": [20, 3, 12, 20, 1],
            "temperature": [1.0, 0.0, 2.0, 1.0, 0.5],
            "top_k": [0, 5, 10, 0, 0],
            "top_p": [1.0, 0.5, 0.9, 1.0, 1.0],
        }
        together = generate(tiny, prompts, seeds, **options)
        assert together[0] == together[3]
        for row, text in enumerate(together):
            alone = {name: values[row] for name, values in options.items()}
            assert generate(tiny, [prompts[row]], [seeds[row]], **alone) == [text]

    def test_ends_at_the_largest_length_or_before_an_eos(self, tiny):
        most = [1, 2, 5, 20] * 8
        texts = generate(tiny, ["w1"] * 32, range(32), max_words=most, temperature=3.0, top_k=0)
        written = [text.split()[1:] for text in texts]
        assert all(len(words) <= k for words, k in zip(written, most))
        assert not any(b"<eos>" in words for words in written)
        assert len(set(texts)) > 8

    def test_the_words_of_the_prompt_are_unchanged(self, tiny):
        (text,) = generate(tiny, [" dog\t\xa0 Caf\xe9  w1\x0b\x0b"], [0], max_words=1)
        assert text.decode().startswith("dog Caf\xe9 w1")


class TestEdges:
    def test_empty_batches(self, tiny):
        assert all(value.shape == (0,) for value in tiny.call("score", text=[]).values())
        assert tiny.call("next_word", text=[], k=[])["words"].shape == (0, 0)
        ids = np.zeros((0, 3), np.int32)
        outputs = tiny.call("score_tokens", token_ids=ids, lengths=[])
        assert outputs["log_probabilities"].shape == (0, 3)
        outputs = tiny.call("step", token_ids=[], state=tiny.zero_state(0))
        assert outputs["log_probabilities"].shape == (0, len(tiny.vocabulary))
        assert generate(tiny, [], []) == []

    def test_rows_without_columns(self, tiny):
        ids = np.zeros((2, 0), np.int32)
        outputs = tiny.call("score_tokens", token_ids=ids, lengths=[0, 0])
        assert outputs["log_probabilities"].shape == (2, 0)


class TestVariants:
    @pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05)])
    @pytest.mark.parametrize(
        "options", [{}, {"tie_weights": False}, {"adaptive_softmax_cutoffs": (4, 9)}], ids=str
    )
    def test_dtypes_and_softmaxes(self, options, dtype, tolerance):
        model, vocabulary = make_model(**options)
        signatures = make_signatures(model, vocabulary, dtype)
        expected = Exported(model, vocabulary, None)
        scores = signatures.score(tf.constant(TEXTS))["log_probability"]
        assert_close(scores, [expected.score(text) for text in TEXTS], tolerance)
        state = tf.zeros((1, 2 * sum(layer.units for layer in model.backbone.lstm_layers)))
        outputs = signatures.step(tf.constant([2]), state)
        assert_close(outputs["log_probabilities"], expected.log_probabilities([2]), tolerance)

    def test_texts_longer_than_a_window(self, monkeypatch):
        monkeypatch.setattr("serving.network._MAX_WINDOW_WORDS", 24)
        model, vocabulary = make_model()
        signatures, expected = make_signatures(model, vocabulary), Exported(model, vocabulary, None)
        scores = signatures.score(tf.constant(TEXTS))["log_probability"]
        assert_close(scores, [expected.score(text) for text in TEXTS], 1e-5)
        outputs = signatures.next_word(tf.constant(TEXTS), tf.ones(len(TEXTS), tf.int32))
        best = [expected.log_probabilities(expected.encode(text))[-1].max() for text in TEXTS]
        assert_close(outputs["log_probabilities"][:, 0], best, 1e-5)

    def test_unknown_words_without_unk(self):
        model, vocabulary = make_model(has_unk=False)
        signatures = make_signatures(model, vocabulary)
        outputs = signatures.score(tf.constant(["w1 w2", "w1 dog", ""]))
        assert outputs["log_probability"][1] == -np.inf and outputs["perplexity"][1] == np.inf
        expected = Exported(model, vocabulary, None).score("w1 w2")
        assert_close(outputs["log_probability"][0], expected, 1e-5)
        assert outputs["num_unknown"].numpy().tolist() == [0, 1, 0]
        message = "has words outside the vocabulary, which has no <unk>. Row:"
        with pytest.raises(tf.errors.InvalidArgumentError, match=message):
            signatures.next_word(tf.constant(["w1", "w1 dog"]), tf.constant([1, 1]))
