"""Tests of the command that writes a page on runs."""

import functools
import json
import shutil
import sys

import pytest

from awd_keras.data import Corpus, load_corpus
from awd_keras.evaluation import ContinuousCache, Scorer, Summary, evaluate
from awd_keras.generation import GenerationConfig, TextGenerator
from tests.trainers.in_process import assert_one_line, run_command
from tests.trainers.reporting.parsed_page import ParsedPage
from tests.trainers.trained_run import replace_words
from tests.trainers.training import tiny
from trainers.training import RunFolder, factory

MODULE = "trainers.report"
HOSTILE = "<b>&x"
FAST = ["--max_tokens=0", "--num_samples=0"]


class Run:
    """A run folder as training leaves it; one of its words looks like HTML."""

    def __init__(self, folder):
        self.data_dir, self.workdir = folder / "data", folder / "run"
        texts = {
            split: [line.replace("w7", HOSTILE) for line in lines]
            for split, lines in tiny.make_texts().items()
        }
        self.data_dir.mkdir()
        for split, name in (("train", "train"), ("validation", "valid"), ("test", "test")):
            (self.data_dir / f"{name}.txt").write_text("\n".join(texts[split]) + "\n")
        config = tiny.make_config(data_dir=str(self.data_dir), trigger="epoch:1", epochs=3)
        tiny.run(self.workdir, config, Corpus.from_texts("text", texts))
        self.corpus = load_corpus("text", self.data_dir)
        self.results = RunFolder(self.workdir).read_results()

    def copy(self, workdir, **settings):
        """A copy of the run that says it had other settings."""
        shutil.copytree(self.workdir, workdir)
        file = workdir / "config.json"
        content = json.loads(file.read_text())
        content["settings"] |= settings
        file.write_text(json.dumps(content))
        return workdir


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return Run(tmp_path_factory.mktemp("report"))


@pytest.fixture
def command(capfd):
    return functools.partial(run_command, capfd, MODULE)


def read_page(path):
    return ParsedPage(path.read_text(encoding="utf-8"))


def perplexities(results):
    return [f"{results[text]['perplexity']:,.2f}" for text in ("validation", "test")]


def snapshot(folder):
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_page_of_a_run(command, run):
    before = snapshot(run.workdir)
    ended = command(f"--workdir={run.workdir}", "--num_samples=2", "--max_words=9", "--seed=5")
    output = run.workdir / "report.html"
    assert (ended.code, ended.stderr) == (0, "")
    assert ended.stdout == f"reading {run.workdir} ...\nreport: {output}\n"
    content = output.read_bytes()
    page = read_page(output)
    output.unlink()
    assert snapshot(run.workdir) == before

    assert not {"script", "b", "img"} & set(page.tags)
    assert HOSTILE in page.text
    pytest.importorskip("matplotlib")
    assert "svg" in page.tags and "averaging starts" in page.text

    step = run.results["triggered_at_step"]
    facts = page.table("run", "parameters")[0][1]
    assert (facts[2], facts[4]) == ("3", f"step {step}") and step > 0
    trained = page.table("stage", "validation", "test")[0][1]
    assert trained == ["trained", *perplexities(run.results)]
    model, vocabulary, _ = factory.load_run(run.workdir)
    generation = GenerationConfig(num_samples=2, max_words=9, seed=5)
    samples = TextGenerator(model, vocabulary).generate("", generation)
    expected = [" ".join(text.words) for text in samples]
    assert [item.removesuffix(" \N{HORIZONTAL ELLIPSIS}") for item in page.items] == expected

    alone = evaluate(model, run.corpus.validation, batch_size=1)
    cache = Summary()
    Scorer(model, ContinuousCache(500, 1.0, 0.1)).score(
        run.corpus.validation, lambda s: cache.add(s.targets, s.log_probabilities)
    )
    assert (
        f"{alone.num_tokens} words of the validation text: perplexity {alone.perplexity:.2f}, "
        f"with the cache {cache.result.perplexity:.2f} (window 500, theta 1, lambda 0.1, settings "
        "of the authors')." in page.text
    )
    hardest = page.table("word", "count", "nats each")
    nats = sum(float(row[3].replace(",", "")) for _, row in hardest)
    assert len(hardest) == 20 and 0.9 * alone.total_loss < nats < alone.total_loss

    # The same once more gives the same page.
    again = command(
        f"--workdir={run.workdir}",
        "--num_samples=2",
        "--max_words=9",
        "--seed=5",
        f"--output={output}",
    )
    assert again.code == 0 and output.read_bytes() == content
    output.unlink()


def test_evaluations_and_fine_tuned_runs_are_found(command, run, tmp_path, capfd):
    workdir = run.copy(tmp_path / "run")
    tuned = run.copy(tmp_path / "tuned", initial_run=str(workdir), trigger="start")
    settings = ["--cache", "--cache_window=20", "--cache_theta=0.5", "--cache_lambda=0.2"]
    for split in ("validation", "test"):
        ended = run_command(
            capfd, "trainers.evaluate", f"--workdir={workdir}", f"--split={split}", *settings
        )
        assert ended.code == 0
    measured = [
        json.loads((workdir / f"evaluation-{split}-cache.json").read_text())
        for split in ("validation", "test")
    ]
    output = tmp_path / "page.html"
    ended = command(
        f"--workdir={workdir}",
        f"--output={output}",
        "--num_words=3",
        "--max_tokens=40",
        "--num_samples=0",
    )
    assert ended.code == 0, ended
    page = read_page(output)
    rows = [row for _, row in page.table("stage", "validation", "test")]
    trained = perplexities(run.results)
    cached = [f"{evaluation['perplexity']:,.2f}" for evaluation in measured]
    assert rows[:3] == [
        ["trained", *trained],
        ["fine-tuned", *trained],
        ["cachewindow 20, theta 0.5, lambda 0.2", *cached],
    ]
    assert "39 words of the beginning of the validation text" in page.text
    assert "(window 20, theta 0.5, lambda 0.2, as it was evaluated with)" in page.text
    assert len(page.table("word", "count", "nats each")) == 3

    ended = command(f"--workdir={tuned}", f"--output={output}", *FAST)
    assert ended.code == 0, ended
    rows = read_page(output).table("stage")
    assert [row for class_, row in rows if class_ is None] == [["fine-tuned", *trained]]


def test_runs_side_by_side(command, run, tmp_path):
    other = run.copy(tmp_path / "other" / "run", seed=8)
    output = tmp_path / "page.html"
    ended = command(
        f"--workdir={run.workdir}",
        f"--workdir={other}",
        f"--output={output}",
        "--max_tokens=30",
        "--num_samples=1",
        "--max_words=2",
    )
    assert ended.code == 0, ended
    page = read_page(output)
    # Folders of one name are told apart by their paths.
    names = [str(run.workdir), str(other)]
    rows = page.table("setting", *names)
    assert [row for class_, row in rows if class_ == "differs"] == [["seed", "7", "8"]]
    assert len(page.items) == 2 and page.items[0] == page.items[1]
    assert page.text.count("29 words of the beginning") == 2
    assert sum(row[0] in names for _, row in page.table("stage")) == 2


def test_without_the_text(command, run, tmp_path):
    workdir = run.copy(tmp_path / "run", data_dir=str(tmp_path / "gone"))
    ended = command(f"--workdir={workdir}", "--num_samples=0")
    assert ended.code == 1 and ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("error: ") and str(tmp_path / "gone") in ended.stderr
    assert not (workdir / "report.html").exists()
    assert command(f"--workdir={workdir}", *FAST).code == 0
    assert "The text was not read." in read_page(workdir / "report.html").text
    ended = command(f"--workdir={workdir}", "--num_samples=0", f"--data_dir={run.data_dir}")
    assert ended.code == 0
    assert "The text was not read." not in read_page(workdir / "report.html").text


def test_without_matplotlib(command, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    output = tmp_path / "page.html"
    ended = command(f"--workdir={run.workdir}", f"--output={output}", *FAST)
    assert ended.code == 0
    assert "curves: not drawn (matplotlib is not installed; pip install" in ended.stdout
    page = read_page(output)
    assert "svg" not in page.tags and "matplotlib is not installed" in page.text


def test_weights_without_training(command, run, tmp_path):
    workdir = run.copy(tmp_path / "run")
    for name in ("metrics.csv", "results.json"):
        (workdir / name).unlink()
    ended = command(f"--workdir={workdir}", *FAST)
    assert ended.code == 0 and "curves: not drawn (no run was validated yet)" in ended.stdout
    page = read_page(workdir / "report.html")
    assert {class_ for class_, _ in page.table("stage")} == {"dim"}


class TestBadInput:
    @pytest.mark.parametrize(
        "arguments,part",
        [
            ([], "--workdir is required"),
            (["--workdir="], "--workdir is required"),
            (["--workdir=nowhere"], "There is no run in nowhere"),
            (["--workdir=RUN", "--workdir=RUN/"], "names a run twice"),
            (["--workdir=RUN", "--max_tokens=1"], "max_tokens must be 0 or at least 2"),
            (["--workdir=RUN", "--max_tokens=-1"], "max_tokens must be an integer of at least 0"),
            (["--workdir=RUN", "--num_samples=-1"], "num_samples must be an integer of at least"),
            (["--workdir=RUN", "--num_words=0"], "num_words must be an integer of at least 1"),
            (["--workdir=RUN", "--min_count=0"], "min_count must be an integer of at least 1"),
            (["--workdir=RUN", "--max_words=0"], "max_words must be an integer of at least 1"),
            (["--workdir=RUN", "--seed=-1"], "seed must be an integer of at least 0"),
            (["--workdir=RUN", "--output=no/folder.html"], "there is no folder"),
            (["--workdir=RUN", "--output=/"], "it is a folder"),
            (["--workdir=RUN", "more"], "expected flags only. Received: more"),
        ],
    )
    def test_is_one_line(self, command, run, arguments, part):
        before = snapshot(run.workdir)
        arguments = [text.replace("RUN", str(run.workdir)) for text in arguments]
        assert_one_line(command(*arguments), part)
        assert snapshot(run.workdir) == before

    def test_a_run_without_weights(self, command, run, tmp_path):
        workdir = run.copy(tmp_path / "run")
        shutil.rmtree(workdir / "checkpoints" / "best")
        ended = command(f"--workdir={run.workdir}", f"--workdir={workdir}", *FAST)
        assert_one_line(ended, str(workdir), "no trained weights yet")

    def test_runs_of_two_vocabularies(self, command, run, tmp_path):
        workdir = run.copy(tmp_path / "run")
        words = RunFolder(workdir).read_vocabulary().words
        replace_words(workdir, ["x3" if word == "w3" else word for word in words])
        ended = command(f"--workdir={run.workdir}", f"--workdir={workdir}", *FAST)
        assert_one_line(ended, "need one vocabulary", str(run.workdir), str(workdir))

    @pytest.mark.parametrize(
        "name", ["evaluation-test.json", "results.json", "config.json", "metrics.csv"]
    )
    def test_damaged_files(self, command, run, tmp_path, name):
        workdir = run.copy(tmp_path / "run")
        text = "{"
        if name == "metrics.csv":
            header, first, *rest = (workdir / name).read_text().splitlines(keepends=True)
            text = header + "x" + first + "".join(rest)
        (workdir / name).write_text(text)
        output = tmp_path / "page.html"
        output.write_text("the page before")
        ended = command(f"--workdir={workdir}", f"--output={output}", *FAST)
        assert ended.code == 1 and ended.stderr.startswith("error: ")
        assert name in ended.stderr and ended.stderr.count("\n") == 1
        assert output.read_text() == "the page before"

    def test_another_text(self, command, run, tmp_path):
        data_dir = tmp_path / "data"
        shutil.copytree(run.data_dir, data_dir)
        (data_dir / "train.txt").write_text("w1 other words\n")
        (data_dir / "valid.txt").write_text("w1\n")
        (data_dir / "test.txt").write_text("w1\n")
        ended = command(f"--workdir={run.workdir}", f"--data_dir={data_dir}", "--num_samples=0")
        assert ended.code == 1 and "was trained on another text" in ended.stderr
        assert not (run.workdir / "report.html").exists()
