"""Tests of suggestions while a sentence is typed, with clients that tell what they were asked."""

import numpy as np
import pytest

from serving.suggestions import LineSuggestions, StepSuggestions

WORDS = ["the", "<unk>", "<eos>", "cat", "sat"]


class LineClient:
    def __init__(self):
        self.asked = []

    def next_word(self, texts, k):
        self.asked.append((texts, k))
        return [[(f"word {len(self.asked)}", -1.0)]]


class StepClient:
    """A model whose state is the ids that it has read; the last of them is what it repeats."""

    def __init__(self, size=None):
        self.size = len(WORDS) if size is None else size
        self.failing = False

    def step(self, token_ids, state):
        if self.failing:
            raise ConnectionError("gone")
        [token_id] = token_ids
        self.state = (*(state or ()), token_id)
        log_probabilities = np.full((1, self.size), -2.0, np.float32)
        log_probabilities[0, token_id] = -0.5
        return log_probabilities, self.state


def ids(*words):
    return tuple(map(WORDS.index, words))


class TestLineSuggestions:
    def test_the_whole_sentence_is_sent(self):
        client = LineClient()
        suggestions = LineSuggestions(client)
        assert suggestions.best(3) == [("word 1", -1.0)]
        for word in ("the", "cat"):
            suggestions.read(word)
        assert suggestions.best(2) == [("word 2", -1.0)]
        assert client.asked == [([""], 3), (["the cat"], 2)]
        assert suggestions.words == ["the", "cat"]

    @pytest.mark.parametrize("end", ["begin", "<eos>"])
    def test_the_next_sentence(self, end):
        client = LineClient()
        suggestions = LineSuggestions(client)
        suggestions.read("the")
        suggestions.begin() if end == "begin" else suggestions.read(end)
        assert suggestions.words == []
        suggestions.read("sat")
        suggestions.best(1)
        assert client.asked == [(["sat"], 1)]


class TestStepSuggestions:
    def test_a_word_is_sent_with_the_state_after_those_before_it(self):
        client = StepClient()
        suggestions = StepSuggestions(client, WORDS)
        assert client.state == ids("<eos>")
        for word in ("the", "cat"):
            suggestions.read(word)
        assert client.state == ids("<eos>", "the", "cat")
        assert suggestions.words == ["the", "cat"]

    @pytest.mark.parametrize("end", ["begin", "<eos>"])
    def test_the_next_sentence(self, end):
        client = StepClient()
        suggestions = StepSuggestions(client, WORDS)
        suggestions.read("the")
        suggestions.begin() if end == "begin" else suggestions.read(end)
        assert suggestions.words == [] and client.state == ids("<eos>")

    def test_the_likeliest_first_and_equals_in_the_vocabularys_order(self):
        suggestions = StepSuggestions(StepClient(), WORDS)
        suggestions.read("cat")
        order = ["cat", "the", "<unk>", "<eos>", "sat"]
        expected = list(zip(order, [-0.5, *4 * [-2.0]]))
        assert suggestions.best(3) == expected[:3]
        assert suggestions.best(99) == expected
        assert all(type(p) is float for _, p in suggestions.best(5))

    def test_many_equals_in_the_vocabularys_order(self):
        # A few come out in their order of any sort.
        class TwoValues(StepClient):
            def step(self, token_ids, state):
                log_probabilities, state = super().step(token_ids, state)
                is_odd = np.arange(self.size) % 2 == 1
                return np.where(is_odd, np.float32(-1), 0 * log_probabilities - 2), state

        words = ["<eos>", *(f"w{index}" for index in range(1, 100))]
        found = StepSuggestions(TwoValues(100), words).best(100)
        assert [word for word, _ in found] == words[1::2] + words[::2]

    def test_an_unknown_word_is_read_as_unk_and_shown_as_it_is(self):
        client = StepClient()
        suggestions = StepSuggestions(client, WORDS)
        suggestions.read("zebra")
        assert client.state == ids("<eos>", "<unk>") and suggestions.words == ["zebra"]

    def test_an_unknown_word_without_unk(self):
        words = ["<eos>", "cat"]
        client = StepClient(2)
        suggestions = StepSuggestions(client, words)
        with pytest.raises(ValueError, match="^the vocabulary has neither 'zebra' nor <unk>.$"):
            suggestions.read("zebra")
        suggestions.read("cat")
        assert client.state == (0, 1) and suggestions.words == ["cat"]

    def test_a_word_that_was_not_answered_is_not_in_the_sentence(self):
        client = StepClient()
        suggestions = StepSuggestions(client, WORDS)
        client.failing = True
        with pytest.raises(ConnectionError):
            suggestions.read("the")
        client.failing = False
        suggestions.read("cat")
        assert client.state == ids("<eos>", "cat") and suggestions.words == ["cat"]

    def test_a_files_last_line_end_is_no_word(self):
        words = "\n".join([*WORDS, ""]).split("\n")
        suggestions = StepSuggestions(StepClient(), words)
        assert len(suggestions.best(99)) == len(WORDS) == len(words) - 1

    @pytest.mark.parametrize("words", [[], [""], ["a"], ["<eos> ", "a"]])
    def test_no_vocabulary(self, words):
        with pytest.raises(ValueError, match="expected a vocabulary with <eos>, a word in each"):
            StepSuggestions(StepClient(), words)

    @pytest.mark.parametrize("size", [4, 6])
    def test_the_vocabulary_of_another_model(self, size):
        said = f"^the vocabulary has 5 words, the model {size}: it is another model's.$"
        with pytest.raises(ValueError, match=said):
            StepSuggestions(StepClient(size), WORDS)
