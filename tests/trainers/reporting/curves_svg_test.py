"""Tests of the picture in the page."""

import re
import sys
from xml.etree import ElementTree

import pytest

from trainers.reporting import curves_svg
from trainers.training.run_folder import METRICS_COLUMNS

NAMESPACE = "{http://www.w3.org/2000/svg}"


def make_rows(perplexities, averaging_from=None, raw_factor=1.5):
    rows = []
    for index, perplexity in enumerate(perplexities):
        averaging = averaging_from is not None and index >= averaging_from
        row = dict.fromkeys(METRICS_COLUMNS, "0")
        row |= {
            "epoch": str(index + 1),
            "train_loss": "5.0",
            "averaging": str(int(averaging)),
            "validation_perplexity": str(perplexity),
            "raw_validation_perplexity": str(perplexity * raw_factor),
        }
        rows.append(row)
    return rows


def texts_of(svg):
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{NAMESPACE}svg"
    return ["".join(text.itertext()) for text in root.iter(f"{NAMESPACE}text")]


@pytest.fixture(autouse=True)
def needs_matplotlib():
    pytest.importorskip("matplotlib")


def test_one_run():
    svg = curves_svg({"run": make_rows([300, 200, 150, 140], averaging_from=2)})
    texts = texts_of(svg)
    labels = (
        "training, with dropout",
        "validation (averaged once triggered)",
        "epoch",
        "validation, raw weights",
        "averaging starts",
        "perplexity",
    )
    assert [texts.count(label) for label in labels] == [1] * len(labels)
    assert "200" in texts  # of the axis
    assert not [text for text in texts if "run" in text]


def test_before_the_trigger_there_is_no_average():
    texts = texts_of(curves_svg({"run": make_rows([300, 200])}))
    assert "validation, raw weights" not in texts and "averaging starts" not in texts


def test_several_runs_with_hostile_names():
    names = ["_under", "a$b_$", '<b>&"', "$x^$"]
    svg = curves_svg({name: make_rows([300, 200], 1) for name in names})
    texts = texts_of(svg)
    for name in names:
        assert f"validation (averaged once triggered), {name}" in texts
    assert texts.count("averaging starts") == 1
    assert ElementTree.fromstring(svg).get("aria-label") == (
        f"perplexity of {', '.join(names)} against epochs"
    )


@pytest.mark.parametrize("perplexities", [[150], [118.2, 118.3], [60, 5000], [1e9, 90]])
def test_the_axis_has_numbers_whatever_the_range(perplexities):
    texts = texts_of(curves_svg({"run": make_rows(perplexities)}))
    texts = texts[texts.index("epoch") + 1 : texts.index("perplexity")]
    assert len(texts) >= 3 and all(float(text) > 0 for text in texts)


def test_infinity_can_be_drawn():
    rows = make_rows([float("inf"), 90, 80])
    rows[0]["train_loss"] = "1000.0"
    assert "80" in texts_of(curves_svg({"run": rows}))


def test_nothing_is_looked_up_and_nothing_changes():
    runs = {"run": make_rows([300, 200, 150], 1), "other": make_rows([400])}
    svg = curves_svg(runs)
    assert svg == curves_svg(runs)
    assert svg.startswith("<svg ") and "<metadata" not in svg and "<image" not in svg
    addresses = set(re.findall(r"""https?://[^\s"'<]*""", svg))
    assert addresses == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    # It takes the width of where it stands.
    root = ElementTree.fromstring(svg)
    assert root.get("width") is None and root.get("height") is None and root.get("viewBox")


def test_without_matplotlib(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError):
        curves_svg({"run": make_rows([300])})
