"""The signatures of a loaded export against the model in memory."""

from concurrent import futures

import numpy as np
import pytest
import tensorflow as tf

from awd_keras.evaluation import LineScorer
from awd_keras.generation import GenerationConfig, TextGenerator
from tests.serving.exported import exported, log_probabilities_of
from tests.test_case import assert_close, assert_equal

# White space of every kind, unknown words, a written <unk>, no word, a long line.
TEXTS = [
    "w1 w2 w3",
    "",
    " \t",
    "w1 dog",
    "caf\xe9 \x0b w4\n<unk>",
    "w5\xa0w1\x1cw2\u3000dog\x85",
    "<eos> w2 \ufeffw1",
    "w1 w2 dog " * 30,
]
OPTIONS = {"max_words": 9, "temperature": 0.8, "top_k": 15, "top_p": 0.9}


@pytest.fixture(scope="module", params=[True, False], ids=["tied", "untied"])
def tiny(request):
    return exported(tie_weights=request.param)


def generate(tiny, prompts, seeds, **changes):
    options = {**OPTIONS, **changes}
    rows = {name: np.broadcast_to(value, len(prompts)) for name, value in options.items()}
    return tiny.call("generate", prompt=prompts, seed=seeds, **rows)["text"].tolist()


class TestScore:
    def test_the_numbers_are_those_of_trainers_score(self, tiny):
        found = tiny.call("score", text=TEXTS)
        scores = list(LineScorer(tiny.model, tiny.vocabulary).score(TEXTS))
        assert_close(found["log_probability"], [s.log_probability for s in scores], 1e-5)
        assert found["num_tokens"].tolist() == [s.num_words for s in scores]
        assert found["num_unknown"].tolist() == [s.num_unknown for s in scores]
        perplexity = [np.exp(-s.log_probability / s.num_words) for s in scores]
        assert_close(found["perplexity"], perplexity, 1e-5)

    def test_it_is_the_default(self, tiny):
        assert_equal(
            tiny.call("serving_default", text=TEXTS)["log_probability"],
            tiny.call("score", text=TEXTS)["log_probability"],
        )


class TestScoreTokens:
    def test_padding_never_counts_whatever_it_is(self, tiny):
        rows = [[3, 1, 4, 2], [5, -7, 10**9, -(2**31)], [2**31 - 1, 0, 0, 0], [2, 2, 9, 9]]
        lengths = [4, 1, 0, 2]
        found = tiny.call("score_tokens", token_ids=rows, lengths=lengths)["log_probabilities"]
        eos = tiny.vocabulary.eos_id
        for row, values, length in zip(rows, found, lengths):
            inputs = [eos, *row[:length]][:length]
            if length:
                after = log_probabilities_of(tiny.model, inputs)
                np.testing.assert_allclose(
                    values[:length], after[np.arange(length), row[:length]], rtol=1e-5
                )
            assert np.all(values[length:] == 0)

    def test_they_sum_to_the_score_of_the_text(self, tiny):
        words = "w3 w1 w4".split()
        ids = [*tiny.vocabulary.encode(words), tiny.vocabulary.eos_id]
        by_token = tiny.call("score_tokens", token_ids=[ids], lengths=[4])["log_probabilities"]
        score = tiny.call("score", text=[" ".join(words)])["log_probability"]
        assert_close(by_token.sum(axis=1), score, 1e-6)


class TestNextWord:
    def test_the_likeliest_words(self, tiny):
        ks = [2, 5, 1, 3]
        texts = ["w1 w2 w3", "", "w1 dog", "w4"]
        found = tiny.call("next_word", text=texts, k=ks)
        assert found["words"].shape == found["log_probabilities"].shape == (4, 5)
        for row, (text, k) in enumerate(zip(texts, ks)):
            ids = tiny.vocabulary.encode(["<eos>", *text.split()])
            after = log_probabilities_of(tiny.model, ids)[-1]
            order = np.argsort(-after, kind="stable")[:k]
            words = [word.decode() for word in found["words"][row]]
            assert words == [*tiny.vocabulary.decode(order), *[""] * (5 - k)]
            np.testing.assert_allclose(found["log_probabilities"][row, :k], after[order], rtol=1e-5)
            assert np.all(found["log_probabilities"][row, k:] == -np.inf)

    def test_more_words_than_there_are(self, tiny):
        size = len(tiny.vocabulary)
        found = tiny.call("next_word", text=["w1"], k=[size + 3])
        assert found["words"].shape == (1, size + 3)
        assert sorted(found["words"][0, :size]) == sorted(w.encode() for w in tiny.vocabulary.words)
        assert found["words"][0, size:].tolist() == [b""] * 3
        assert np.exp(found["log_probabilities"]).sum() == pytest.approx(1, rel=1e-5)


class TestStep:
    def test_the_client_carries_the_state(self, tiny):
        rows = np.array([[1, 5, 2, 7], [3, 3, 0, 4]], np.int32)
        state = tiny.zero_state(2)
        for index in range(4):
            found = tiny.call("step", token_ids=rows[:, index], state=state)
            for row in range(2):
                expected = log_probabilities_of(tiny.model, rows[row, : index + 1])[-1]
                np.testing.assert_allclose(found["log_probabilities"][row], expected, rtol=1e-5)
            state = found["next_state"]
        expected = tf.concat(tf.nest.flatten(tiny.model(rows)[1]), axis=1)
        assert_close(state, expected, 1e-5)

    def test_it_goes_on_where_next_word_stands(self, tiny):
        state = tiny.zero_state(1)
        for token_id in tiny.vocabulary.encode(["<eos>", "w2", "w1"]):
            found = tiny.call("step", token_ids=[token_id], state=state)
            state = found["next_state"]
        best = tiny.call("next_word", text=["w2 w1"], k=[1])["log_probabilities"][0, 0]
        assert found["log_probabilities"].max() == pytest.approx(best, rel=1e-5)


class TestGenerate:
    @pytest.mark.parametrize("seed", [0, 7, 2**31 + 5, 2**62 - 1])
    def test_the_text_is_that_of_trainers_generate(self, tiny, seed):
        config = GenerationConfig(seed=seed, **OPTIONS)
        for prompt in ("w1", "", "caf\xe9 \u2003w2"):
            [text] = TextGenerator(tiny.model, tiny.vocabulary).generate(prompt, config)
            expected = " ".join([*prompt.split(), *text.words])
            assert generate(tiny, [prompt], [seed])[0].decode() == expected

    def test_a_row_depends_on_itself_alone(self, tiny):
        prompts = ["w1", "w2 w3 w4", "", "w1", "dog"]
        seeds = [4, 5, 6, 4, 7]
        options = {
            "max_words": [30, 3, 12, 30, 1],
            "temperature": [1.0, 0.0, 2.0, 1.0, 0.5],
            "top_k": [0, 5, 10, 0, 0],
            "top_p": [1.0, 0.5, 0.9, 1.0, 1.0],
        }
        together = generate(tiny, prompts, seeds, **options)
        assert together[0] == together[3]
        for row, text in enumerate(together):
            alone = {name: values[row] for name, values in options.items()}
            assert generate(tiny, [prompts[row]], [seeds[row]], **alone) == [text]
        assert together == generate(tiny, prompts, seeds, **options)

    def test_a_seed_makes_a_difference(self, tiny):
        texts = generate(tiny, ["w1"] * 8, list(range(8)), temperature=1.5, top_k=0, top_p=1.0)
        assert len(set(texts)) > 4

    def test_it_ends_at_the_largest_length_or_before_an_eos(self, tiny):
        most = [1, 2, 5, 40]
        texts = generate(tiny, ["w1"] * 4, [0, 1, 2, 3], max_words=most, temperature=3.0, top_k=0)
        written = [text.split()[1:] for text in texts]
        assert all(len(words) <= k for words, k in zip(written, most))
        assert not any(b"<eos>" in words for words in written)
        # The same seed writes the same words, however many.
        longer = generate(tiny, ["w1"] * 2, [0, 0], max_words=[4, 9])
        assert longer[1].startswith(longer[0])

    def test_a_prompt_comes_back_with_its_words_as_they_were(self, tiny):
        [text] = generate(tiny, [" dog\t\xa0 Caf\xe9  w1\x0b\x0b"], [0], max_words=1)
        assert text.decode().startswith("dog Caf\xe9 w1")


class TestManyAtOnce:
    def test_requests_do_not_disturb_each_other(self, tiny):
        """Of all signatures, from several threads, as a server runs them."""

        def ask(number):
            text = [f"w{1 + number % 9} w2", "w3 " * (number % 5)]
            seeds = [number, number + 1]
            return [
                tiny.call("score", text=text)["log_probability"].tolist(),
                tiny.call("next_word", text=text, k=[1, 2])["words"].tolist(),
                tiny.call("step", token_ids=[number % 20, 1], state=tiny.zero_state(2))[
                    "log_probabilities"
                ].tolist(),
                generate(tiny, text, seeds),
            ]

        alone = [ask(number) for number in range(12)]
        assert len({str(answers) for answers in alone}) == 12
        with futures.ThreadPoolExecutor(6) as threads:
            assert list(threads.map(ask, [*range(12)] * 2)) == alone * 2


class TestEmptyBatches:
    def test_no_rows_no_answers(self, tiny):
        assert all(v.shape == (0,) for v in tiny.call("score", text=[]).values())
        found = tiny.call("next_word", text=[], k=[])
        assert found["words"].shape == found["log_probabilities"].shape == (0, 0)
        ids = np.zeros((0, 3), np.int32)
        found = tiny.call("score_tokens", token_ids=ids, lengths=[])
        assert found["log_probabilities"].shape == (0, 3)
        found = tiny.call("step", token_ids=[], state=tiny.zero_state(0))
        assert found["log_probabilities"].shape == (0, len(tiny.vocabulary))
        assert found["next_state"].shape == tiny.zero_state(0).shape
        assert generate(tiny, [], []) == []

    def test_rows_without_a_column(self, tiny):
        ids = np.zeros((2, 0), np.int32)
        found = tiny.call("score_tokens", token_ids=ids, lengths=[0, 0])
        assert found["log_probabilities"].shape == (2, 0)


class TestWithoutUnk:
    def test_unknown_words_have_no_probability(self):
        tiny = exported(words="w1")
        assert tiny.vocabulary.unk_id is None
        found = tiny.call("score", text=["w1 w2", "w1 dog", ""])
        scores = list(LineScorer(tiny.model, tiny.vocabulary).score(["w1 w2", "w1 dog", ""]))
        assert found["log_probability"][1] == -np.inf and found["perplexity"][1] == np.inf
        expected = [s.log_probability for s in scores]
        np.testing.assert_allclose(found["log_probability"], expected, rtol=1e-5)
        assert found["num_tokens"].tolist() == [3, 3, 1]
        assert found["num_unknown"].tolist() == [0, 1, 0]

    def test_nothing_comes_after_them(self):
        tiny = exported(words="w1")
        with pytest.raises(tf.errors.InvalidArgumentError, match="no <unk> to stand for others"):
            tiny.call("next_word", text=["w1", "w1 dog"], k=[1, 1])
        with pytest.raises(tf.errors.InvalidArgumentError, match="`prompt` must have words of"):
            generate(tiny, ["dog"], [0])
        assert tiny.call("next_word", text=["w1"], k=[1])["words"].shape == (1, 1)


class TestOtherForms:
    """Smaller forms give nearly the same: no reason to look for the last digit."""

    @pytest.mark.parametrize(
        ("dtype", "weights", "tolerance"),
        [
            ("float32", "int8", 0.02),
            ("bfloat16", None, 0.03),
            pytest.param("bfloat16", "int8", 0.04, marks=pytest.mark.slow),
        ],
    )
    @pytest.mark.parametrize("tied", [True, False])
    def test_all_signatures_are_close(self, dtype, weights, tolerance, tied):
        exact, form = exported(tie_weights=tied), exported(dtype, weights, tie_weights=tied)
        for name, inputs in {
            "score": {"text": TEXTS},
            "score_tokens": {"token_ids": [[1, 2, 3], [4, 5, 6]], "lengths": [3, 2]},
            "step": {"token_ids": [1, 2], "state": exact.zero_state(2)},
        }.items():
            expected, found = exact.call(name, **inputs), form.call(name, **inputs)
            for key in expected:
                assert_close(found[key], expected[key], tolerance, f"{name} {key}")
                if expected[key].dtype == np.float32:
                    assert np.any(found[key] != expected[key]), "nothing was made smaller"
        assert len(generate(form, ["w1"] * 3, [0, 1, 2])) == 3
        found = form.call("next_word", text=["w1"], k=[3])["log_probabilities"]
        expected = exact.call("next_word", text=["w1"], k=[3])["log_probabilities"]
        assert_close(found, expected, tolerance)
