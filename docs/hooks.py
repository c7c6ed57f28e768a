"""For MkDocs: the repository's READMEs are pages of the site, and links to them are links there.

The pages link to files as they lie in the repository, so that they can be read there too. A link to
a file that is no page of the site keeps its text alone.
"""

import os
import pathlib
import re

from mkdocs.structure.files import File

ROOT = pathlib.Path(__file__).resolve().parents[1]
READMES = {
    "README.md": "readme.md",
    "serving/README.md": "serving.md",
    "benchmarks/README.md": "benchmarks.md",
}
_LINK = re.compile(r"(\[[^\[\]]*\])\(([^)\s#:]+)(#[^)\s]*)?\)")


def on_files(files, config):
    """Adds the READMEs to the pages."""
    for source, page in READMES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        text = site_links(text, ROOT / source, page)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown, page, config, files):
    """Turns the links of a page that leave the folder of the pages."""
    if page.file.src_uri in READMES.values():
        return markdown
    return site_links(markdown, ROOT / "docs" / page.file.src_uri, page.file.src_uri)


def site_links(markdown, source, page):
    """Turns links between files of the repository into links between pages of the site.

    Args:
        markdown: a text.
        source: the file in which it lies.
        page: the page that it becomes, from the folder of the pages.

    Returns:
        the text with other links.
    """

    def turned(match):
        text, target, anchor = match.groups()
        file = (source.parent / target).resolve().relative_to(ROOT).as_posix()
        there = READMES.get(file) or (file.removeprefix("docs/") if file[:5] == "docs/" else None)
        if there is None:
            return text[1:-1]
        return f"{text}({os.path.relpath(there, os.path.dirname(page) or '.')}{anchor or ''})"

    return _LINK.sub(turned, markdown)
