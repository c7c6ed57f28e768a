"""Reads the page as a browser does: tags, attributes and text."""

import html.parser

_VOID = {"br", "link", "meta"}
_ADDRESSES = {"action", "background", "data", "href", "poster", "src", "srcset", "xlink:href"}


class ParsedPage(html.parser.HTMLParser):
    """What is in a page; AssertionError if its tags are not balanced.

    Attributes:
        tags: names of all elements, in order.
        text: all text but the style sheet's, runs of white space as one space.
        tables: each a list of rows, each `(class of the row, [text of a cell])`.
        items: the texts of list items.
        addresses: what a browser could look up.
    """

    def __init__(self, page):
        super().__init__()
        self.tags, self.tables, self.items, self.addresses = [], [], [], []
        self._open, self._texts = [], []
        self.feed(page)
        self.close()
        assert not self._open, self._open
        self.text = " ".join("".join(self._texts).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in _ADDRESSES]
        self.addresses += [value for name, value in attrs if "url(" in (value or "")]
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append((dict(attrs).get("class"), []))
        elif tag in ("td", "th"):
            self.tables[-1][-1][1].append("")
        elif tag == "li":
            self.items.append("")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag):
        assert self._open and self._open[-1] == tag, (tag, self._open, self.getpos())
        self._open.pop()

    def handle_data(self, data):
        if "style" in self._open:
            return
        self._texts.append(data)
        if "td" in self._open or "th" in self._open:
            self.tables[-1][-1][1][-1] += data
        elif "li" in self._open:
            self.items[-1] += data

    def table(self, *headings):
        """The rows of the only table whose headings begin so, without them."""
        found = [t for t in self.tables if t[0][1][: len(headings)] == list(headings)]
        assert len(found) == 1, (headings, [table[0] for table in self.tables])
        return found[0][1:]
