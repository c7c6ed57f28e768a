"""Tests of the steps of an evaluation, with a small model, and of what they say meanwhile."""

import math

import numpy as np
import pytest

from awd_keras.data import Vocabulary
from awd_keras.evaluation import ContinuousCache, DynamicEvaluation, evaluate
from tests.evaluation.tiny import WORDS, make_model, make_text, weights_of
from tests.test_case import assert_close, assert_equal
from trainers import evaluation_steps
from trainers.errors import NonFiniteLossError, UserError
from trainers.run_text import Text

VOCABULARY = Vocabulary(["<unk>", "<eos>", *(f"w{index}" for index in range(WORDS - 2))])
TEXT = Text("letter.txt", make_text(24), 0)
CACHE = ContinuousCache(window=8, theta=0.5, lambda_=0.2)
NAMES = ["model", "cache", "dynamic_evaluation", "dynamic_evaluation_and_cache"]


class Told:
    """All that is said, without a clock: a live line each time."""

    def __init__(self):
        self.lines, self.lives = [], []

    def line(self, text):
        self.lines.append(text)

    def live(self, make_text):
        self.lives.append(make_text())


@pytest.fixture
def progress():
    return Told()


@pytest.fixture(scope="module")
def model():
    return make_model()


@pytest.fixture(scope="module")
def learning(model):
    """Dynamic evaluation of the model, with its statistics."""
    found = DynamicEvaluation(model, learning_rate=0.01)
    found.collect_statistics(make_text(60, seed=1), batch_size=2)
    return found


@pytest.fixture
def damaged():
    model = make_model()
    model.decoder.bias.assign(np.full(WORDS, math.nan))
    return model


def measure(progress, model, cache=None, learning=None, per_token=None, text=TEXT, batch_size=1):
    return evaluation_steps.measure(
        model, VOCABULARY, text, batch_size, cache, learning, per_token, progress
    )


class TestCollectStatistics:
    def test_they_are_collected_and_it_says_so(self, model, progress):
        found = DynamicEvaluation(model)
        evaluation_steps.collect_statistics(found, make_text(60), 4, 2, progress)
        assert found.root_mean_squares is not None
        [line] = progress.lines
        assert "the statistics of the training text" in line
        assert progress.lives == ["statistics: 1 of 2 windows", "statistics: 2 of 2 windows"]

    def test_a_text_too_short(self, model, progress):
        found = DynamicEvaluation(model)
        with pytest.raises(UserError, match="^--dyneval: "):
            evaluation_steps.collect_statistics(found, make_text(1), 4, None, progress)

    def test_gradients_that_are_not_finite(self, damaged, progress):
        found = DynamicEvaluation(damaged)
        with pytest.raises(UserError, match="^--dyneval: The gradients .* must be finite"):
            evaluation_steps.collect_statistics(found, make_text(20), 1, 1, progress)


class TestSearch:
    def search(self, progress, model, caches=(None,), learnings=(None,)):
        return evaluation_steps.search(model, make_text(21), caches, learnings, 1, progress)

    def test_the_best_first(self, model, learning, progress):
        trials = self.search(progress, model, (None, CACHE), (None, learning))
        tried = {(trial.cache, trial.dynamic_evaluation) for trial in trials}
        assert len(trials) == 4
        assert tried == {(None, None), (CACHE, None), (None, learning), (CACHE, learning)}
        losses = [trial.result.loss for trial in trials]
        assert losses == sorted(losses)
        [line] = progress.lines
        assert line.startswith("searching: 4 settings on 21 tokens of the validation text, which")
        assert line.endswith("is read 2 times ...")

    def test_what_it_says_meanwhile(self, model, progress):
        [trial] = self.search(progress, model)
        assert progress.lines[0].endswith("which is read once ...")
        assert progress.lives[-1] == (
            f"searching: 100%, perplexity without cache {trial.result.perplexity:.2f}"
        )

    def test_a_model_that_diverged(self, damaged, progress):
        with pytest.raises(NonFiniteLossError, match="whatever the settings"):
            self.search(progress, damaged)


class TestMeasure:
    @pytest.mark.parametrize(
        "cached, learns, names",
        [
            (False, False, NAMES[:1]),
            (True, False, NAMES[:2]),
            (False, True, [NAMES[0], NAMES[2]]),
            (True, True, NAMES),
        ],
    )
    def test_the_stages_that_were_asked_for(self, model, learning, progress, cached, learns, names):
        before = weights_of(model)
        stages = measure(progress, model, CACHE if cached else None, learning if learns else None)
        assert list(stages) == names
        losses = [stage.result.loss for stage in stages.values()]
        assert len(set(losses)) == len(names)
        assert_close(losses[0], evaluate(model, TEXT.token_ids, 1).loss, 1e-5)
        assert {stage.result.num_tokens for stage in stages.values()} == {23}
        for weight, value in zip(model.weights, before):
            assert_equal(weight, value)

    def test_the_unknown_words_apart(self, model, progress):
        [stage] = measure(progress, model).values()
        assert stage.num_unk == np.count_nonzero(TEXT.token_ids[1:] == VOCABULARY.unk_id) > 0

    @pytest.mark.parametrize("cached, learns", [(False, False), (True, False), (True, True)])
    def test_the_table_is_of_the_last_stage(
        self, model, learning, progress, tmp_path, cached, learns
    ):
        path = tmp_path / "words.tsv"
        stages = measure(
            progress, model, CACHE if cached else None, learning if learns else None, path
        )
        rows = [line.split("\t") for line in path.read_text().splitlines()[1:]]
        assert [row[0] for row in rows] == VOCABULARY.decode(TEXT.token_ids[1:])
        assert min(int(row[2]) for row in rows) >= 1
        nats = [-float(row[1]) for row in rows]
        assert_close(np.mean(nats), list(stages.values())[-1].result.loss, 1e-5)

    @pytest.mark.parametrize("batch_size, num_tokens", [(1, 23), (5, 15)])
    def test_what_it_says_meanwhile(self, model, learning, progress, batch_size, num_tokens):
        stages = measure(progress, model, CACHE, learning, batch_size=batch_size)
        count = f"{num_tokens} of {num_tokens} tokens, perplexity"
        perplexities = [stages[name].result.perplexity for name in (NAMES[1], NAMES[3])]
        assert [live for live in progress.lives if count in live] == [
            f"evaluating: {count} {perplexities[0]:.2f}",
            f"dynamic evaluation: {count} {perplexities[1]:.2f}",
        ]

    def test_a_model_that_diverged(self, damaged, progress, tmp_path):
        path = tmp_path / "words.tsv"
        path.write_text("of before")
        with pytest.raises(NonFiniteLossError) as error:
            measure(progress, damaged, per_token=path)
        said = "The loss on letter.txt is no longer finite after 23 tokens."
        assert str(error.value) == said
        assert [file.read_text() for file in tmp_path.iterdir()] == ["of before"]

    def test_a_learning_rate_too_large(self, model, learning, progress):
        too_large = learning.replace(learning_rate=1e38)
        before = weights_of(model)
        with pytest.raises(NonFiniteLossError, match="Try a smaller --dyneval_learning_rate.$"):
            measure(progress, model, learning=too_large)
        for weight, value in zip(model.weights, before):
            assert_equal(weight, value)
