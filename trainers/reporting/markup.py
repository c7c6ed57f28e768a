"""HTML, escaped by construction: text becomes markup only through here."""

import html
import re

# Elements that HTML closes by itself.
_VOID = {"br", "link", "meta"}
# Where a line may be broken, between tags of the page's structure only: elsewhere it would show.
_BLOCKS = {
    "html",
    "head",
    "body",
    "main",
    "header",
    "footer",
    "section",
    "article",
    "div",
    "table",
    "thead",
    "tbody",
    "tr",
    "figure",
    "ol",
    "ul",
}
_NAME = re.compile(r"[a-z][a-z0-9-]*")


class Markup(str):
    """A string that is HTML already. Every other string is text."""

    __slots__ = ()


def element(name, /, *children, **attributes):
    """An HTML element.

    Args:
        name: the tag's name.
        *children: `Markup`, or anything else, which is escaped; None is left out; a list or tuple
            stands for its items.
        **attributes: values are escaped; None and False are left out; an underscore at the end is
            dropped (`class_`), others become hyphens.

    Returns:
        `Markup`.

    Raises:
        ValueError: for a name that HTML would not take for one.

    Example:

    >>> element("td", "<unk>", element("b", "&"), class_="number", title='"')
    '<td class="number" title="&quot;">&lt;unk&gt;<b>&amp;</b></td>'
    """
    parts = [f"<{_checked(name)}"]
    for key, value in attributes.items():
        if value is not None and value is not False:
            key = _checked(key.rstrip("_").replace("_", "-"))
            parts.append(f' {key}="{html.escape(str(value))}"')
    parts.append(">")
    if name not in _VOID:
        separator = "\n" if name in _BLOCKS else ""
        parts += [separator, join(children, separator), separator, f"</{name}>"]
    return Markup("".join(parts))


def join(children, separator=""):
    """Children of an element as one piece.

    Args:
        children: as for `element`.
        separator: white space between them.

    Returns:
        `Markup`.

    Example:

    >>> join(["a < b", None, [element("br"), 3]])
    'a &lt; b<br>3'
    """
    pieces = []
    for child in children:
        if isinstance(child, (list, tuple)):
            pieces.append(join(child, separator))
        elif isinstance(child, Markup):
            pieces.append(child)
        elif child is not None:
            pieces.append(html.escape(str(child), quote=False))
    return Markup(separator.join(pieces))


def _checked(name):
    if not _NAME.fullmatch(name):
        raise ValueError(f"Expected the name of an element or attribute. Received: {name!r}")
    return name
