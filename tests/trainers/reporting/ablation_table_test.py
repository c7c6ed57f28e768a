"""Tests of the ablation's table: what is measured stands beside what the paper has."""

import pytest

from tests.trainers.reporting.parsed_page import ParsedPage
from trainers.reporting import AblationRun, ablation_html, ablation_markdown

RUNS = {
    "full": [
        AblationRun(1, "full/seed-1-finetuned", (100.0, 96.0)),
        AblationRun(2, "full/seed-2-finetuned", (102.0, 98.0)),
    ],
    "no_ar_tar": [
        AblationRun(1, "no_ar_tar/seed-1", (99.0, 95.0)),
        AblationRun(2, "no_ar_tar/seed-2", None),
    ],
    "no_weight_dropping": [
        AblationRun(1, "no_weight_dropping/seed-1", (111.0, 104.0)),
        AblationRun(2, "no_weight_dropping/seed-2", None, diverged=True),
    ],
    "no_weight_decay": [AblationRun(1, "no_weight_decay/seed-1")],
}


def rows(corpus="ptb"):
    lines = ablation_markdown(RUNS, corpus, "A sentence.").splitlines()
    return [
        line.strip("| ").split(" | ")
        for line in lines
        if line[:4] not in ("", "| --") and line[0] == "|"
    ]


def test_mean_and_spread_over_the_seeds():
    full = rows()[1]
    assert full[:4] == ["AWD-LSTM, all parts", "101.00 ± 1.41", "97.00 ± 1.41", "–"]


def test_changes_beside_the_papers():
    _, _, regularized, dropped, to_come = rows()
    assert regularized[3:7] == ["−2.00", "62.7 / 60.3", "+2.7", "no"]
    assert dropped[3:7] == ["+10.00", "71.1 / 68.9", "+11.1", "yes"]
    assert to_come[1:7] == ["(1 to come)", "(1 to come)", "–", "63.7 / 61.0", "+3.7", "–"]


def test_what_is_missing_and_what_diverged_is_told():
    assert rows()[2][1] == "99.00 (1 to come)"
    assert rows()[3][1] == "111.00 (1 diverged)"


def test_the_order_of_the_effects():
    text = ablation_markdown(RUNS, "ptb", "A sentence.")
    assert "here: weight-dropping, AR/TAR. In the paper: weight-dropping, AR/TAR." in text


def test_the_other_corpus_has_its_own_column():
    heading, *_, regularized, _, _ = rows("wikitext2")
    assert heading[4] == "paper, WikiText-2"
    assert regularized[4:7] == ["73.2 / 70.1", "+4.6", "no"]
    assert rows("sotu")[0][4] == "paper, Penn Treebank"


def test_run_folders_are_linked():
    assert rows()[1][7] == "[1](full/seed-1-finetuned) [2](full/seed-2-finetuned)"
    page = ablation_html(RUNS, "ptb", "A sentence.")
    assert 'href="full/seed-2-finetuned/"' in page


def test_markdown_has_as_many_cells_in_each_row():
    assert {len(row) for row in rows()} == {8}


def test_the_page_is_html_and_has_the_same_numbers():
    page = ablation_html(RUNS, "ptb", "A <b> sentence.")
    parsed = ParsedPage(page)
    assert "A <b> sentence." in parsed.text
    cells = [[" ".join(cell.split()) for cell in row] for _, row in parsed.tables[0]]
    # But for the links, which Markdown shows as such.
    assert [row[:7] for row in cells] == [row[:7] for row in rows()]


def test_one_seed_has_no_spread():
    text = ablation_markdown({"full": [AblationRun(1, "full/seed-1", (100.0, 96.0))]}, "ptb", "")
    assert "| 100.00 | 96.00 |" in text and "of one seed" in text


@pytest.mark.parametrize("render", [ablation_markdown, ablation_html])
def test_without_any_run_there_is_a_table(render):
    assert "to come" in render({"full": [AblationRun(1, "full/seed-1")]}, "ptb", "")
