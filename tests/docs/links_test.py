"""What the pages point to is there: pages, headings, files of the repository, commands."""

import importlib.util
import pathlib
import re

import pytest
import yaml

ROOT = pathlib.Path(__file__).absolute().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
LINK = re.compile(r"\[[^\[\]]*\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
FILE = re.compile(r"`((?:[\w.-]+/)+(?:[\w.-]+\.(?:py|md|txt))?)`")
COMMAND = re.compile(r"python -m ((?:awd_keras|benchmarks|serving|tests|trainers)[\w.]*)")
# Folders from which the pages name files.
ABOVE = ("", "awd_keras")
# What the reader is told to write, and what a run or a server makes.
TO_BE_MADE = re.compile(
    r"awd_keras/(losses/norm_stabilizer|data/json_lines|ops/lstm_scan)\.py"
    r"|awd_keras/data/datasets/NAME/|site/|runs/.*|events/|text/"
)


def prose(path):
    """A page without its blocks of code."""
    text = path.read_text(encoding="utf-8")
    return re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)


def anchors(path):
    """The anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s+", "-", heading) for heading in words}


def broken_links(path):
    """Links of a page to files or headings that are not there; those to other hosts are left."""
    broken = []
    for target, anchor in LINK.findall(prose(path)):
        if "://" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}" if anchor else target)
    return broken


def missing_files(path):
    """Files and folders that a page names and the repository lacks."""
    names = (name for name in FILE.findall(prose(path)) if not TO_BE_MADE.fullmatch(name))
    return [name for name in names if not any((ROOT / above / name).exists() for above in ABOVE)]


def missing_commands(path):
    modules = set(COMMAND.findall(path.read_text(encoding="utf-8")))
    return [name for name in modules if importlib.util.find_spec(name) is None]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
@pytest.mark.parametrize("find", [broken_links, missing_files, missing_commands])
def test_nothing_is_missing(find, path):
    assert not find(path)


def pages_of(nav):
    for entry in nav:
        if isinstance(entry, str):
            yield entry
        else:
            for inner in entry.values():
                yield from pages_of(inner)


def test_every_page_is_in_the_navigation():
    nav = list(pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text(encoding="utf-8"))["nav"]))
    pages = [path.relative_to(DOCS).as_posix() for path in PAGES]
    assert len(nav) == len(set(nav))
    assert set(pages) <= set(nav)
    assert len(set(nav) - set(pages)) == 3  # the READMEs, which docs/hooks.py adds


def test_what_is_missing_is_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One heading\n[a](#one-heading) [b](#none) [c](none.md) [d](page.md) `ops/none.py` "
        "`ops/lstm.py` `tests/data/` python -m trainers.none"
    )
    assert broken_links(page) == ["#none", "none.md"]
    assert missing_files(page) == ["ops/none.py"]
    assert missing_commands(page) == ["trainers.none"]
