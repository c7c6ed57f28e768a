"""Tests of the page: its markup, and that every name in it is escaped."""

import html.parser

import pytest

from trainers.config import TrainingConfig
from trainers.presets import PRESETS
from trainers.reporting.page import curves_svg, render_page
from trainers.reporting.stages import Stage

HOSTILE = "<b>&\"'$x$"


class Page(html.parser.HTMLParser):
    """Collects the tags and the text of a page whose tags must be balanced."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text, self._open = set(), [], []
        self.feed(page)
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        for name, value in attributes:
            assert name not in ("src", "href") or value[:1] == "#" or value == "data:,", value
        if tag not in ("meta", "link"):
            self._open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def has(self, *texts):
        """Whether texts follow each other as cells do."""
        return " | ".join(texts) in " | ".join(filter(None, (t.strip() for t in self.text)))


def make_run(name="run", **changes):
    row = {"word": HOSTILE, "count": 3, "total": 12.0, "mean": 4.0, "gain": -1.5}
    words = {
        "text": "the validation text",
        "cache": "window 5",
        "num_tokens": 1234,
        "perplexity": 91.234,
        "perplexity_with_cache": 90.0,
        "min_count": 5,
        "by_total": [row],
        "by_mean": [],
        "gained": [],
        "lost": [row],
    }
    metrics = {
        "epoch": "2.5",
        "seconds": "75",
        "train_loss": "5",
        "validation_perplexity": "99",
        "raw_validation_perplexity": "",
        "averaging": "0",
    }
    run = {
        "name": name,
        "config": TrainingConfig(epochs=2),
        "corpus": HOSTILE,
        "vocabulary_size": 10_000,
        "num_parameters": 24_210_800,
        "metrics": [metrics],
        "results": None,
        "stages": [],
        "published": {},
        "baseline": None,
        "samples": [],
        "seed": 0,
        "words": words,
    }
    return run | changes


def test_one_run():
    stages = [Stage("cache", HOSTILE, {"test": 1234.5})]
    run = make_run(
        stages=stages,
        published={"ptb": PRESETS["ptb"]},
        baseline=("trigram", {"validation": 153.7, "test": 152.7}),
        results={"epochs": 3, "triggered_at_step": 1500},
    )
    page = Page(render_page([run]))
    assert page.has("24,210,800", "3", "1:15", "step 1,500")
    assert page.has("trigram", "153.7", "152.7", "–")
    assert page.has("fine-tuned", "–", "–", "60.0 / 57.3")
    assert page.has("cache", HOSTILE, "–", "1,234.50", "53.9 / 52.8")
    assert page.has("Differences between the preset ptb and run: epochs 750 → 2.")
    assert page.has("Curves require matplotlib and at least one validation.")
    assert page.has(HOSTILE, "3", "4.00", "12.0") and page.has(HOSTILE, "3", "−1.5")
    assert page.has("input_dropout", "0.4")
    assert not page.tags & {"b", "script"}


def test_two_runs():
    pytest.importorskip("matplotlib")
    first = make_run(HOSTILE)
    other = make_run("other", config=TrainingConfig(epochs=3), words=None)
    svg = curves_svg({run["name"]: run["metrics"] for run in (first, other)})
    html_page = render_page([first, other], svg)
    page = Page(html_page)
    assert page.has(HOSTILE, "3 LSTMs, 400/1150, auto", "24,210,800", "2.5 so far")
    assert any(HOSTILE in text for text in page.text if text.startswith("validation"))
    assert page.has("epochs", "2", "3") and html_page.count('class="differs"') == 1
    assert page.has("The text was not read.")
    assert "svg" in page.tags and "b" not in page.tags
    assert render_page([first, other], curves_svg({HOSTILE: first["metrics"]})) == render_page(
        [first, other], curves_svg({HOSTILE: first["metrics"]})
    )
