"""Tests of the page, read as a browser does."""

from awd_keras.generation import GeneratedText
from tests.trainers.reporting.parsed_page import ParsedPage
from tests.trainers.reporting.reports import cells, make_report, make_words
from trainers.config import TrainingConfig
from trainers.reporting import Stage, WordRow, render_page
from trainers.reporting.markup import Markup

HOSTILE = "</td><script>alert('x')</script>&amp;\"<unk>"


def test_a_page_of_its_own_without_script():
    curves = Markup("<svg><text>x</text></svg>")
    page = render_page([make_report(words=make_words())], curves)
    assert page == render_page([make_report(words=make_words())], curves)
    assert curves in page
    assert page.startswith("<!DOCTYPE html>\n<html ")
    parsed = ParsedPage(page)
    assert not {"script", "img", "iframe", "object", "embed", "base"} & set(parsed.tags)
    for address in parsed.addresses:
        assert address.startswith("#") or address == "data:,", address
    for part in ("url(", "@import", "http:", "https:"):
        assert part not in page
    for address in parsed.addresses:
        if address.startswith("#"):
            assert f'id="{address[1:]}"' in page


def test_everything_is_escaped():
    hostile_row = WordRow(HOSTILE, 3, 4.0, 5.0)
    report = make_report(
        HOSTILE,
        corpus=HOSTILE,
        config=TrainingConfig(corpus="text", data_dir=HOSTILE),
        stages=[Stage("cache", "fine-tuned", HOSTILE, {})],
        baseline=(HOSTILE, {"validation": 1.0, "test": 2.0}),
        samples=[GeneratedText((HOSTILE, "b"), True)],
        words=make_words(
            text=HOSTILE,
            cache=HOSTILE,
            by_total=[hostile_row],
            by_mean=[hostile_row],
            gained=[hostile_row],
            lost=[hostile_row],
        ),
    )
    parsed = ParsedPage(render_page([report, make_report("other")], None, HOSTILE))
    assert "script" not in parsed.tags
    # Title, runs, stages, baseline, configuration and its heading, samples, words, curves ...
    assert parsed.text.count(HOSTILE) >= 16


def test_words():
    parsed = ParsedPage(render_page([make_report(words=make_words())]))
    tables = parsed.tables
    assert (
        "19,999 words of the validation text: perplexity 1,234.57, with the cache 99.99 (window 7)."
        in parsed.text
    )
    assert "met at least 5 times" in parsed.text
    assert cells(parsed.table("word", "count", "nats each")) == [
        ["the", "1,200", "2.00", "2,400.0"],
        ["of", "30", "41.15", "1,234.6"],
    ]
    by_mean = parsed.table("word", "count", "nats in all", "nats each")
    assert cells(by_mean) == [["<unk>", "7", "70.5", "10.07"]]
    gains = [cells(t) for t in tables if t[0][1] == ["word", "count", "nats in all"]]
    assert [table[1:] for table in gains] == [
        [["senate", "9", "+12.3"]],
        [["<eos>", "8", "\N{MINUS SIGN}0.6"]],
    ]


def test_samples():
    samples = [GeneratedText(("a", "<unk>"), True), GeneratedText(("b",), False)]
    parsed = ParsedPage(render_page([make_report(samples=samples)]))
    assert parsed.items == ["a <unk>", "b \N{HORIZONTAL ELLIPSIS}"]
    assert "seed 4" in parsed.text


def test_what_is_missing_is_said():
    parsed = ParsedPage(render_page([make_report()], None, "no ink"))
    assert "Not drawn: no ink." in parsed.text
    assert "None were asked for." in parsed.text
    assert "The text was not read." in parsed.text
