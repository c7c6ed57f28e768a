"""The examples in the docstrings are run, and every public name has a docstring."""

import doctest
import importlib
import inspect
import pathlib
import types

import pytest

ROOT = pathlib.Path(__file__).absolute().parents[1]
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
SOURCES = [path for top in ("awd_keras", "serving") for path in sorted((ROOT / top).rglob("*.py"))]


def module_name(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


WITH_EXAMPLES = [module_name(p) for p in SOURCES if ">>> " in p.read_text(encoding="utf-8")]
PACKAGES = [module_name(p) for p in SOURCES if p.name == "__init__.py"]


def public_objects(package):
    """Returns {name: function or class of this library} that a package offers."""
    names = getattr(package, "__all__", None) or [n for n in vars(package) if n[0] != "_"]
    objects = {name: getattr(package, name) for name in names}
    return {
        name: value
        for name, value in objects.items()
        if (inspect.isclass(value) or inspect.isroutine(value))
        and value.__module__.startswith("awd_keras")
    }


def without_docstring(package):
    return [name for name, value in public_objects(package).items() if not value.__doc__]


def run_examples(module):
    """Runs the examples of a module and returns (how many failed, how many there are, report)."""
    report = []
    runner = doctest.DocTestRunner(optionflags=OPTIONS, verbose=False)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module):
        runner.run(test, out=report.append)
    failed, attempted = runner.summarize(verbose=False)[:2]
    return failed, attempted, "".join(report)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_give_what_they_show(name):
    failed, attempted, report = run_examples(importlib.import_module(name))
    assert attempted, f"{name} has examples that doctest does not find"
    assert not failed, report


@pytest.mark.parametrize("name", PACKAGES)
def test_public_names_have_docstrings(name):
    assert not without_docstring(importlib.import_module(name))


def make_module(source):
    module = types.ModuleType("awd_keras_made_up")
    exec(source, vars(module))
    return module


@pytest.mark.parametrize(("shown", "failures"), [("[3, 3]", 0), ("[3, ...]", 0), ("[3, 4]", 1)])
def test_a_wrong_example_fails(shown, failures):
    docstring = f'"""\n    >>> twice(3)\n    {shown}\n    """'
    module = make_module(f"def twice(x):\n    {docstring}\n    return [x, x]")
    assert run_examples(module)[:2] == (failures, 1)


def test_a_missing_docstring_is_found():
    source = """
class Base:
    "Documented."
class Bare(Base): pass
def described():
    "Documented."
def undescribed(): pass
import os
"""
    assert without_docstring(make_module(source)) == ["Bare", "undescribed"]
