"""Tests of the style sheet: it styles what the page has, and nothing else."""

import re

from awd_keras.generation import GeneratedText
from tests.trainers.reporting.reports import make_report, make_words
from trainers.config import TrainingConfig
from trainers.reporting import render_page
from trainers.reporting.markup import Markup
from trainers.reporting.page_style import STYLE


def test_every_class_of_the_page_has_a_rule_and_every_rule_a_class():
    samples = [GeneratedText(("a",), True)]
    other = make_report("other", config=TrainingConfig(seed=7))
    reports = [make_report(samples=samples, words=make_words()), other]
    pages = [render_page(of_page, Markup("<svg></svg>")) for of_page in (reports[:1], reports)]
    used = {
        name
        for page in pages
        for names in re.findall(r' class="(.*?)"', page)
        for name in names.split()
    }
    selectors = re.sub(r"\{[^{}]*\}", " ", STYLE)
    assert used == set(re.findall(r"\.([a-z]+)", selectors))


def test_every_color_has_a_name_that_is_defined():
    defined = re.findall(r"(--[a-z]+):", STYLE)
    assert len(defined) == len(set(defined))
    assert set(re.findall(r"var\((--[a-z]+)\)", STYLE)) == set(defined)


def test_every_rule_is_closed():
    depth = 0
    for mark in re.findall(r"[{}]", STYLE):
        depth += 1 if mark == "{" else -1
        assert 0 <= depth <= 2  # a rule within @media
    assert depth == 0
