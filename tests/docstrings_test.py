"""Tests that the examples in docstrings run."""

import doctest
import importlib
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
