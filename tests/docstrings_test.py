"""Tests that the examples in docstrings run and that public names have docstrings."""

import doctest
import importlib
import inspect
import pathlib

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SOURCES = [
    path
    for package in ("awd_keras", "trainers", "serving", "benchmarks")
    for path in sorted((ROOT / package).rglob("*.py"))
]


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = [module_name(p) for p in SOURCES if ">>> " in p.read_text(encoding="utf-8")]
PACKAGES = [p for p in map(module_name, SOURCES) if p.count(".") == 1 and p[:4] == "awd_"]


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(importlib.import_module(name)):
        runner.run(test, out=report.append)
    failed, attempted = runner.summarize(verbose=False)[:2]
    assert attempted, "doctest does not find the examples"
    assert not failed, "".join(report)


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_have_docstrings(name):
    module = importlib.import_module(name)
    for name in getattr(module, "__all__", [n for n in vars(module) if n[0] != "_"]):
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isroutine(value):
            assert inspect.getdoc(value), name
