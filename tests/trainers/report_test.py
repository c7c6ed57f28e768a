"""Tests of the command that writes a page about runs."""

import html
import math
import re

import pytest

from awd_keras.data import load_corpus
from awd_keras.evaluation import evaluate
from tests.trainers.in_process import assert_one_line
from tests.trainers.trained_run import make_run, replace_words
from trainers.training import RunFolder, factory

MODULE = "trainers.report"
FAST = ["--max_tokens=0", "--num_samples=0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    make_run(folder / "<b>&x", folder / "data")
    return folder / "<b>&x"


def test_the_page_of_a_run(command, run, tmp_path):
    output = tmp_path / "page.html"
    arguments = [f"--workdir={run}", f"--output={output}", "--num_samples=2", "--max_words=9"]
    ended = command(*arguments, "--seed=5")
    assert (ended.code, ended.stderr) == (0, ""), ended
    assert ended.stdout == f"reading {run} ...\nreport: {output}\n"
    page = output.read_text("utf-8")
    assert html.escape("<b>&x") in page and "<b>" not in page
    model, _, config = factory.load_run(run)
    result = evaluate(model, load_corpus("text", config.data_dir).validation, batch_size=1)
    found = re.search(r"([\d,]+) words of the validation text: perplexity ([\d,.]+), with", page)
    assert int(found[1].replace(",", "")) == result.num_tokens
    perplexity = float(found[2].replace(",", ""))
    assert math.isclose(perplexity, result.perplexity, rel_tol=1e-3)
    assert page.count("<li>") == 2


def test_a_text_without_words_to_predict(command, run, tmp_path):
    flags = [f"--output={tmp_path / 'page.html'}", "--max_tokens=1", "--num_samples=0"]
    ended = command(f"--workdir={run}", *flags)
    assert (ended.code, ended.stderr) == (0, ""), ended


def test_two_runs_without_the_text_and_matplotlib(command, run, tmp_path, monkeypatch):
    monkeypatch.setattr("trainers.training.curves.matplotlib", None)
    other = tmp_path / run.name
    make_run(other, seed=8)
    ended = command(f"--workdir={run}", f"--workdir={other}", *FAST)
    assert ended.code == 0, ended
    page = (run / "report.html").read_text("utf-8")
    # Runs of the same name are distinguished by their paths.
    assert page.count(f"<h3>{html.escape(str(other))}</h3>") == 2
    assert page.count("The text was not read.") == 2
    assert page.count('class="differs"') >= 1


class TestBadInput:
    @pytest.mark.parametrize(
        ("arguments", "part"),
        [([], "--workdir is required"), (["--workdir=nowhere"], "nowhere")],
    )
    def test_no_run(self, command, arguments, part):
        assert_one_line(command(*arguments), part)

    def test_no_folder_for_the_page(self, command, run, monkeypatch):
        monkeypatch.setattr(factory, "load_run", None)  # not called
        output = run / "nowhere" / "page.html"
        ended = command(f"--workdir={run}", f"--output={output}", *FAST)
        assert_one_line(ended, f"No such file or directory: {output}")

    def test_two_vocabularies(self, command, run, tmp_path):
        make_run(tmp_path / "run")
        words = RunFolder(tmp_path / "run").read_vocabulary().words
        replace_words(tmp_path / "run", ["x3" if word == "w3" else word for word in words])
        ended = command(f"--workdir={run}", f"--workdir={tmp_path / 'run'}", *FAST)
        assert ended.code == 1 and "must have the same vocabulary" in ended.stderr
