"""For mkdocstrings: reads this library's docstrings and its lazily loaded packages.

The docstrings are Google's as Keras writes them, and Markdown. Some of their habits are unknown to
griffe, which parses them: several arguments described together, `Call arguments:`, and examples and
command lines that are not indented as code is. Nothing is imported, so building the pages needs no
TensorFlow.
"""

import ast
import re

import griffe

_SECTION = re.compile(
    r"^(Args|Attributes|Call arguments|Raises):\n((?: {4}.*\n|\n(?= {4}))+)", re.MULTILINE
)
_NEW_ITEM = re.compile(r"^ {4}(?=\S)", re.MULTILINE)
_COMMANDS = re.compile(r"(?<=\n\n) {2}(?=\S)(?:.+\n)+", re.MULTILINE)
_EXAMPLE = re.compile(r"^>>> (?:.+\n)+", re.MULTILINE)


class LibraryDocstrings(griffe.Extension):
    """Rewrites every docstring of a package, and offers what its `_LAZY` tables name."""

    def on_package(self, *, pkg, **kwargs):
        _visit(pkg)


def _visit(thing):
    if thing.docstring:
        thing.docstring.value = rewritten(thing.docstring.value)
    if thing.is_module and "_LAZY" in thing.members:
        for name, module in ast.literal_eval(str(thing["_LAZY"].value)).items():
            thing[name] = griffe.Alias(name, f"{thing.path}.{module}.{name}")
    for member in list(thing.members.values()):
        if not member.is_alias:
            _visit(member)


def rewritten(text):
    """Turns a docstring of this library into one that griffe reads.

    Args:
        text: the docstring, without its indentation.

    Returns:
        the same with one name to an item, `Call arguments:` as a list, examples and commands in
        fences.
    """
    text = _SECTION.sub(_rewrite_section, text + "\n")
    text = _COMMANDS.sub(lambda match: f"```text\n{match[0]}```\n", text)
    text = re.sub(r"^Example:$", "**Example**", text, flags=re.MULTILINE)
    return _EXAMPLE.sub(lambda match: f"```pycon\n{match[0]}```\n", text).rstrip("\n")


def _rewrite_section(match):
    heading, body = match.groups()
    # The names of a group may fill several lines.
    body = re.sub(r",\n {4}(?=\w)", ", ", body)
    items = [item.partition(": ") for item in filter(None, _NEW_ITEM.split(body))]
    if heading == "Call arguments":
        return f"**{heading}**\n\n" + "".join(_list_item(*item) for item in items)
    # A description belongs to each of its names.
    return f"{heading}:\n" + "".join(
        f"    {name}{colon}{rest}" for names, colon, rest in items for name in names.split(", ")
    )


def _list_item(names, colon, rest):
    shown = ", ".join(f"`{name}`" for name in names.split(", "))
    return f"- {shown}{colon}" + rest.replace("\n        ", "\n  ")
