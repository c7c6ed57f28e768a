"""Tests of the flags of `trainers.evaluate`: which go together, and what they describe."""

import dataclasses

import pytest
from absl import flags

from tests.evaluation.tiny import make_model
from tests.trainers.training.tiny import make_config
from trainers import evaluation_flags
from trainers.errors import UserError


@pytest.fixture
def given():
    """Function that reads a command line; the flags are gone after the test."""
    values = flags.FLAGS
    before = set(values)
    evaluation_flags.define()
    yield lambda *arguments: values(["evaluate", *arguments])
    for name in set(values) - before:
        delattr(values, name)


@pytest.fixture(scope="module")
def model():
    return make_model()


def test_the_flags_are_those_of_the_command_that_calls(given):
    names = {flag.name for flag in flags.FLAGS.get_key_flags_for_module(__name__)}
    assert {"workdir", "cache", "dyneval", "search", "search_cache_window"} <= names


class TestCheck:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["--cache", "--cache_theta=1", "--cache_only_full"],
            ["--dyneval", "--dyneval_bptt=3", "--dyneval_statistics_windows=1"],
            ["--search", "--search_tokens=1", "--cache", "--search_cache_lambda=0.1"],
            ["--search", "--dyneval", "--search_dyneval_decay_rate=1"],
            ["--split=test"],
            ["--data_file=x", "--per_token=y", "--batch_size=1"],
        ],
    )
    def test_what_goes_together(self, given, arguments):
        given("--workdir=RUN", *arguments)
        assert evaluation_flags.check() is None

    @pytest.mark.parametrize("arguments", [[], ["--workdir="]])
    def test_without_a_run(self, given, arguments):
        given(*arguments)
        with pytest.raises(UserError, match="^--workdir is missing. Name the folder of a tr"):
            evaluation_flags.check()

    @pytest.mark.parametrize(
        "arguments, said",
        [
            (["--cache_theta=1"], "--cache_theta says nothing without --cache. Add it."),
            (["--nocache_only_full"], "--cache_only_full says nothing without --cache"),
            # The default, said aloud, says as little.
            (["--dyneval_bptt=5"], "--dyneval_bptt says nothing without --dyneval"),
            (["--cache", "--search_cache_theta=1"], "--search_cache_theta .* without --search"),
            (["--search_tokens=9"], "--search_tokens says nothing without --search"),
            (["--cache", "--search", "--search_dyneval_decay_rate=1"], "without --dyneval"),
            (["--dyneval", "--search", "--search_cache_theta=1"], "without --cache"),
            (["--search"], "--search needs to know what for: add --cache, --dyneval or both"),
            # The default split too, where it is named.
            (["--split=test", "--data_file=x"], "--split and --data_file name two texts"),
            (["--batch_size=0"], "batch_size must be a positive integer. Received: batch_size=0"),
            (["--search", "--cache", "--search_tokens=0"], "search_tokens must be a positive"),
            (["--dyneval", "--dyneval_statistics_batch_size=-1"], "statistics_batch_size=-1"),
            (["--dyneval", "--dyneval_statistics_windows=0"], "dyneval_statistics_windows must be"),
            (["--per_token=x", "--batch_size=2"], "needs batch_size=1. Received: batch_size=2"),
        ],
    )
    def test_what_does_not(self, given, arguments, said):
        given("--workdir=RUN", *arguments)
        with pytest.raises(UserError, match=said):
            evaluation_flags.check()


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ([], 2),
        (["--split=validation"], 3),
        (["--split=train"], 3),
        (["--cache"], 1),
        (["--dyneval"], 1),
        (["--per_token=x"], 1),
        (["--data_file=x"], 1),
        (["--data_file=x", "--cache", "--batch_size=7"], 7),
    ],
)
def test_batch_size(given, arguments, expected):
    given(*arguments)
    config = make_config(batch_size=4, validation_batch_size=3, test_batch_size=2)
    assert evaluation_flags.batch_size(config) == expected


class TestCaches:
    def caches(self, **config):
        found = evaluation_flags.caches(make_config(**config))
        return [cache and dataclasses.astuple(cache) for cache in found]

    @pytest.mark.parametrize("arguments", [[], ["--search", "--dyneval"]])
    def test_none(self, given, arguments):
        given(*arguments)
        assert self.caches() == [None]

    @pytest.mark.parametrize(
        "corpus, expected",
        [("ptb", (500, 1.0, 0.1)), ("text", (500, 1.0, 0.1)), ("wikitext2", (3785, 0.662, 0.1279))],
    )
    def test_the_authors(self, given, corpus, expected):
        given("--cache")
        assert self.caches(corpus=corpus) == [(*expected, False)]

    def test_one_that_is_given(self, given):
        given("--cache", "--cache_window=7", "--cache_theta=0", "--cache_only_full")
        assert self.caches(corpus="wikitext2") == [(7, 0.0, 0.1279, True)]

    def test_a_grid(self, given):
        given(
            "--cache",
            "--search",
            "--search_cache_window=5,40",
            "--search_cache_theta=0.2,0.9",
            "--cache_lambda=0.15",
        )
        expected = [(window, theta, 0.15, False) for window in (5, 40) for theta in (0.2, 0.9)]
        assert self.caches() == [None, *expected]

    def test_the_grid_of_a_search_without_more(self, given):
        given("--cache", "--search", "--cache_only_full")
        _, *caches = self.caches()
        assert len(set(caches)) == len(caches) == 3 * 6 * 6
        assert {cache[3] for cache in caches} == {True}

    @pytest.mark.parametrize(
        "arguments, said",
        [
            (["--cache_lambda=1"], r"--cache: `lambda_` must be in \[0, 1\)"),
            (["--cache_theta=-1"], "--cache: `theta` must be"),
            (["--cache_theta=nan"], "--cache: `theta` must be"),
            (["--cache_window=0"], "--cache: `window` must be"),
            (["--search", "--search_cache_lambda=0.1,2"], "--cache: .*lambda_=2.0"),
            (
                ["--search", "--search_cache_theta=1,x"],
                "search_cache_theta must be numbers with commas between them. "
                "Received: search_cache_theta=1,x",
            ),
            (["--search", "--search_cache_theta="], "Received: search_cache_theta=$"),
            (["--search", "--search_cache_window=1.5"], "search_cache_window must be integers"),
        ],
    )
    def test_out_of_range(self, given, arguments, said):
        given("--cache", *arguments)
        with pytest.raises(UserError, match=said):
            self.caches()


class TestDynamicEvaluations:
    @pytest.mark.parametrize("arguments", [[], ["--search", "--cache"]])
    def test_none(self, given, model, arguments):
        given(*arguments)
        assert evaluation_flags.dynamic_evaluations(model) == [None]

    def test_one(self, given, model):
        given("--dyneval", "--dyneval_decay_rate=0.5", "--dyneval_bptt=7")
        [found] = evaluation_flags.dynamic_evaluations(model)
        assert found.model is model
        assert found.settings == {
            "learning_rate": 5e-5,
            "decay_rate": 0.5,
            "epsilon": 2e-5,
            "bptt": 7,
        }

    def test_a_grid(self, given, model):
        given(
            "--dyneval",
            "--search",
            "--dyneval_epsilon=0.25",
            "--search_dyneval_decay_rate=1,2",
            "--dyneval_learning_rate=3",
        )
        first, *found = evaluation_flags.dynamic_evaluations(model)
        assert first is None
        assert [each.settings for each in found] == [
            {"learning_rate": 3.0, "decay_rate": rate, "epsilon": 0.25, "bptt": 5}
            for rate in (1.0, 2.0)
        ]

    def test_they_share_their_statistics(self, given, model):
        given("--dyneval", "--search")
        _, *found = evaluation_flags.dynamic_evaluations(model)
        assert len(found) == 4 * 2
        found[-1].collect_statistics([1, 2, 3] * 9, batch_size=1, max_windows=1)
        first = found[0].root_mean_squares
        assert first is not None
        assert all(each.root_mean_squares is first for each in found)

    @pytest.mark.parametrize(
        "arguments, said",
        [
            (["--dyneval_epsilon=0"], "--dyneval: `epsilon` must be"),
            (["--dyneval_bptt=0"], "--dyneval: `bptt` must be"),
            (["--dyneval_learning_rate=-1"], "--dyneval: `learning_rate` must be"),
            (["--search", "--search_dyneval_decay_rate=1,-1"], "--dyneval: `decay_rate` must be"),
            (["--search", "--search_dyneval_decay_rate=1,,2"], "must be numbers with commas"),
        ],
    )
    def test_out_of_range(self, given, model, arguments, said):
        given("--dyneval", *arguments)
        with pytest.raises(UserError, match=said):
            evaluation_flags.dynamic_evaluations(model)
