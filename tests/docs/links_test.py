"""Tests that links in the documentation resolve and that its commands and flags exist."""

import functools
import pathlib
import re
import subprocess
import sys

import pytest

import awd_keras

ROOT = pathlib.Path(__file__).absolute().parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "serving" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
LINK = re.compile(r"\[[^\[\]]*\]\(([^)\s#]*)(?:#([^)\s]*))?\)")
COMMAND = re.compile(r"python -m ((?:benchmarks|serving|trainers)\.\w+)((?:\\\n|[^\n|#`])*)")
INLINE_COMMAND = re.compile(r"`((?:benchmarks|serving|trainers)\.\w+)( --[^`]*)`")
FLAG = re.compile(r"(?<=\s)--(\w+)")


def anchors(path):
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.S | re.M)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    words = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in headings)
    return {re.sub(r"\s+", "-", heading) for heading in words}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_resolve(path):
    broken = []
    for target, anchor in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        file = (path.parent / target).resolve() if target else path
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(f"{target}#{anchor}")
    assert not broken


@functools.cache
def known_flags(module):
    command = [sys.executable, "-m", module, "--help"]
    output = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    negatable = re.findall(r"--\[no\](\w+)", output)
    return {*re.findall(r"--(\w+)", output), *negatable, *(f"no{name}" for name in negatable)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_their_flags_exist(path):
    text = path.read_text(encoding="utf-8")
    for module, arguments in COMMAND.findall(text) + INLINE_COMMAND.findall(text):
        flags = known_flags(module)
        assert flags, f"{module} has no --help"
        assert set(FLAG.findall(arguments)) <= flags | {"help", "flagfile"}, (module, arguments)


def test_the_table_of_names_and_flags():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    table = text[text.index("| paper (section) |") :].partition("\n\n")[0].splitlines()[2:]
    assert len(table) >= 10
    for row in table:
        names, arguments = (cell.replace("`", " ") for cell in row.split("|")[3:5])
        for name in re.findall(r"\w+\.\w+", names):
            package, attribute = name.split(".")
            if package in ("trainers", "serving"):
                assert known_flags(name), name
            else:
                assert hasattr(getattr(awd_keras, package), attribute), name
        module = re.search(r"trainers\.\w+", arguments)
        flags = known_flags(module[0] if module else "trainers.ptb")
        assert set(FLAG.findall(arguments)) <= flags, row
