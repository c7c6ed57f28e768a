"""Tests of HTML that is escaped by construction."""

import pytest

from tests.trainers.reporting.parsed_page import ParsedPage
from trainers.reporting.markup import Markup, element, join

HOSTILE = "</td><script>alert('x')</script> & \"<unk>\" &lt;"


def test_text_and_attributes_are_escaped():
    page = element("td", HOSTILE, title=HOSTILE)
    parsed = ParsedPage(element("table", element("tr", page)))
    assert parsed.tags == ["table", "tr", "td"]
    assert parsed.text == HOSTILE
    assert page.count('"') == 2 + 2  # those of the attribute, and of the text


def test_markup_is_not_escaped_again():
    inner = element("b", "a&b")
    assert element("p", inner) == "<p><b>a&amp;b</b></p>"
    assert element("p", join([inner, inner], " ")) == "<p><b>a&amp;b</b> <b>a&amp;b</b></p>"
    assert isinstance(inner + "", str) and not isinstance(inner + "<", Markup)


def test_children_may_be_nested_numbers_or_none():
    assert element("p", [1, (None, "<"), []], None, 2.5) == "<p>1&lt;2.5</p>"


def test_attributes():
    assert element("br") == "<br>"
    assert (
        element("th", class_="a b", aria_label="x", title=None, hidden=False, colspan=0)
        == '<th class="a b" aria-label="x" colspan="0"></th>'
    )


@pytest.mark.parametrize("name", ["", "B", "a b", "a>", "1"])
def test_names_are_checked(name):
    with pytest.raises(ValueError, match="name of an element or attribute. Received: '"):
        element(name)
    with pytest.raises(ValueError, match="name of an element or attribute. Received: '"):
        element("p", **{name: "x"})
