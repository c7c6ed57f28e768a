"""End-to-end tests of `trainers.evaluate`."""

import csv
import json
import math

import numpy as np
import pytest

from awd_keras.data import load_corpus
from awd_keras.evaluation import ContinuousCache, DynamicEvaluation, evaluate, search
from tests.test_case import assert_close
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run, replace_facts, replace_words
from tests.trainers.training_command import snapshot

MODULE = "trainers.evaluate"
STAGES = ["model", "cache", "dynamic_evaluation", "dynamic_evaluation_and_cache"]
DYNEVAL = ["--dyneval", "--dyneval_learning_rate=0.003", "--dyneval_statistics_batch_size=4"]
CACHE = ["--cache", "--cache_window=20", "--cache_theta=0.5", "--cache_lambda=0.2"]


class Run:
    """A run folder, its model, and its corpus with an unknown word in the test text."""

    def __init__(self, folder):
        data_dir = folder / "data"
        self.workdir = folder / "run"
        self.model, self.vocabulary = make_run(self.workdir, data_dir, num_layers=1)
        with open(data_dir / "test.txt", "a") as file:
            file.write("w1 zebra\nw2 <unk>\n")
        self.corpus = load_corpus("text", data_dir)
        replace_facts(self.workdir, text_digest=self.corpus.digest)

    def read(self, name="evaluation-test.json"):
        return json.loads((self.workdir / name).read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def evaluated(run, capfd):
    """Function that runs the command, which must succeed, and returns its lines."""

    def call(*arguments):
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", *arguments)
        assert (ended.code, ended.stderr) == (0, "")
        return ended.stdout.splitlines()

    yield call
    for path in run.workdir.glob("evaluation-*"):
        path.unlink()


def read_words(path):
    """Returns the words, the losses and the ranks of a table of words."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    losses = [-float(row["log_probability"]) for row in rows]
    return [row["word"] for row in rows], losses, [int(row["rank"]) for row in rows]


def test_test_text(run, evaluated):
    before = snapshot(run.workdir)
    lines = evaluated()
    results = run.read()
    expected = evaluate(run.model, run.corpus.test, batch_size=2)  # the run's
    assert_close(results["loss"], expected.loss, 1e-5)
    assert results["perplexity"] == math.exp(results["loss"])
    assert results["num_tokens"] == expected.num_tokens
    assert (results["text"], results["batch_size"]) == ("test", 2)
    assert (results["num_out_of_vocabulary"], results["num_unk"]) == (1, 2)
    assert results["cache"] is results["dynamic_evaluation"] is None
    assert results["stages"]["model"]["loss"] == results["loss"]
    assert f"1 of {len(run.corpus.test)} not in the vocabulary; 2 of the" in lines[0]
    assert lines[3].split()[:2] == ["model", f"{results['loss']:.4f}"]
    assert lines[-1] == f"test perplexity: {results['perplexity']:.2f}"
    after = snapshot(run.workdir)
    del after[str(run.workdir / "evaluation-test.json")]
    assert after == before


def test_another_split(run, evaluated):
    lines = evaluated("--split=validation")
    results = run.read("evaluation-validation.json")
    expected = evaluate(run.model, run.corpus.validation, batch_size=3)  # the run's
    assert_close(results["loss"], expected.loss, 1e-5)
    assert lines[-1].startswith("validation perplexity: ")


def test_file_and_words(run, evaluated, tmp_path):
    path, output, words = (tmp_path / name for name in ("letter.txt", "a.json", "words.tsv"))
    path.write_text("w3 w9 giraffe\n\nw7 lion <unk>\n")
    evaluated(f"--data_file={path}", f"--output={output}", f"--per_token={words}")
    results = json.loads(output.read_text())
    token_ids = run.vocabulary.encode("w3 w9 <unk> <eos> <eos> w7 <unk> <unk> <eos>".split())
    assert_close(results["loss"], evaluate(run.model, token_ids, batch_size=1).loss, 1e-5)
    assert (results["num_text_tokens"], results["num_tokens"]) == (9, 8)
    assert (results["num_out_of_vocabulary"], results["num_unk"]) == (2, 3)
    assert results["text"] == f"file: {path}"
    found, losses, ranks = read_words(words)
    assert found == run.vocabulary.decode(token_ids[1:])
    assert_close(np.mean(losses), results["loss"], 1e-5)
    known = [loss for word, loss in zip(found, losses) if word != "<unk>"]
    assert_close(results["perplexity_without_unk"], math.exp(np.mean(known)), 1e-5)
    # More probable words have smaller ranks.
    logits = run.model(token_ids[np.newaxis, :-1])[0][0].numpy()
    order = np.argsort(-logits, axis=-1)
    assert [order[step, rank - 1] for step, rank in enumerate(ranks)] == token_ids[1:].tolist()


def test_files_of_the_same_name_have_separate_results(run, evaluated, tmp_path):
    for folder in ("a", "b", "b"):
        path = tmp_path / folder / "letter.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("w3 w9\n")
        evaluated(f"--data_file={path}")
    names = [path.name for path in run.workdir.glob("evaluation-file-letter.txt-??????.json")]
    texts = sorted(run.read(name)["text"] for name in names)
    assert texts == [f"file: {tmp_path / folder / 'letter.txt'}" for folder in "ab"]


def test_bits_per_character(tmp_path, capfd):
    workdir, path = tmp_path / "run", tmp_path / "text.txt"
    _, vocabulary = make_run(workdir)
    replace_words(
        workdir,
        [
            word if word[0] == "<" else chr(97 + index)
            for index, word in enumerate(vocabulary.words)
        ],
    )
    path.write_text("a b c d\nc b a\n")
    ended = run_command(
        capfd, MODULE, f"--workdir={workdir}", f"--data_file={path}", f"--output={path}.json"
    )
    results = json.loads((tmp_path / "text.txt.json").read_text())
    assert results["bits_per_character"] == results["loss"] / math.log(2)
    assert f"{results['bits_per_character']:.4f}" in ended.stdout


def test_cache_and_dynamic_evaluation(run, evaluated, tmp_path):
    path = tmp_path / "words.tsv"
    evaluated(*CACHE, *DYNEVAL, f"--per_token={path}")
    results = run.read("evaluation-test-cache-dyneval.json")
    assert results["batch_size"] == 1
    assert results["cache"] == {"window": 20, "theta": 0.5, "lambda_": 0.2}
    settings = {"learning_rate": 0.003, "decay_rate": 2e-3, "epsilon": 2e-5, "bptt": 5}
    assert results["dynamic_evaluation"] == settings
    assert list(results["stages"]) == STAGES
    assert results["loss"] == results["stages"][STAGES[-1]]["loss"]
    dynamic_evaluation = DynamicEvaluation(run.model, **settings)
    dynamic_evaluation.collect_statistics(run.corpus.train, batch_size=4)
    trials = search(
        run.model,
        run.corpus.test,
        [None, ContinuousCache(20, 0.5, 0.2)],
        [None, dynamic_evaluation],
    )
    losses = [figures["loss"] for figures in results["stages"].values()]
    assert_close(sorted(losses), [result.loss for _, _, result in trials], 1e-5)
    # The words have the log-probabilities of the last stage.
    assert_close(np.mean(read_words(path)[1]), losses[-1], 1e-5)


def test_search(run, evaluated):
    lines = evaluated(
        "--search",
        "--cache",
        "--cache_window=5,40",
        "--cache_theta=0.2,0.9",
        "--cache_lambda=0.15",
        *DYNEVAL,
        "--search_tokens=60",
        "--dyneval_statistics_windows=3",
    )
    results = run.read("evaluation-test-cache-dyneval-search.json")
    trials = results["search"]
    assert {trial["num_tokens"] for trial in trials} == {59}
    tried = {
        (
            trial["cache"] and (trial["cache"]["window"], trial["cache"]["theta"]),
            trial["dynamic_evaluation"] and trial["dynamic_evaluation"]["decay_rate"],
        )
        for trial in trials
    }
    caches = {None, (5, 0.2), (5, 0.9), (40, 0.2), (40, 0.9)}
    assert tried == {(cache, rate) for cache in caches for rate in (None, 1e-3, 3e-3)}
    losses = [trial["loss"] for trial in trials]
    assert losses == sorted(losses)
    alone = evaluate(run.model, run.corpus.validation[:60], 1).loss
    [found] = [t["loss"] for t in trials if not (t["cache"] or t["dynamic_evaluation"])]
    assert_close(found, alone, 1e-5)
    # The best settings are used on the test text.
    assert [results[kind] for kind in ("cache", "dynamic_evaluation")] == [
        trials[0]["cache"],
        trials[0]["dynamic_evaluation"],
    ]
    heading = next(index for index, line in enumerate(lines) if line.startswith("best of 15"))
    assert lines[heading + 2].endswith(f"{trials[0]['perplexity']:.2f}")


def test_learning_rate_too_large(run, capfd, tmp_path):
    path = tmp_path / "words.tsv"
    path.write_text("before")
    arguments = ["--dyneval", "--dyneval_learning_rate=1e38", "--dyneval_statistics_windows=2"]
    ended = run_command(
        capfd, MODULE, f"--workdir={run.workdir}", f"--per_token={path}", *arguments
    )
    assert ended.code == 3
    assert "try a smaller --dyneval_learning_rate" in ended.stderr
    assert not list(run.workdir.glob("evaluation-*"))
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--cache_theta=1"], "--cache_theta has no effect without --cache"),
        (["--search"], "--search needs --cache, --dyneval or both"),
        (["--split=test", "--data_file=x"], "--split and --data_file both select a text"),
        (["--per_token=x", "--batch_size=2"], "--per_token needs --batch_size=1"),
        (["--cache", "--cache_lambda=1"], "--cache: "),
        (["--cache", "--cache_theta=1,2"], "--cache_theta takes a list only with --search"),
        (["--cache", "--cache_theta="], "--cache_theta must not be empty"),
        (["--cache", "--cache_window=1.5"], "--cache: `window` must be an integer"),
        (["--cache", "--cache_window=x"], "--cache: could not convert string to float: 'x'"),
        (["--dyneval", "--dyneval_epsilon=-1"], "--dyneval: "),
        (["--batch_size=9999"], "must have at least two tokens per column"),
        (["--output=nowhere/x.json"], "No such file or directory"),
    ],
)
def test_bad_input(run, capfd, arguments, message):
    before = snapshot(run.workdir)
    ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", *arguments)
    assert_one_line(ended, message)
    assert snapshot(run.workdir) == before
