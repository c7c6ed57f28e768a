"""Tests of tables for a terminal."""

import pytest

from trainers.table import format_table


def lines(rows, **options):
    return format_table(rows, **options).split("\n")


def test_the_first_column_goes_to_the_left_the_others_to_the_right():
    assert lines([["stage", "loss", "perplexity"], ["model alone", "4.07", "58.80"]]) == [
        "stage        loss  perplexity",
        "model alone  4.07       58.80",
    ]


@pytest.mark.parametrize(
    "left, expected",
    [((), [" a    b", "cc  ddd"]), ((0, 1), ["a   b", "cc  ddd"]), ({1}, [" a  b", "cc  ddd"])],
)
def test_which_columns_go_to_the_left_can_be_chosen(left, expected):
    # Nothing stands behind the last text of a line.
    assert lines([["a", "b"], ["cc", "ddd"]], left=left) == expected


def test_empty_cells_keep_their_columns():
    assert lines([["", "b"], ["a", ""], ["", ""]]) == ["   b", "a", ""]


def test_a_heading_alone():
    assert format_table([["a", "b"]]) == "a  b"


@pytest.mark.parametrize("rows", [[["a", "b"], ["c"]], [["a"], ["b", "c"]]])
def test_rows_of_different_lengths_are_no_table(rows):
    with pytest.raises(ValueError):
        format_table(rows)
