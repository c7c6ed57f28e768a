"""A griffe extension that renders the examples of docstrings as code."""

import re

import griffe

_EXAMPLE = re.compile(r"^>>> (?:.+\n?)+", re.MULTILINE)


class FencedExamples(griffe.Extension):
    """Puts doctest examples, which are not indented in this library's docstrings, into fences."""

    def on_object(self, *, obj, **kwargs):
        if obj.docstring:
            text = obj.docstring.value
            obj.docstring.value = _EXAMPLE.sub(lambda m: f"```pycon\n{m[0].rstrip()}\n```\n", text)
