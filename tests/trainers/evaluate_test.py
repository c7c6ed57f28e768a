"""Tests of the command that measures a run."""

import csv
import json
import math

import numpy as np
import pytest

from awd_keras.data import load_corpus
from awd_keras.errors import InputError
from awd_keras.evaluation import ContinuousCache, evaluate, search
from tests.test_case import assert_close
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.trained_run import make_run, replace_facts, replace_words
from tests.trainers.training.tiny import make_texts
from tests.trainers.training_command import snapshot
from trainers import run_text
from trainers.training import RunFolder

MODULE = "trainers.evaluate"
STAGES = ["model", "cache", "dynamic_evaluation", "dynamic_evaluation_and_cache"]
DYNEVAL = ["--dyneval", "--dyneval_learning_rate=0.003", "--dyneval_statistics_batch_size=4"]
CACHE = ["--cache", "--cache_window=20", "--cache_theta=0.5", "--cache_lambda=0.2"]


class Run:
    """A run folder, its model, and its texts with a word that it does not know."""

    def __init__(self, folder):
        self.data_dir = folder / "data"
        self.workdir = folder / "run"
        self.model, self.vocabulary = make_run(self.workdir, self.data_dir)
        with open(self.data_dir / "test.txt", "a") as file:
            file.write("w1 zebra\nw2 <unk>\n")
        self.corpus = load_corpus("text", self.data_dir)
        replace_facts(self.workdir, text_digest=self.corpus.digest)

    def read(self, name="evaluation-test.json"):
        return json.loads((self.workdir / name).read_text())


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("evaluate"))


@pytest.fixture
def evaluated(run, capfd):
    """Function that runs the command on the run, which must succeed, and returns its lines."""

    def call(*arguments):
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", *arguments)
        assert (ended.code, ended.stderr) == (0, "")
        return ended.stdout.splitlines()

    yield call
    for path in run.workdir.glob("evaluation-*"):
        path.unlink()


class TestPlain:
    def test_the_test_text(self, run, evaluated):
        before = snapshot(run.workdir)
        lines = evaluated()
        results = run.read()
        expected = evaluate(run.model, run.corpus.test, batch_size=2)  # the run's
        assert_close(results["loss"], expected.loss, 1e-5)
        assert results["perplexity"] == math.exp(results["loss"])
        assert results["num_tokens"] == expected.num_tokens
        assert results["num_text_tokens"] == len(run.corpus.test)
        assert results["batch_size"] == 2
        assert (results["num_out_of_vocabulary"], results["num_unk"]) == (1, 2)
        assert results["out_of_vocabulary_rate"] == 1 / len(run.corpus.test)
        assert results["cache"] is results["dynamic_evaluation"] is None
        assert list(results["stages"]) == ["model"]
        assert "bits_per_character" not in results and "search" not in results
        assert f"1 ({1 / len(run.corpus.test):.2%}) outside the vocabulary, 2 <unk>" in lines[0]
        assert lines[1].split() == ["loss", "perplexity", "without", "<unk>"]
        numbers = [
            f"{results[name]:.{digits}f}"
            for name, digits in (("loss", 4), ("perplexity", 2), ("perplexity_without_unk", 2))
        ]
        assert lines[2].split() == ["model", *numbers]
        assert lines[-1] == f"test perplexity: {numbers[1]}"
        after = snapshot(run.workdir)
        del after[str(run.workdir / "evaluation-test.json")]
        assert after == before

    def test_without_unk(self, run, evaluated):
        evaluated("--batch_size=1")
        results = run.read()
        # A text in which <unk> is only read says what the words other than <unk> cost in it.
        targets = run.corpus.test[1:]
        logits, _ = run.model(run.corpus.test[np.newaxis, :-1])
        logits = logits[0].numpy().astype("float64")
        nats = np.log(np.sum(np.exp(logits), axis=-1)) - logits[np.arange(len(targets)), targets]
        assert_close(results["loss"], np.mean(nats), 1e-5)
        known = nats[targets != run.vocabulary.unk_id]
        assert len(known) == len(nats) - 2
        assert_close(results["loss_without_unk"], np.mean(known), 1e-5)
        assert results["perplexity_without_unk"] == math.exp(results["loss_without_unk"])

    @pytest.mark.parametrize("split, batch_size", [("validation", 3), ("train", 3)])
    def test_other_splits(self, run, evaluated, split, batch_size):
        lines = evaluated(f"--split={split}")
        results = run.read(f"evaluation-{split}.json")
        text = getattr(run.corpus, split)
        assert results["batch_size"] == batch_size
        assert_close(results["loss"], evaluate(run.model, text, batch_size).loss, 1e-5)
        assert lines[-1] == f"{split} perplexity: {results['perplexity']:.2f}"

    def test_any_file(self, run, evaluated, tmp_path):
        path, output = tmp_path / "letter.txt", tmp_path / "letter.json"
        path.write_text("w3 w9 giraffe\n\nw7 lion <unk>\n")
        lines = evaluated(f"--data_file={path}", f"--output={output}", "--data_dir=/nowhere")
        results = json.loads(output.read_text())
        words = "w3 w9 <unk> <eos> <eos> w7 <unk> <unk> <eos>".split()
        expected = evaluate(run.model, run.vocabulary.encode(words), batch_size=1)
        assert_close(results["loss"], expected.loss, 1e-5)
        assert (results["num_text_tokens"], results["num_tokens"]) == (9, 8)
        assert (results["num_out_of_vocabulary"], results["num_unk"]) == (2, 3)
        assert results["text"] == f"file: {path}"
        assert lines[-1].startswith("letter.txt perplexity: ")
        assert not list(run.workdir.glob("evaluation-*"))
        evaluated(f"--data_file={path}")
        (written,) = run.workdir.glob("evaluation-file-letter.txt-??????.json")
        assert run.read(written.name) == results

    def test_files_of_one_name_do_not_replace_each_other(self, run, evaluated, tmp_path):
        for folder in ("a", "b", "b"):
            path = tmp_path / folder / "letter.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("w3 w9\n")
            evaluated(f"--data_file={path}")
        written = run.workdir.glob("evaluation-file-letter.txt-??????.json")
        texts = [run.read(path.name)["text"] for path in written]
        assert sorted(texts) == [f"file: {tmp_path / folder / 'letter.txt'}" for folder in "ab"]

    def test_per_token(self, run, evaluated, tmp_path):
        path = tmp_path / "words.tsv"
        lines = evaluated(f"--per_token={path}")
        assert f"words: {path}" in lines
        results = run.read()
        assert results["batch_size"] == 1
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        assert [row["word"] for row in rows] == run.vocabulary.decode(run.corpus.test[1:])
        nats = [-float(row["log_probability"]) for row in rows]
        assert_close(np.mean(nats), results["loss"], 1e-5)
        ranks = [int(row["rank"]) for row in rows]
        assert min(ranks) == 1 and max(ranks) > 10
        assert nats[int(np.argmin(ranks))] < nats[int(np.argmax(ranks))]

    def test_characters(self, tmp_path, capfd):
        workdir = tmp_path / "run"
        model, vocabulary = make_run(workdir)
        # The same weights, and letters for words.
        letters = [
            word if word.startswith("<") else chr(ord("a") + index)
            for index, word in enumerate(vocabulary.words)
        ]
        replace_words(workdir, letters)
        path = tmp_path / "text.txt"
        path.write_text("a b c d\nc b a\n")
        ended = run_command(
            capfd, MODULE, f"--workdir={workdir}", f"--data_file={path}", f"--output={path}.json"
        )
        results = json.loads((tmp_path / "text.txt.json").read_text())
        assert results["bits_per_character"] == results["loss"] / math.log(2)
        assert f"{results['bits_per_character']:.4f}" in ended.stdout
        assert "bits per character" in ended.stdout


class TestCacheAndDynamicEvaluation:
    def test_all_stages(self, run, evaluated, tmp_path):
        path = tmp_path / "words.tsv"
        lines = evaluated(*CACHE, *DYNEVAL, f"--per_token={path}")
        results = run.read("evaluation-test-cache-dyneval.json")
        assert list(results["stages"]) == STAGES
        assert results["batch_size"] == 1
        assert results["cache"] == {"window": 20, "theta": 0.5, "lambda_": 0.2, "only_full": False}
        assert results["dynamic_evaluation"] == {
            "learning_rate": 0.003,
            "decay_rate": 2e-3,
            "epsilon": 2e-5,
            "bptt": 5,
        }
        losses = [results["stages"][stage]["loss"] for stage in STAGES]
        assert len(set(losses)) == 4
        assert_close(losses[0], evaluate(run.model, run.corpus.test, 1).loss, 1e-5)
        cache = ContinuousCache(20, 0.5, 0.2)
        expected = search(run.model, run.corpus.test, [cache])[0].result.loss
        assert_close(losses[1], expected, 1e-5)
        assert results["loss"] == losses[3]
        assert [line.split("  ")[0] for line in lines if "  " in line][-4:] == [
            stage.replace("_", " ") for stage in STAGES
        ]
        # The words have the last stage's log-probabilities.
        rows = path.read_text().splitlines()[1:]
        nats = [-float(row.split("\t")[1]) for row in rows]
        assert_close(np.mean(nats), losses[3], 1e-5)

    def test_one_evaluation_does_not_replace_another(self, run, evaluated):
        evaluated()
        evaluated(*CACHE)
        assert list(run.read()["stages"]) == ["model"]
        assert list(run.read("evaluation-test-cache.json")["stages"]) == ["model", "cache"]

    def test_search(self, run, evaluated):
        lines = evaluated(
            "--search",
            "--cache",
            "--cache_lambda=0.15",
            "--search_cache_window=5,40",
            "--search_cache_theta=0.2,0.9",
            *DYNEVAL,
            "--search_dyneval_decay_rate=0.001,0.1",
            "--search_tokens=60",
            "--dyneval_statistics_windows=3",
        )
        results = run.read("evaluation-test-cache-dyneval-search.json")
        trials = results["search"]["trials"]
        assert results["search"]["num_tokens"] == 59
        # (2 windows x 2 thetas, and no cache) x (2 decay rates, and no dynamic evaluation).
        assert len(trials) == 15
        tried = {
            (
                trial["cache"] and (trial["cache"]["window"], trial["cache"]["theta"]),
                trial["dynamic_evaluation"] and trial["dynamic_evaluation"]["decay_rate"],
            )
            for trial in trials
        }
        caches = {None, (5, 0.2), (5, 0.9), (40, 0.2), (40, 0.9)}
        assert tried == {(cache, rate) for cache in caches for rate in (None, 0.001, 0.1)}
        for trial in trials:
            assert trial["cache"] is None or trial["cache"]["lambda_"] == 0.15
            assert (trial["dynamic_evaluation"] or {}).get("learning_rate", 0.003) == 0.003
        losses = [trial["loss"] for trial in trials]
        assert losses == sorted(losses)
        alone = evaluate(run.model, run.corpus.validation[:60], 1).loss
        assert_close(
            next(t for t in trials if not (t["cache"] or t["dynamic_evaluation"]))["loss"],
            alone,
            1e-5,
        )
        # The winner is what the test text was measured with.
        for kind in ("cache", "dynamic_evaluation"):
            assert results[kind] == trials[0][kind]
        expected = [
            stage
            for stage in STAGES
            if (trials[0]["cache"] or "cache" not in stage)
            and (trials[0]["dynamic_evaluation"] or "dynamic" not in stage)
        ]
        assert list(results["stages"]) == expected
        heading = next(line for line in lines if line.endswith("validation perplexity"))
        assert heading.split()[:3] == ["window", "theta", "lambda"]
        best = lines[lines.index(heading) + 1]
        assert best.endswith(f"{trials[0]['perplexity']:.2f}")

    def test_a_learning_rate_too_large(self, run, capfd, tmp_path):
        path = tmp_path / "words.tsv"
        ended = run_command(
            capfd,
            MODULE,
            f"--workdir={run.workdir}",
            "--dyneval",
            f"--per_token={path}",
            "--dyneval_learning_rate=1e38",
            "--dyneval_statistics_windows=2",
        )
        assert ended.code == 3
        assert "no longer finite" in ended.stderr and "--dyneval_learning_rate" in ended.stderr
        assert not list(run.workdir.glob("evaluation-*"))
        assert not list(tmp_path.iterdir())


BAD = {
    "lambda": (["--cache", "--cache_lambda=1"], "`lambda_` must be in [0, 1)"),
    "epsilon": (["--dyneval", "--dyneval_epsilon=0"], "`epsilon` must be"),
    "large batch": (["--batch_size=9999"], "expected at least 19,998"),
    "theta without cache": (["--cache_theta=1"], "--cache_theta says nothing without --cache"),
    "no file": (["--data_file=nowhere.txt"], "nowhere.txt cannot be read"),
    "no folder": (["--output=nowhere/x.json"], "there is no folder"),
    "a folder": (["--per_token=."], "it is a folder"),
    "one file for both": (["--output=x", "--per_token=./x"], "name one file"),
    "no texts": (["--data_dir=nowhere"], "nowhere does not exist"),
    "stray": (["words"], "expected flags only"),
}


class TestBadInput:
    @pytest.mark.parametrize("name", BAD)
    def test_is_one_line_and_writes_nothing(self, name, run, capfd):
        arguments, expected = BAD[name]
        before = snapshot(run.workdir)
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", *arguments)
        assert_one_line(ended, expected)
        assert snapshot(run.workdir) == before

    @pytest.mark.parametrize("flag", ["output", "per_token"])
    @pytest.mark.parametrize("name", ["config.json", "log.txt", "checkpoints/best/checkpoint.npz"])
    def test_files_of_the_run_remain(self, flag, name, run, capfd, tmp_path):
        before = snapshot(run.workdir)
        link = tmp_path / "link"
        link.symlink_to(run.workdir / name)
        for path in (run.workdir / name, link):
            ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", f"--{flag}={path}")
            assert_one_line(ended, f"{path} cannot be written", "needs it")
        assert snapshot(run.workdir) == before

    def test_a_link_into_a_folder_that_is_not_there(self, run, capfd, tmp_path):
        link = tmp_path / "link"
        link.symlink_to(tmp_path / "nowhere" / "x.json")
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", f"--output={link}")
        assert_one_line(ended, "there is no folder")

    def test_weights_in_place_of_a_run(self, capfd, tmp_path):
        path = tmp_path / "weights.safetensors"
        path.write_bytes(b"")
        ended = run_command(capfd, MODULE, f"--workdir={path}")
        assert_one_line(ended, "is a file", "python -m trainers.convert")

    def test_a_corpus_that_cannot_be_had(self, run, capfd, monkeypatch):
        def fail(*_):
            raise InputError("It cannot (no\nnet). Do one of these:\n  - put them there;\n  - x")

        monkeypatch.setattr(run_text, "load_corpus", fail)
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}")
        assert_one_line(ended, "It cannot (no net). Of the run's own texts put them there.")

    def test_a_vocabulary_without_the_end_of_lines(self, capfd, tmp_path):
        make_run(tmp_path / "run", words="w1 <unk>")
        path = tmp_path / "run" / "vocabulary.txt"
        path.write_text(path.read_text().replace("<eos>", "end"))
        replace_facts(tmp_path / "run", vocabulary_digest=None)
        file = tmp_path / "text.txt"
        file.write_text("w1 w1\n")
        ended = run_command(capfd, MODULE, f"--workdir={tmp_path / 'run'}", f"--data_file={file}")
        assert_one_line(ended, "begins and ends with <eos>")

    def test_no_run(self, run, capfd, tmp_path):
        assert_one_line(run_command(capfd, MODULE), "--workdir is missing")
        for path in (tmp_path / "nowhere", tmp_path):
            ended = run_command(capfd, MODULE, f"--workdir={path}")
            assert_one_line(ended, "There is no run")
        assert not list(tmp_path.iterdir())

    def test_no_checkpoint(self, run, capfd):
        path = RunFolder(run.workdir).best_checkpoint
        aside = path.rename(path.with_name("aside"))
        try:
            ended = run_command(capfd, MODULE, f"--workdir={run.workdir}")
        finally:
            aside.rename(path)
        assert_one_line(ended, "There is no checkpoint")

    def test_another_text(self, run, capfd, tmp_path):
        folder = tmp_path / "texts"
        folder.mkdir()
        for name in ("train", "valid", "test"):
            (folder / f"{name}.txt").write_text("\n".join(make_texts()["train"]))
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", f"--data_dir={folder}")
        assert_one_line(ended, "was trained on another text", "--data_file")

    def test_a_file_that_is_not_utf_8(self, run, capfd, tmp_path):
        path = tmp_path / "text.txt"
        path.write_bytes(b"w1 na\xefve\n")
        ended = run_command(capfd, MODULE, f"--workdir={run.workdir}", f"--data_file={path}")
        assert_one_line(ended, "is not UTF-8")

    def test_unknown_words_without_unk(self, capfd, tmp_path):
        make_run(tmp_path / "run", words="w1")
        path = tmp_path / "text.txt"
        path.write_text("w1 giraffe\n")
        ended = run_command(capfd, MODULE, f"--workdir={tmp_path / 'run'}", f"--data_file={path}")
        assert_one_line(ended, "'giraffe' is not in the vocabulary")
